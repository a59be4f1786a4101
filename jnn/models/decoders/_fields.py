"""Fields of a decoder in Hugging Face's config.json.

read("llama", config, attention_bias=False) -> fields       its own fields, and those of every family
sizes("llama", fields) -> {...}                             those of every family, as `DecoderConfig` has them
names(config) -> {path: name}                               of the weights, for `jnn.interop.torch.load_state_dict`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jnn.models._config_json import Fields, activation_of, known_fields
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._rope_scaling import (
    DynamicScaling,
    LinearScaling,
    Llama3Scaling,
    LongScaling,
    RopeScaling,
    YarnScaling,
)

# the fields of every family, and what Hugging Face's classes take where a file does not say; ... where it has to
DEFAULTS: Fields = {
    **dict.fromkeys(
        ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), ...
    ),
    **{"hidden_act": ..., "rms_norm_eps": ..., "num_key_value_heads": None, "head_dim": None},
    **{"tie_word_embeddings": False, "rope_theta": 10_000.0, "rope_scaling": None, "rope_parameters": None},
    **{"partial_rotary_factor": 1.0, "max_position_embeddings": None, "original_max_position_embeddings": None},
}
SAME: Mapping[str, tuple[Any, ...]] = {  # what is computed is this and nothing else
    "attention_dropout": (0, None),
    "resid_pdrop": (0,),
    "embd_pdrop": (0,),
    "rope_interleaved": (False,),
    "use_bidirectional_attention": (False, None),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "clip_qkv": (None,),
    "router_jitter_noise": (0,),
    "decoder_sparse_step": (1,),
    "mlp_only_layers": ([], None),
}


def read(family: str, config: Mapping[str, Any], **defaults: Any) -> Fields:
    """The fields of a config.json that change a value, those of every family and `defaults`, its own.

    Raises:
      TypeError, ValueError: as `known_fields`.
    """
    return known_fields(family, config, DEFAULTS | defaults, SAME)


def sizes(family: str, fields: Fields) -> Fields:
    """The fields that every family has, by the names of `DecoderConfig`."""
    return {
        "vocab": fields["vocab_size"],
        "layers": fields["num_hidden_layers"],
        "heads": fields["num_attention_heads"],
        "embed": fields["hidden_size"],
        "hidden": fields["intermediate_size"],
        "kv_heads": fields["num_key_value_heads"],
        "head": fields["head_dim"],
        "tied": fields["tie_word_embeddings"],
        "activation": activation_of(family, "hidden_act", fields),
        "epsilon": fields["rms_norm_eps"],
        **_rope(family, fields),
    }


def windows(family: str, fields: Fields, size: int | None, slides: Callable[[int], bool]) -> tuple[int | None, ...]:
    """The windows of the layers, by "layer_types" where there is that, in the shortest period."""
    layers, kinds = fields["num_hidden_layers"], ("full_attention", "sliding_attention")
    types = fields["layer_types"] or [kinds[slides(i)] for i in range(layers)]
    if {*types} - {*kinds} or len(types) != layers:
        raise ValueError(f"{family}_from_hf: expected layer_types, {layers} of {kinds}, found {types}.")
    every = [size if kind == "sliding_attention" else None for kind in types]
    period = next(n for n in range(1, layers + 1) if layers % n == 0 and every == every[:n] * (layers // n))
    return tuple(every[:period])


def names(config: DecoderConfig) -> dict[str, str]:
    """Names of a family's weights, as most of its members have them: for `jnn.interop.torch.load_state_dict`."""
    layer = "model.layers.{i}"
    second, post = ("pre_feedforward", True) if config.post_norms else ("post_attention", False)
    return {
        "embed/*": "model.embed_tokens.*",
        **({"blocks/attention/*_norm/*": f"{layer}.self_attn.*_norm.*"} if config.qk_norm else {}),
        "blocks/attention/*/*": f"{layer}.self_attn.*_proj.*",
        "blocks/norm1/*": f"{layer}.input_layernorm.*",
        "blocks/norm2/*": f"{layer}.{second}_layernorm.*",
        **({"blocks/norm1_post/*": f"{layer}.post_attention_layernorm.*"} if post else {}),
        **({"blocks/norm2_post/*": f"{layer}.post_feedforward_layernorm.*"} if post else {}),
        **({"blocks/*/*": f"{layer}.mlp.*_proj.*"} if config.experts is None else {}),
        "norm/*": "model.norm.*",
        **({} if config.tied else {"out/*": "lm_head.*"}),
    }


