"""Decoders with experts: Mixtral, OLMoE, and Qwen's; attention as in the families that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._block_choices import ATTENTION
from jnn.models._config_json import Fields
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._fields import names, read, sizes

LAYER = "model.layers.{i}"
CHOSEN: Fields = {"num_experts": ..., "num_experts_per_tok": ..., "norm_topk_prob": False}


def mixtral_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Mixtral, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Mixtral of Experts", Jiang et al., 2024.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-5, "num_attention_heads": 4, "num_key_value_heads": 2}
    >>> config, names = mixtral_from_hf(tiny | {"num_local_experts": 8, "num_experts_per_tok": 2})
    >>> config.experts, names["blocks/experts/down/*"]
    (8, 'model.layers.{i}.block_sparse_moe.experts.{j}.w2.*')
    """
    own = dict.fromkeys(("num_key_value_heads", "num_local_experts", "num_experts_per_tok"), ...)
    fields = read("mixtral", config, **own, sliding_window=None)
    found = DecoderConfig(
        **sizes("mixtral", fields),
        windows=(fields["sliding_window"],),
        experts=fields["num_local_experts"],
        experts_per_token=fields["num_experts_per_tok"],
    )
    each = f"{LAYER}.block_sparse_moe.experts.{{j}}"
    return found, {
        "blocks/experts/router/*": f"{LAYER}.block_sparse_moe.gate.*",
        **{f"blocks/experts/{name}/*": f"{each}.{w}.*" for name, w in {"gate": "w1", "up": "w3", "down": "w2"}.items()},
        **names(found),
    }


def olmoe_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """OLMoE, from Hugging Face's config.json: what it is, and the names of its weights.

    See "OLMoE: Open Mixture-of-Experts Language Models", Muennighoff et al., 2024.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-5, "num_attention_heads": 4}
    >>> olmoe_from_hf(tiny | {"num_experts": 8, "num_experts_per_tok": 2})[0].qk_norm
    'across'
    """
    fields = read("olmoe", config, **CHOSEN, attention_bias=False)
    found = DecoderConfig(**sizes("olmoe", fields), **_chosen(fields), qk_norm="across", bias=_attention(fields))
    return found, _names(found)


def qwen2_moe_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Qwen2-MoE and Qwen1.5-MoE, from Hugging Face's config.json: what they are, and the names of their weights.

    See "Qwen2 Technical Report", Yang et al., 2024. All layers have experts, and no window.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "moe_intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-6, "num_attention_heads": 4, "num_key_value_heads": 2}
    >>> tiny |= {"num_experts": 8, "num_experts_per_tok": 2, "shared_expert_intermediate_size": 32}
    >>> qwen2_moe_from_hf(tiny)[0].shared_expert
    32
    """
    fields = _read("qwen2_moe", config, shared_expert_intermediate_size=..., qkv_bias=True, max_window_layers=None)
    found = DecoderConfig(
        **sizes("qwen2_moe", fields),
        **_chosen(fields),
        bias=("q", "k", "v") if fields["qkv_bias"] else (),
        shared_expert=fields["shared_expert_intermediate_size"],
    )
    return found, {
        "blocks/experts/shared/*/*": f"{LAYER}.mlp.shared_expert.*_proj.*",
        "blocks/experts/shared_gate/*": f"{LAYER}.mlp.shared_expert_gate.*",
        **_names(found),
    }


def qwen3_moe_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Qwen3-MoE, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Qwen3 Technical Report", Yang et al., 2025. All layers have experts, and no window.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "moe_intermediate_size": 16, "num_hidden_layers": 2, "head_dim": 8}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-6, "num_attention_heads": 4, "num_key_value_heads": 2}
    >>> qwen3_moe_from_hf(tiny | {"num_experts": 8, "num_experts_per_tok": 2})[0].hidden
    16
    """
    fields = _read("qwen3_moe", config, head_dim=..., attention_bias=False, max_window_layers=None)
    found = DecoderConfig(**sizes("qwen3_moe", fields), **_chosen(fields), qk_norm=True, bias=_attention(fields))
    return found, _names(found)


def _read(family: str, config: Mapping[str, Any], **own: Any) -> Fields:
    """Fields of Qwen's: "intermediate_size" is of layers without experts, of which there are none."""
    dense = {"intermediate_size": None, "moe_intermediate_size": ..., "num_key_value_heads": ..., "layer_types": None}
    windows = {"use_sliding_window": False, "sliding_window": None}
    if isinstance(config, Mapping):  # what version 5 writes of Qwen3's
        config = {{"num_local_experts": "num_experts"}.get(name, name): value for name, value in config.items()}
    fields = read(family, config, **CHOSEN, **dense, **windows, **own)
    if fields["use_sliding_window"] or {*(fields["layer_types"] or ())} - {"full_attention"}:
        raise ValueError(f"{family}_from_hf: found a sliding window, where none is computed.")
    return fields | {"intermediate_size": fields["moe_intermediate_size"]}


def _chosen(fields: Fields) -> Fields:
    return {
        "experts": fields["num_experts"],
        "experts_per_token": fields["num_experts_per_tok"],
        "normalized_gates": fields["norm_topk_prob"],
    }


def _attention(fields: Fields) -> tuple[str, ...]:
    return ATTENTION * fields["attention_bias"]


def _names(config: DecoderConfig) -> dict[str, str]:
    """Names where the router is called gate, and an expert's maps what they are called in Llama."""
    return {
        "blocks/experts/router/*": f"{LAYER}.mlp.gate.*",
        "blocks/experts/*/*": f"{LAYER}.mlp.experts.{{j}}.*_proj.*",
        **names(config),
    }
