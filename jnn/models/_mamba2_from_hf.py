"""Mamba-2: the `mamba2_decoder`, by Hugging Face's config.json and the names of its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jnn.models._config_json import Fields, known_fields

KNOWN: Fields = {
    **dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers", "num_heads", "head_dim", "state_size"), ...),
    **{"expand": 2, "n_groups": 8, "conv_kernel": 4, "use_conv_bias": True, "tie_word_embeddings": False},
}
INITIAL = ("time_step_rank", "time_step_min", "time_step_max", "time_step_floor", "rescale_prenorm_residual")
SAME: Mapping[str, tuple[Any, ...]] = {
    "layer_norm_epsilon": (1e-5,),
    "use_bias": (False,),
    "hidden_act": ("silu", "swish"),
    "time_step_limit": ([0.0, math.inf], (0.0, math.inf)),
    "rms_norm": (True,),
    "norm_before_gate": (False,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
}
Names = dict[str, str | tuple[str, str]]


def mamba2_from_hf(config: Mapping[str, Any]) -> tuple[Fields, Names]:
    """Mamba-2, from Hugging Face's config.json: sizes for `mamba2_decoder_spec`, and the names of its weights.

    See "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality",
    Dao and Gu, 2024. The residual stream has the parameters' dtype; "residual_in_fp32" asks for float32.

    Args:
      config: as a dict, of any version of `transformers`.

    Returns:
      What `mamba2_decoder_spec` takes, and names for `jnn.interop.torch.load_state_dict`.

    Raises:
      TypeError, ValueError: as `llama_from_hf`.

    >>> small = {"vocab_size": 50288, "hidden_size": 768, "num_hidden_layers": 24, "num_heads": 24, "head_dim": 64}
    >>> sizes, names = mamba2_from_hf(small | {"state_size": 128, "n_groups": 1, "tie_word_embeddings": True})
    >>> sizes["states"], names["blocks/mixer/step/w"]
    (128, 'backbone.layers.{i}.mixer.in_proj.weight[416:419/419]')
    """
    unread = dict.fromkeys((*INITIAL, "chunk_size", "residual_in_fp32"))
    fields = known_fields("mamba2", config, KNOWN | unread, SAME)
    heads, head, groups, states = (fields[name] for name in ("num_heads", "head_dim", "n_groups", "state_size"))
    if heads * head != fields["expand"] * fields["hidden_size"]:
        raise ValueError(
            f"mamba2_from_hf: expected num_heads * head_dim = expand * hidden_size, found {heads} * {head} and "
            f"{fields['expand']} * {fields['hidden_size']}."
        )
    sizes = {
        "vocab": fields["vocab_size"],
        "layers": fields["num_hidden_layers"],
        "embed": fields["hidden_size"],
        **{"heads": heads, "head": head, "states": states, "groups": groups},
        "taps": fields["conv_kernel"],
        "conv_bias": fields["use_conv_bias"],
        "tied": fields["tie_word_embeddings"],
    }
    return sizes, _names(heads, heads * head, groups * states, sizes)


def _names(heads: int, inner: int, shared: int, sizes: Fields) -> Names:
    """One map makes gates, values, keys, queries and steps, one convolution is over values, keys and queries."""
    mixer = "backbone.layers.{i}.mixer"
    maps = _parts({"gate": inner, "v": inner, "k": shared, "q": shared, "step": heads})
    convolved = _parts({"v": inner, "k": shared, "q": shared})
    biases = {f"blocks/mixer/conv_bias/{name}": f"{mixer}.conv1d.bias{part}" for name, part in convolved.items()}
    return {
        "embed/*": "backbone.embeddings.*",
        "blocks/norm/*": "backbone.layers.{i}.norm.*",
        **{f"blocks/mixer/{name}/w": f"{mixer}.in_proj.weight{part}" for name, part in maps.items()},
        **{
            f"blocks/mixer/conv/{name}": (f"{mixer}.conv1d.weight{part}", "(h k) () -l -> l h k")
            for name, part in convolved.items()
        },
        **(biases if sizes["conv_bias"] else {}),
        "blocks/mixer/step/b": f"{mixer}.dt_bias",
        "blocks/mixer/rate": f"{mixer}.A_log",
        "blocks/mixer/skip": f"{mixer}.D",
        "blocks/mixer/norm/scale": f"{mixer}.norm.weight",
        "blocks/mixer/o/w": f"{mixer}.out_proj.weight",
        "norm/*": "backbone.norm_f.*",
        **({} if sizes["tied"] else {"out/*": "lm_head.*"}),
    }


def _parts(rows: Mapping[str, int]) -> dict[str, str]:
    """Which rows of one array each has, after one another: "[0:3/7]"."""
    unit, parts, first = math.gcd(*rows.values()), {}, 0
    for name, size in rows.items():
        last = first + size // unit
        parts[name] = f"[{first}:{last}/{sum(rows.values()) // unit}]"
        first = last
    return parts
