"""Decoders of Llama's family: one function, and what its published members are; the door is `jnn.models`.

decoder_spec(config), decoder(p, tokens, config, key=key)       with `decoder_cache` and `cached_decoder`
decoder_model(config)                                           what `jnn.generate` needs of it
llama_from_hf(config) -> (config, names)                        and `mistral_from_hf`, ..., one a family
"""

from jnn.models.decoders._cached_decoder import cached_decoder, decoder_cache
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._decoder import decoder, decoder_hidden, decoder_spec
from jnn.models.decoders._gemma import gemma2_from_hf, gemma_from_hf
from jnn.models.decoders._gguf import llama_from_gguf
from jnn.models.decoders._llama import llama_from_hf
from jnn.models.decoders._mistral import mistral_from_hf
from jnn.models.decoders._mixtral import mixtral_from_hf, olmoe_from_hf, qwen2_moe_from_hf, qwen3_moe_from_hf
from jnn.models.decoders._paged_decoder import decoder_model, paged_decoder, paged_decoder_cache
from jnn.models.decoders._phi import phi3_from_hf
from jnn.models.decoders._published import decoder_from_hf
from jnn.models.decoders._qwen import qwen2_from_hf, qwen3_from_hf
from jnn.models.decoders._rope_scaling import DynamicScaling, LinearScaling, Llama3Scaling, LongScaling, YarnScaling
from jnn.models.decoders._routed_decoder import routed_decoder

__all__ = [
    "DecoderConfig",
    "DynamicScaling",
    "LinearScaling",
    "Llama3Scaling",
    "LongScaling",
    "YarnScaling",
    "cached_decoder",
    "decoder",
    "decoder_cache",
    "decoder_from_hf",
    "decoder_hidden",
    "decoder_model",
    "decoder_spec",
    "gemma2_from_hf",
    "gemma_from_hf",
    "llama_from_gguf",
    "llama_from_hf",
    "mistral_from_hf",
    "mixtral_from_hf",
    "olmoe_from_hf",
    "paged_decoder",
    "paged_decoder_cache",
    "phi3_from_hf",
    "qwen2_from_hf",
    "qwen2_moe_from_hf",
    "qwen3_from_hf",
    "qwen3_moe_from_hf",
    "routed_decoder",
]
