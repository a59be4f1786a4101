"""Mistral: Llama's shape, where every layer sees a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._fields import names, read, sizes


def mistral_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Mistral, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Mistral 7B", Jiang et al., 2023.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-6}
    >>> tiny |= {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 4096}
    >>> mistral_from_hf(tiny)[0].windows
    (4096,)
    """
    fields = read("mistral", config, sliding_window=..., num_key_value_heads=...)
    found = DecoderConfig(**sizes("mistral", fields), windows=(fields["sliding_window"],))
    return found, names(found)
