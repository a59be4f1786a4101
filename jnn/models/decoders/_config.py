"""What a decoder of Llama's family is: its sizes, and the few choices in which the members of the family differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax

from jnn import checks
from jnn.activations import silu
from jnn.models._block_choices import ATTENTION, check_biases, check_heads
from jnn.models.decoders._rope_scaling import DynamicScaling, LongScaling, RopeScaling


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Decoder config: sizes and choices of a decoder. The defaults are Llama's; `llama_from_hf` and others read one.

    Attributes:
      vocab: how many tokens there are.
      layers: how many blocks.
      heads: query heads of each.
      embed: the width of the residual stream.
      hidden: the width of the gated feed-forward network; with experts, of each.
      kv_heads: key and value heads; as `heads` by default.
      head: the size of a head; embed / heads by default.
      tied: whether the read-out's weights are those that embed.
      bias: the linear maps that have one, of "q", "k", "v", "o", "gate", "up", "down".
      qk_norm: whether queries and keys are normalized head by head, or "across" all heads at once.
      zero_centered: whether norms keep their scale less 1.
      post_norms: whether what a branch gives is normalized too, before it is added: `sandwich_norm`.
      windows: how many tokens each layer sees back, itself among them, None for all; repeated over the layers.
      rope_theta: the base of the rotary rates.
      rope_scaling: how they are scaled.
      rope_part: the part of each head that is turned.
      rope_interleaved: whether neighbours are turned together, as in the paper, not feature i and i + half.
      activation: of the gate.
      epsilon: of the norms.
      embed_scale: what embedded tokens are multiplied by.
      score_scale: what the scores of attention are multiplied by; head ** -0.5 by default.
      score_cap: their soft cap.
      logit_cap: the soft cap of the logits.
      experts: how many feed-forward networks there are, of which a router chooses for each token; None for one.
      experts_per_token: how many it chooses.
      normalized_gates: whether the weights of those that are chosen add up to 1.
      shared_expert: the width of one that all tokens have beside theirs, each as much of it as it says; None for none.

    Raises:
      ValueError: heads do not divide embed and no head size is given, windows do not divide the layers, a bias is of
        no map, or a token has more experts than there are.

    >>> DecoderConfig(vocab=65, layers=4, heads=4, embed=64, hidden=128).head_size
    16
    """

    vocab: int
    layers: int
    heads: int
    embed: int
    hidden: int
    kv_heads: int | None = None
    head: int | None = None
    tied: bool = False
    bias: tuple[str, ...] = ()
    qk_norm: bool | Literal["across"] = False
    zero_centered: bool = False
    post_norms: bool = False
    windows: tuple[int | None, ...] = (None,)
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    rope_part: float = 1.0
    rope_interleaved: bool = False
    activation: Callable[[jax.Array], jax.Array] = silu
    epsilon: float = 1e-6
    embed_scale: float = 1.0
    score_scale: float | None = None
    score_cap: float | None = None
    logit_cap: float | None = None
    experts: int | None = None
    experts_per_token: int = 2
    normalized_gates: bool = True
    shared_expert: int | None = None

    def __post_init__(self) -> None:
        for name in ("vocab", "layers", "heads", "embed", "hidden"):
            checks.count("DecoderConfig", name, getattr(self, name))
        if self.head is None:
            check_heads("DecoderConfig", self.heads, self.embed, advice="; give a head's size")
        if not self.windows or self.layers % len(self.windows):
            raise ValueError(
                f"DecoderConfig: expected windows whose number divides the {self.layers} layers, found {self.windows}."
            )
        check_biases("DecoderConfig", self.bias, *((ATTENTION,) if self.experts is not None else ()))
        if self.experts is not None and not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(
                f"DecoderConfig: expected experts_per_token in 1..{self.experts}, the number of experts, found "
                f"{self.experts_per_token}."
            )
        if self.experts is None and self.shared_expert is not None:
            raise ValueError("DecoderConfig: found a shared_expert where there are no experts; give experts.")

    def for_length(self, tokens: int) -> DecoderConfig:
        """The same decoder for sequences of up to so many tokens, which the rates of "longrope" and "dynamic" hang on.

        >>> DecoderConfig(vocab=65, layers=4, heads=4, embed=64, hidden=128).for_length(8192).rope_theta
        10000.0
        """
        checks.count("DecoderConfig", "tokens", tokens)
        if not isinstance(self.rope_scaling, DynamicScaling | LongScaling):
            return self
        return dataclasses.replace(self, rope_scaling=dataclasses.replace(self.rope_scaling, length=tokens))

    @property
    def head_size(self) -> int:
        """The size of a head."""
        return self.embed // self.heads if self.head is None else self.head
