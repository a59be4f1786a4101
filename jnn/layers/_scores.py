"""What is done to the scores of attention beside masking: a bias, a cap, sinks, dropout of the weights.

    shaped(layer, q, k, bias, sinks, cap, rate, key) -> Scores, or None where nothing is

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads (h is a multiple of g), `k` head size.
"""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.activations import softmax
from jnn.layers._dropout import dropout

Bias = Callable[[jax.Array, jax.Array], jax.Array]  # positions (t,) and (s,) -> (h, t, s); such as `alibi`'s


class Scores(NamedTuple):
    """How scores become weights.

    Attributes:
      bias: (..., h, t, s), or a function that makes it of positions; added.
      sinks: (h,), scores of a key without a value.
      cap: scores lie within -cap and cap, before the bias.
      rate, key: of dropout.
    """

    bias: jax.Array | Bias | None = None
    sinks: jax.Array | None = None
    cap: float | None = None
    rate: float = 0.0
    key: jax.Array | None = None

    def capped(self, scores: jax.Array) -> jax.Array:
        """`cap * tanh(scores / cap)`."""
        return scores if self.cap is None else self.cap * jnp.tanh(scores / self.cap)

    def softmax(self, scores: jax.Array) -> jax.Array:
        """Softmax of (..., g, h / g, t, s) with the sinks beside; what goes to them is lost."""
        if self.sinks is None:
            return softmax(scores)
        g, r = scores.shape[-4:-2]
        sinks = self.sinks.astype(scores.dtype).reshape(*(1,) * (scores.ndim - 4), g, r, 1, 1)
        return softmax(jnp.concatenate([scores, jnp.broadcast_to(sinks, (*scores.shape[:-1], 1))], -1))[..., :-1]

    def dropped(self, weights: jax.Array) -> jax.Array:
        """Dropout of the weights."""
        return dropout(weights, self.rate, key=self.key)


def shaped(
    layer: str,
    q: jax.Array,
    k: jax.Array,
    bias: jax.Array | Bias | None,
    sinks: jax.Array | None,
    cap: float | None,
    rate: float,
    key: jax.Array | EllipsisType | None,
) -> Scores | None:
    """What is done to the scores, once it is known to fit (..., t, h, k) and (..., s, g, k)."""
    key = checks.noise(layer, rate, key)
    if bias is None and sinks is None and cap is None and key is None:
        return None
    (t, h), s = q.shape[-3:-1], k.shape[-3]
    if cap is not None:
        cap = checks.number(layer, "cap", cap, lambda c: c > 0, "above 0", like=q)
    if sinks is not None and sinks.shape != (h,):
        raise ValueError(f"{layer}: expected sinks ({h},), a score for each head, found {checks.describe(sinks)}.")
    if bias is not None and not callable(bias):
        _check_bias(layer, bias, (*q.shape[:-3], h, t, s))
    return Scores(bias, sinks, cap, rate, key)


def by_group(bias: jax.Array, g: int, ndim: int) -> jax.Array:
    """(..., h, t, s) or (h, t, s) or (t, s) -> (..., g, h / g, t, s), of rank ndim + 1; sizes of 1 stay."""
    *leading, h, t, s = (1,) * (ndim - bias.ndim) + bias.shape
    return bias.reshape(*leading, *((1, 1) if h == 1 else (g, h // g)), t, s)


def masked_softmax(
    scores: jax.Array, mask: jax.Array, softmax: Callable[[jax.Array], jax.Array] = softmax
) -> jax.Array:
    """Softmax of what the mask, of as many axes, shows; zeros in a row in which nothing is visible."""
    # -inf lies below any score; a row of it alone is zeros instead, and stays finite
    fill = jnp.where(mask.any(-1, keepdims=True), -jnp.inf, 0.0).astype(scores.dtype)
    return jnp.where(mask, softmax(jnp.where(mask, scores, fill)), 0.0)


def _check_bias(layer: str, bias: jax.Array, want: tuple[int, ...]) -> None:
    checks.array(layer, bias, "bias")
    if not jnp.issubdtype(bias.dtype, jnp.floating):
        raise TypeError(f"{layer}: expected a bias of floats, found {checks.describe(bias)}. Give a bool one as mask.")
    sizes = zip(bias.shape[::-1], want[::-1], strict=False)
    if bias.ndim not in (2, 3, len(want)) or any(found not in (1, size) for found, size in sizes):
        raise ValueError(
            f"{layer}: expected a bias of {want}, {want[-3:]} or {want[-2:]} (sizes may be 1), found {bias.shape}."
        )
