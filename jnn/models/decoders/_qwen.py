"""Qwen: Llama's shape; its second generation with biases of queries, keys and values, its third with norms of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._block_choices import ATTENTION
from jnn.models._config_json import Fields
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._fields import names, read, sizes, windows

WINDOWS: Fields = {"use_sliding_window": False, "sliding_window": None, "max_window_layers": None, "layer_types": None}


def qwen2_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Qwen2 and Qwen2.5, from Hugging Face's config.json: what they are, and the names of their weights.

    See "Qwen2 Technical Report", Yang et al., 2024.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-6}
    >>> tiny |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    >>> qwen2_from_hf(tiny)[0].bias
    ('q', 'k', 'v')
    """
    fields = read("qwen2", config, num_key_value_heads=..., **WINDOWS)
    found = DecoderConfig(**sizes("qwen2", fields), bias=("q", "k", "v"), windows=_windows("qwen2", fields))
    return found, names(found)


def qwen3_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Qwen3, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Qwen3 Technical Report", Yang et al., 2025.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-6}
    >>> tiny |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    >>> qwen3_from_hf(tiny)[0].qk_norm
    True
    """
    fields = read("qwen3", config, num_key_value_heads=..., head_dim=..., attention_bias=False, **WINDOWS)
    bias = ATTENTION * fields["attention_bias"]
    found = DecoderConfig(**sizes("qwen3", fields), qk_norm=True, bias=bias, windows=_windows("qwen3", fields))
    return found, names(found)


def _windows(family: str, fields: Fields) -> tuple[int | None, ...]:
    """The first layers see all, the others a window, where there is one at all."""
    size = fields["sliding_window"] if fields["use_sliding_window"] else None
    if size is not None and fields["layer_types"] is None and fields["max_window_layers"] is None:
        raise ValueError(f"{family}_from_hf: a sliding_window of {size} needs max_window_layers or layer_types.")
    return windows(family, fields, size, lambda i: size is not None and i >= fields["max_window_layers"])
