"""What an encoder of BERT's family is: its sizes, and the few choices in which the members of the family differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax

from jnn import checks
from jnn.activations import tanh
from jnn.models._block_choices import check_heads
from jnn.models._config_json import exact_gelu


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Encoder config: sizes and choices of an encoder. The defaults are BERT's; `bert_from_hf` and others read one.

    Attributes:
      vocab: how many tokens there are.
      layers: how many blocks.
      heads: of each.
      embed: the width of the residual stream.
      hidden: the width inside the feed-forward network.
      context: how many positions are learned.
      segments: how many segments are; 0 where tokens are of none.
      padding: RoBERTa's: the token that fills sequences up. Positions count the others, and begin behind its number;
        None where they count all, from 0.
      activation: of the feed-forward network, and of the head for masked language models.
      pool_activation: of what is made of the first token.
      epsilon: of the norms.

    Raises:
      ValueError: a size is none, heads do not divide embed, or no position is left behind the padding's.

    >>> EncoderConfig(vocab=65, layers=2, heads=4, embed=64, hidden=128, context=32).positions
    32
    """

    vocab: int
    layers: int
    heads: int
    embed: int
    hidden: int
    context: int
    segments: int = 2
    padding: int | None = None
    activation: Callable[[jax.Array], jax.Array] = exact_gelu
    pool_activation: Callable[[jax.Array], jax.Array] = tanh
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("vocab", "layers", "heads", "embed", "hidden", "context"):
            checks.count("EncoderConfig", name, getattr(self, name))
        check_heads("EncoderConfig", self.heads, self.embed)
        if self.padding is not None and not 0 <= self.padding < min(self.vocab, self.context - 1):
            raise ValueError(
                f"EncoderConfig: expected padding, a token of {self.vocab} behind whose number there are positions, of "
                f"{self.context}; found {self.padding}."
            )

    @property
    def positions(self) -> int:
        """How many tokens a sequence has at most."""
        return self.context if self.padding is None else self.context - self.padding - 1
