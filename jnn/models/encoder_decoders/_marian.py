"""Marian, whose translators of some thousand pairs of languages are OPUS-MT's: the transformer of 2017, with biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jnn.models._block_choices import ATTENTION
from jnn.models.encoder_decoders._config import EncoderDecoderConfig
from jnn.models.encoder_decoders._fields import NAMES, read, sizes
from jnn.models.encoder_decoders._positions import SinusoidalPositions

SAME = {"normalize_embedding": (False,), "static_position_embeddings": (True,)}


def marian_from_hf(config: Mapping[str, Any]) -> tuple[EncoderDecoderConfig, dict[str, str]]:
    """Marian, from Hugging Face's config.json: what it is, and the names of its weights.

    See "Marian: Fast Neural Machine Translation in C++", Junczys-Dowmunt et al., 2018; "OPUS-MT: Building open
    translation services for the World", Tiedemann and Thottingal, 2020.

    Args, Returns, Raises: as `bart_from_hf`; of a state dict ignore "*.embed_positions.weight", too, and nothing of
    embed_tokens where source and target have embeddings of their own.

    >>> base = {"vocab_size": 58101, "d_model": 512, "activation_function": "swish", "scale_embedding": True}
    >>> base |= dict.fromkeys(("encoder_layers", "decoder_layers"), 6)
    >>> base |= dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 2048)
    >>> base |= dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 8)
    >>> marian_from_hf(base)[0].positions
    SinusoidalPositions(interleaved=False, inclusive=False)
    """
    own: dict[str, Any] = {"decoder_vocab_size": None, "share_encoder_decoder_embeddings": True}
    fields = read("marian", config, SAME, scale_embedding=False, **own)
    source, target = fields["vocab_size"], fields["decoder_vocab_size"] or fields["vocab_size"]
    shared = fields["share_encoder_decoder_embeddings"]
    if shared and source != target:
        raise ValueError(
            f"marian_from_hf: found decoder_vocab_size={target} beside vocab_size={source}, and embeddings that are "
            "shared; one of them is not so."
        )
    found = EncoderDecoderConfig(
        **sizes("marian", fields | {"vocab_size": target}),
        source_vocab=None if shared else source,
        positions=SinusoidalPositions(interleaved=False),
        bias=(*ATTENTION, "up", "down"),
        out_bias=True,
        embed_scale=None if fields["scale_embedding"] else 1.0,
    )
    tables = {"embed/*": "model.shared.*"}
    apart = {"embed/*": "model.decoder.embed_tokens.*", "source/*": "model.encoder.embed_tokens.*"}
    return found, {**(tables if shared else apart), **NAMES, "out/b": "final_logits_bias"}
