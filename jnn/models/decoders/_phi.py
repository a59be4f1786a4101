"""Phi-3: Llama's shape, where one map makes queries, keys and values, and one both halves of the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._fields import names, read, sizes


def phi3_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Phi-3 and Phi-4, from Hugging Face's config.json: what they are, and the names of their weights.

    See "Phi-3 Technical Report: A Highly Capable Language Model Locally on Your Phone", Abdin et al., 2024. The
    rotary rates of those of 128k tokens hang on how long sequences get: `config.for_length(tokens)`.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> tiny = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    >>> tiny |= {"hidden_act": "silu", "rms_norm_eps": 1e-6}
    >>> tiny |= {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 2047}
    >>> phi3_from_hf(tiny)[1]["blocks/attention/q/*"]
    'model.layers.{i}.self_attn.qkv_proj.*[0:2/4]'
    """
    fields = read("phi3", config, sliding_window=None)
    found = DecoderConfig(**sizes("phi3", fields), windows=(fields["sliding_window"],))
    groups = found.kv_heads or found.heads
    if found.heads % groups:
        raise ValueError(f"phi3_from_hf: {groups} key and value heads do not divide {found.heads} heads.")
    rows, layer = found.heads // groups, "model.layers.{i}"
    return found, {
        "blocks/attention/q/*": f"{layer}.self_attn.qkv_proj.*[0:{rows}/{rows + 2}]",
        "blocks/attention/k/*": f"{layer}.self_attn.qkv_proj.*[{rows}/{rows + 2}]",
        "blocks/attention/v/*": f"{layer}.self_attn.qkv_proj.*[{rows + 1}/{rows + 2}]",
        "blocks/gate/*": f"{layer}.mlp.gate_up_proj.*[0/2]",
        "blocks/up/*": f"{layer}.mlp.gate_up_proj.*[1/2]",
        **names(found),
    }
