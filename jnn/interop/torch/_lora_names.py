"""Names of a LoRA's arrays in the files of PEFT."""

from __future__ import annotations

from jnn.interop.torch._names import Names, source
from jnn.param import Spec, flatten

FACTORS = {"down": "lora_A", "up": "lora_B"}


def lora_names(lora: Spec, names: Names, *, prefix: str = "base_model.model.") -> dict[str, str]:
    """PEFT's names of a LoRA, for `load_state_dict`: those of the model's weights, with "lora_A" and "lora_B".

    PEFT (github.com/huggingface/peft) writes them to `adapter_model.safetensors`; `lora_alpha`, of its
    `adapter_config.json`, is `with_lora`'s alpha.

    Args:
      lora: as `jnn.finetune.lora_spec` declares.
      names: of the model's weights, such as `jnn.models.llama_from_hf` gives.
      prefix: what PEFT puts in front of them.

    Returns:
      {path: name}.

    Raises:
      ValueError: lora has magnitudes: PEFT's are norms, and those of `dora_spec` multiples of the weights'.

    >>> from jnn.layers import linear_spec
    >>> from jnn.finetune import lora_spec
    >>> lora = lora_spec({"out": linear_spec(8, 4)}, 2, where="out/w")
    >>> lora_names(lora, {"out/*": "lm_head.*"})["out/lora/down"]
    'base_model.model.lm_head.lora_A.weight'
    """
    found = {}
    for path in flatten(lora):
        weight, _, factor = path.rpartition("lora/")
        if factor not in FACTORS:
            raise ValueError(
                f"lora_names: expected the factors of a LoRA, found {path!r}. Of DoRA load lora_spec's, and divide "
                "PEFT's magnitudes by the norms of each output's weights."
            )
        where = source(f"{weight}w", names)
        part = f"[{where.first}:{where.last}/{where.parts}]" if factor == "up" and where.parts > 1 else ""
        found[path] = f"{prefix}{where.name.removesuffix('.weight')}.{FACTORS[factor]}.weight{part}"
    return found
