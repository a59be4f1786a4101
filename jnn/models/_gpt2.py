"""GPT-2: the `transformer`, by Hugging Face's config.json and the names of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import known_fields

KNOWN = {
    **dict.fromkeys(("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"), ...),
    **{"n_inner": None, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1},  # of training, where a rate says it
}
SAME = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "tie_word_embeddings": (True,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
}
LAYER = "transformer.h.{i}"
HUGGING_FACE_GPT2: Mapping[str, str | tuple[str, str]] = {  # its linear maps are (in, out), queries to values one map
    "embed/*": "transformer.wte.*",
    "position/*": "transformer.wpe.*",
    "blocks/norm*/*": f"{LAYER}.ln_*.*",
    **{
        f"blocks/attention/{name}/w": (f"{LAYER}.attn.c_attn.weight[:, {i}/3]", "d (h k) -> d h k")
        for i, name in enumerate("qkv")
    },
    **{f"blocks/attention/{name}/b": f"{LAYER}.attn.c_attn.bias[{i}/3]" for i, name in enumerate("qkv")},
    "blocks/attention/o/w": (f"{LAYER}.attn.c_proj.weight", "(h k) d -> h k d"),
    "blocks/attention/o/b": f"{LAYER}.attn.c_proj.bias",
    "blocks/up/w": (f"{LAYER}.mlp.c_fc.weight", "d f -> d f"),
    "blocks/up/b": f"{LAYER}.mlp.c_fc.bias",
    "blocks/down/w": (f"{LAYER}.mlp.c_proj.weight", "f d -> f d"),
    "blocks/down/b": f"{LAYER}.mlp.c_proj.bias",
    "norm/*": "transformer.ln_f.*",
}


def gpt2_from_hf(config: Mapping[str, Any]) -> tuple[dict[str, int], Mapping[str, str | tuple[str, str]]]:
    """GPT-2, from Hugging Face's config.json: sizes for `transformer_spec`, and the names of its weights.

    See "Language Models are Unsupervised Multitask Learners", Radford et al., 2019.

    Args:
      config: as a dict, of any version of `transformers`.

    Returns:
      What `transformer_spec` takes, and names for `jnn.interop.torch.load_state_dict`, as its class for language models
      has them: those of the first published files lack "transformer." in front, and have masks beside,
      ignore=["*.attn.bias", "*.attn.masked_bias"].

    Raises:
      TypeError, ValueError: as `llama_from_hf`.

    >>> small = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
    >>> gpt2_from_hf(small)[0]["context"]
    1024
    """
    fields = known_fields("gpt2", config, KNOWN, SAME)
    return {
        "vocab": fields["vocab_size"],
        "context": fields["n_positions"],
        "layers": fields["n_layer"],
        "heads": fields["n_head"],
        "embed": fields["n_embd"],
        "hidden": fields["n_inner"] or 4 * fields["n_embd"],
    }, HUGGING_FACE_GPT2
