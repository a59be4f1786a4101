"""What an encoder-decoder is: its sizes, and the few choices in which published ones differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax

from jnn import checks
from jnn.activations import relu
from jnn.models._block_choices import check_biases, check_heads
from jnn.models.encoder_decoders._positions import PAPERS, Positions


class Side(NamedTuple):
    """The encoder or the decoder: how many layers and heads, how wide within, and how it knows positions."""

    layers: int
    heads: int
    hidden: int
    positions: Positions


@dataclasses.dataclass(frozen=True)
class EncoderDecoderConfig:
    """Encoder-decoder config: sizes and choices. The defaults are those of the transformer of 2017.

    Attributes:
      vocab: how many tokens there are, of the target, and of the source unless it has a vocabulary of its own.
      layers: how many blocks of the encoder.
      heads: of each.
      embed: the width of the residual stream.
      hidden: the width of the feed-forward networks.
      decoder_layers, decoder_heads, decoder_hidden: those of the decoder; as the encoder's by default.
      head: the size of a head; embed / heads by default.
      source_vocab: of a source with embeddings of its own.
      bands: how many numbers a frame of sound has, where the encoder reads frames: two convolutions make rows of them,
        one of two.
      positions: how rows know where they stand.
      source_positions: those of the encoder, where they differ.
      pre_norm: whether norms stand before each branch and at the end of either side, instead of behind each branch.
      rms_norms: whether norms are RMS norms.
      embed_norms: whether embedded rows are normalized.
      gate: whether feed-forward networks are gated.
      bias: the linear maps that have one, of "q", "k", "v", "o", "gate", "up", "down".
      tied: whether the read-out's weights are those that embed.
      out_bias: whether logits have a bias.
      activation: of the feed-forward networks.
      epsilon: of the norms.
      embed_scale: what embedded tokens are multiplied by; the root of embed by default.
      score_scale: what the scores of attention are multiplied by; head ** -0.5 by default.
      out_scale: what rows are multiplied by before they are read out.

    Raises:
      ValueError: a size is not 1 or more, heads do not divide embed and no head size is given, a bias is of no map, or
        the source is both tokens and frames.

    >>> config = EncoderDecoderConfig(vocab=37000, layers=6, heads=8, embed=512, hidden=2048)
    >>> config.decoder.layers, config.head_size(config.decoder)
    (6, 64)
    """

    vocab: int
    layers: int
    heads: int
    embed: int
    hidden: int
    decoder_layers: int | None = None
    decoder_heads: int | None = None
    decoder_hidden: int | None = None
    head: int | None = None
    source_vocab: int | None = None
    bands: int | None = None
    positions: Positions = PAPERS
    source_positions: Positions | None = None
    pre_norm: bool = False
    rms_norms: bool = False
    embed_norms: bool = False
    gate: bool = False
    bias: tuple[str, ...] = ("up", "down")
    tied: bool = True
    out_bias: bool = False
    activation: Callable[[jax.Array], jax.Array] = relu
    epsilon: float = 1e-5
    embed_scale: float | None = None
    score_scale: float | None = None
    out_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("vocab", "layers", "heads", "embed", "hidden"):
            checks.count("EncoderDecoderConfig", name, getattr(self, name))
        for name in ("decoder_layers", "decoder_heads", "decoder_hidden", "head", "source_vocab", "bands"):
            if (value := getattr(self, name)) is not None:
                checks.count("EncoderDecoderConfig", name, value)
        for side in (self.encoder, self.decoder) if self.head is None else ():
            check_heads("EncoderDecoderConfig", side.heads, self.embed, advice="; give a head's size")
        check_biases("EncoderDecoderConfig", self.bias)
        if "gate" in self.bias and not self.gate:
            raise ValueError(f"EncoderDecoderConfig: found a bias of the gate, {self.bias}, and gate=False.")
        if self.bands is not None and self.source_vocab is not None:
            raise ValueError(
                f"EncoderDecoderConfig: a source is tokens or frames, found source_vocab={self.source_vocab} and "
                f"bands={self.bands}."
            )

    @property
    def encoder(self) -> Side:
        """The encoder."""
        return Side(self.layers, self.heads, self.hidden, self.source_positions or self.positions)

    @property
    def decoder(self) -> Side:
        """The decoder."""
        return Side(
            self.decoder_layers or self.layers,
            self.decoder_heads or self.heads,
            self.decoder_hidden or self.hidden,
            self.positions,
        )

    def head_size(self, side: Side) -> int:
        """The size of a head."""
        return self.embed // side.heads if self.head is None else self.head
