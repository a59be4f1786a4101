"""Small encoder-decoders for tests: one of each kind, and Hugging Face's own, drawn at random, as an oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jnn.models import (
    EncoderDecoderConfig,
    LearnedPositions,
    RelativePositions,
    cached_encoder_decoder,
    encoder_decoder_cache,
)

SIZES: dict[str, Any] = {"vocab": 11, "layers": 2, "heads": 2, "embed": 8, "hidden": 12}
KINDS = {
    "paper": EncoderDecoderConfig(**SIZES),
    "bart": EncoderDecoderConfig(
        **SIZES, decoder_layers=1, positions=LearnedPositions(9, 2), embed_norms=True, out_bias=True, embed_scale=1.0
    ),
    "t5": EncoderDecoderConfig(
        **SIZES,
        **{"head": 6, "positions": RelativePositions(8, 6), "pre_norm": True, "rms_norms": True, "gate": True},
        **{"bias": (), "tied": False, "embed_scale": 1.0, "score_scale": 1.0},
        epsilon=0.1,  # of rows this small the norms would make many times what is rounded
    ),
    "whisper": EncoderDecoderConfig(**SIZES, bands=3, source_positions=LearnedPositions(4), pre_norm=True),
}
START = 3
TEXT: dict[str, Any] = {
    **{"vocab_size": 40, "d_model": 32, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None},
    **{"decoder_start_token_id": START, "forced_eos_token_id": None},
}
SIDES = {
    **{"encoder_layers": 3, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 2},
    **{"encoder_ffn_dim": 48, "decoder_ffn_dim": 40, "max_position_embeddings": 32},
}
T5 = TEXT | {"d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4, "relative_attention_max_distance": 20}
SOUND = TEXT | SIDES | {"num_mel_bins": 5, "max_source_positions": 7, "max_target_positions": 32}

# a case: the family's class, and its fields
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bart": ("BartForConditionalGeneration", TEXT | SIDES),
    "bart-scaled": (
        "BartForConditionalGeneration",
        TEXT | SIDES | {"scale_embedding": True, "activation_function": "relu"},
    ),
    "marian": ("MarianMTModel", TEXT | SIDES | {"scale_embedding": True, "activation_function": "swish"}),
    "marian-apart": (
        "MarianMTModel",
        TEXT | SIDES | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 37},
    ),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5-1.1": ("T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "t5-deeper": (
        "T5ForConditionalGeneration",
        T5 | {"num_decoder_layers": 4, "relative_attention_num_buckets": 8, "feed_forward_proj": "gated-silu"},
    ),
    "whisper": ("WhisperForConditionalGeneration", SOUND),
}


def model_of(case: str, seed: int = 0) -> Any:
    """A model of Hugging Face's with weights that all matter: biases and scales are moved off their initial values."""
    import torch
    import transformers

    name, fields = CASES[case]
    kind = getattr(transformers, name)
    torch.manual_seed(seed)
    model = kind._from_config(kind.config_class(**fields), attn_implementation="eager").eval()
    if fields.get("tie_word_embeddings") is False:  # versions from 5 on tie them whatever a file says
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    moving = [x for x in model.parameters() if x.requires_grad]
    for x in [*moving, *(x for name, x in model.named_buffers() if name == "final_logits_bias")]:
        x.data += 0.1 * torch.randn_like(x)
    return model


def weights_of(model: Any, found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What is found by the names of its weights, as its file of safetensors has it: tied ones once, no sinusoids."""
    tied, still = model.all_tied_weights_keys, {n for n, x in model.named_parameters() if not x.requires_grad}
    untied = {"lm_head.weight"} if not getattr(model.config, "scale_decoder_outputs", True) else set()
    return {name: x.detach().numpy() for name, x in found.items() if name in untied or name not in {*tied, *still}}


def greedy(
    p: Any, source: jax.Array, config: EncoderDecoderConfig, steps: int, lengths: jax.Array | None
) -> np.ndarray:
    """The likeliest tokens, one after another, each but once, behind the one that starts."""
    step = jax.jit(lambda p, token, cache: cached_encoder_decoder(p, token, cache, config))
    cache = encoder_decoder_cache(p, source, config, steps, lengths=lengths)
    tokens = np.full((len(source), 1), START, np.int32)
    for _ in range(steps):
        logits, cache = step(p, tokens[:, -1:], cache)
        left = np.array(logits[:, 0])
        np.put_along_axis(left, tokens, -np.inf, 1)  # or small models say one word again and again
        tokens = np.concatenate([tokens, left.argmax(-1, keepdims=True)], 1, dtype=np.int32)
    return tokens
