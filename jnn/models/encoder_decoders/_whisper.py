"""Whisper: an encoder of sound, whose frames two convolutions halve, and a decoder of text with learned positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._fields import NAMES, SIDES, read, sizes
from jnn.models.encoder_decoders._positions import LearnedPositions, SinusoidalPositions

SAME = {"scale_embedding": (False,), "use_weighted_layer_sum": (False,)}
UNUSED = dict.fromkeys(  # of training, of another model's head, of stamps of time
    (
        *("apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_time_min_masks", "mask_feature_prob"),
        *("mask_feature_length", "mask_feature_min_masks", "classifier_proj_size", "median_filter_width"),
        "max_source_positions",  # sines and cosines know no end
    )
)


def whisper_from_hf(config: Mapping[str, Any]) -> tuple[EncoderDecoderConfig, dict[str, str]]:
    """Whisper, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Robust Speech Recognition via Large-Scale Weak Supervision", Radford et al., 2022. It reads frames
    (..., s, bands): the decimal logarithm of a mel spectrogram of 400 samples every 160, less what lies more than 8
    below the greatest, plus 4, over 4; 3000 of them, silence included, as it was trained.

    Args, Returns, Raises: as `bart_from_hf`; of a state dict ignore "proj_out.weight" and
    "model.encoder.embed_positions.weight", which are sines and cosines.

    >>> tiny = {"vocab_size": 51865, "d_model": 384, "activation_function": "gelu", "num_mel_bins": 80}
    >>> tiny |= dict.fromkeys(("encoder_layers", "decoder_layers"), 4) | {"max_target_positions": 448}
    >>> tiny |= dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 1536)
    >>> config, names = whisper_from_hf(tiny | dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 6))
    >>> config.bands, config.bias
    (80, ('q', 'v', 'o', 'up', 'down'))
    """
    fields = read("whisper", config, SAME, num_mel_bins=..., max_target_positions=..., **UNUSED)
    found = EncoderDecoderConfig(
        **sizes("whisper", fields),
        bands=fields["num_mel_bins"],
        positions=LearnedPositions(fields["max_target_positions"]),
        source_positions=SinusoidalPositions(interleaved=False, inclusive=True),
        pre_norm=True,
        bias=("q", "v", "o", "up", "down"),
        embed_scale=1.0,
    )
    return found, {
        "embed/*": "model.decoder.embed_tokens.*",
        "source/*/*": "model.encoder.*.*",
        "decoder/position/*": "model.decoder.embed_positions.*",
        **NAMES,
        **{f"{side}/norm/*": f"model.{side}.layer_norm.*" for side in SIDES},
    }