def _rope(family: str, fields: Fields) -> Fields:
    """Rotary rates, as versions before 5 keep them, or under "rope_parameters"."""
    given = {**(fields["rope_scaling"] or {}), **(fields["rope_parameters"] or {})}
    theta = given.pop("rope_theta", fields["rope_theta"])
    part = given.pop("partial_rotary_factor", fields["partial_rotary_factor"])
    if {given.get("type"), given.get("rope_type")} & {"longrope", "su", "dynamic"}:  # these need what stands beside
        first, whole = fields["original_max_position_embeddings"], fields["max_position_embeddings"]
        given = {"original_max_position_embeddings": first, "max_position_embeddings": whole} | given
    return {"rope_theta": theta, "rope_part": part, "rope_scaling": _scaling(family, given)}


def _dynamic(factor: float, context: int, first: int | None = None) -> DynamicScaling:
    return DynamicScaling(factor, context)


def _long(
    short: Sequence[float],
    long: Sequence[float],
    context: int,
    whole: int | None = None,
    factor: float | None = None,
    attention: float | None = None,
) -> LongScaling:
    """LongRoPE's: the scale by how much longer the new context is, unless it is given."""
    if factor is None:
        factor = 1.0 if whole is None else whole / context
    by_length = math.sqrt(1 + math.log(factor) / math.log(context)) if factor > 1 else 1.0
    return LongScaling(tuple(short), tuple(long), context, by_length if attention is None else attention)


LONG = {
    "short_factor": "short",
    "long_factor": "long",
    "original_max_position_embeddings": "context",
    "max_position_embeddings": "whole",
    "factor": "factor",
    "attention_factor": "attention",
}
SCALINGS: Mapping[str, tuple[Callable[..., RopeScaling], Mapping[str, str]]] = {
    "dynamic": (
        _dynamic,
        {
            "factor": "factor",
            "max_position_embeddings": "context",
            "original_max_position_embeddings": "first",
        },
    ),
    "longrope": (_long, LONG),
    "su": (_long, LONG),  # what Phi-3's first files call it
    "linear": (LinearScaling, {"factor": "factor"}),
    "llama3": (
        Llama3Scaling,
        {
            "factor": "factor",
            "original_max_position_embeddings": "context",
            "low_freq_factor": "low",
            "high_freq_factor": "high",
        },
    ),
    "yarn": (
        YarnScaling,
        {
            "factor": "factor",
            "original_max_position_embeddings": "context",
            "beta_fast": "fast",
            "beta_slow": "slow",
            "attention_factor": "attention",
        },
    ),
}


def _scaling(family: str, given: Fields) -> RopeScaling | None:
    kinds = {given.pop(name) for name in ("type", "rope_type") if name in given} or {"default"}
    kind, where = kinds.pop(), f"{family}_from_hf: rope_scaling"
    given = {name: value for name, value in given.items() if value is not None}
    if kind == "default" and not given and not kinds:
        return None
    if kind not in SCALINGS or kinds:
        raise ValueError(f"{where}: expected one type of {sorted(SCALINGS)}, found {sorted({kind, *kinds})}, {given}.")
    make, table = SCALINGS[kind]
    if unknown := given.keys() - table.keys():
        raise ValueError(f"{where} of {kind}: expected {sorted(table)}, found {sorted(unknown)}, too.")
    try:
        return make(**{table[name]: value for name, value in given.items()})
    except TypeError:
        raise ValueError(f"{where} of {kind}: expected {sorted(table)}, found {given}.") from None
