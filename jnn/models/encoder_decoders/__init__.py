"""Encoder-decoders: the transformer of 2017, and what its published descendants are; the door is `jnn.models`.

encoder_decoder_spec(config), encoder_decoder(p, source, target, config, key=key)      with a cache and its chunks
bart_from_hf(config) -> (config, names)                             and `t5_from_hf`, ..., one a family
"""

from jnn.models.encoder_decoders._bart import bart_from_hf
from jnn.models.encoder_decoders._cached_encoder_decoder import (
    EncoderDecoderCache,
    cached_encoder_decoder,
    encoder_decoder_cache,
)
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._declared import encoder_decoder_spec
from jnn.models.encoder_decoders._encoder_decoder import encode_source, encoder_decoder
from jnn.models.encoder_decoders._encoder_decoder_model import encoder_decoder_model
from jnn.models.encoder_decoders._marian import marian_from_hf
from jnn.models.encoder_decoders._positions import LearnedPositions, RelativePositions, SinusoidalPositions
from jnn.models.encoder_decoders._published import encoder_decoder_from_hf
from jnn.models.encoder_decoders._t5 import t5_from_hf
from jnn.models.encoder_decoders._whisper import whisper_from_hf

__all__ = [
    "EncoderDecoderCache",
    "EncoderDecoderConfig",
    "LearnedPositions",
    "RelativePositions",
    "SinusoidalPositions",
    "bart_from_hf",
    "cached_encoder_decoder",
    "encode_source",
    "encoder_decoder",
    "encoder_decoder_cache",
    "encoder_decoder_from_hf",
    "encoder_decoder_model",
    "encoder_decoder_spec",
    "marian_from_hf",
    "t5_from_hf",
    "whisper_from_hf",
]
