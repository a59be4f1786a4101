"""Any published encoder-decoder, by what its config.json says it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jnn.models._config_json import family_of
from jnn.models.encoder_decoders._bart import bart_from_hf
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._marian import marian_from_hf
from jnn.models.encoder_decoders._t5 import t5_from_hf
from jnn.models.encoder_decoders._whisper import whisper_from_hf

FAMILIES: Mapping[str, Callable[[Mapping[str, Any]], tuple[EncoderDecoderConfig, dict[str, str]]]] = {
    "bart": bart_from_hf,
    "marian": marian_from_hf,
    "t5": t5_from_hf,
    "whisper": whisper_from_hf,
}


def encoder_decoder_from_hf(config: Mapping[str, Any]) -> tuple[EncoderDecoderConfig, dict[str, str]]:
    """Published encoder-decoder, from Hugging Face's config.json, by its "model_type": what it is, its weights' names.

    BART, Marian (OPUS-MT), T5 (1.0, 1.1, Flan-T5) and Whisper, whatever their size.

    Args, Returns, Raises: as `bart_from_hf`.

    >>> encoder_decoder_from_hf({"model_type": "mbart"})
    Traceback (most recent call last):
    ValueError: encoder_decoder_from_hf: expected model_type among ['bart', ..., 'whisper'], found 'mbart'.
    """
    return family_of("encoder_decoder_from_hf", config, FAMILIES)(config)
