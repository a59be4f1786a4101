"""Any published decoder of the family, by what its config.json says it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jnn.models._config_json import family_of
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._gemma import gemma2_from_hf, gemma_from_hf
from jnn.models.decoders._llama import llama_from_hf
from jnn.models.decoders._mistral import mistral_from_hf
from jnn.models.decoders._mixtral import (
    mixtral_from_hf,
    olmoe_from_hf,
    qwen2_moe_from_hf,
    qwen3_moe_from_hf,
)
from jnn.models.decoders._phi import phi3_from_hf
from jnn.models.decoders._qwen import qwen2_from_hf, qwen3_from_hf

FAMILIES: Mapping[str, Callable[[Mapping[str, Any]], tuple[DecoderConfig, dict[str, str]]]] = {
    "gemma": gemma_from_hf,
    "gemma2": gemma2_from_hf,
    "llama": llama_from_hf,
    "mistral": mistral_from_hf,
    "mixtral": mixtral_from_hf,
    "olmoe": olmoe_from_hf,
    "phi3": phi3_from_hf,
    "qwen2": qwen2_from_hf,
    "qwen2_moe": qwen2_moe_from_hf,
    "qwen3": qwen3_from_hf,
    "qwen3_moe": qwen3_moe_from_hf,
}


def decoder_from_hf(config: Mapping[str, Any]) -> tuple[DecoderConfig, dict[str, str]]:
    """Published decoder, from Hugging Face's config.json, by its "model_type": what it is, and its weights' names.

    Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma 2 and Phi-3; with experts Mixtral, OLMoE, and those of Qwen2 and Qwen3.

    Args, Returns, Raises: as `llama_from_hf`.

    >>> decoder_from_hf({"model_type": "mamba"})
    Traceback (most recent call last):
    ValueError: decoder_from_hf: expected model_type among ['gemma', ..., 'qwen3_moe'], found 'mamba'.
    """
    return family_of("decoder_from_hf", config, FAMILIES)(config)
