"""Llama: the decoder as it is, with Llama 3's rotary scaling; SmolLM2 and others are of its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._block_choices import ATTENTION, FEED_FORWARD
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._fields import names, read, sizes


def llama_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Llama, from Hugging Face's config.json: what it is, and the names of its weights.

    See "LLaMA: Open and Efficient Foundation Language Models", Touvron et al., 2023; "The Llama 3 Herd of Models",
    Grattafiori et al., 2024.

    Args:
      config: as a dict, of any version of `transformers`.

    Returns:
      A config for `decoder`, and {path: name} for `jnn.interop.torch.load_state_dict`. Where it is tied, a state dict
      may name the same weights twice: ignore=["lm_head.weight"].

    Raises:
      TypeError: config is no mapping.
      ValueError: it is of another family, lacks a field, or has one that is not known or asks for what is not computed.

    >>> smollm2 = {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
    >>> smollm2 |= {"num_attention_heads": 9, "num_key_value_heads": 3, "rope_theta": 1e5, "tie_word_embeddings": True}
    >>> config, names = llama_from_hf(smollm2 | {"hidden_act": "silu", "rms_norm_eps": 1e-5})
    >>> config.head_size, config.tied, names["norm/*"]
    (64, True, 'model.norm.*')
    """
    fields = read("llama", config, attention_bias=False, mlp_bias=False)
    bias = ATTENTION * fields["attention_bias"] + FEED_FORWARD * fields["mlp_bias"]
    found = DecoderConfig(**sizes("llama", fields), bias=bias)
    return found, names(found)
