"""Masked language modelling: hide some tokens, and say which to predict.

Laws: every ordinary token is chosen with probability `rate`, wherever it stands; a token that is not
chosen stays; `labels` are the ids themselves, `weights` 1 where one was chosen and 0 elsewhere;
beyond a row's length nothing is chosen. `key=None` chooses nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data.augment._text import check_ids, ordinary_tokens
from jnn.param import check_key

_MASK, _RANDOM = 0.8, 0.1  # of the chosen tokens; the rest stays


class Masked(NamedTuple):
    """Masked tokens: what a masked language model reads, should say, and is judged by; all (b, t)."""

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array


def mask_tokens(
    ids: jax.Array,
    mask: int,
    low: int,
    high: int,
    *,
    lengths: jax.Array | None,
    key: jax.Array | None,
    rate: float = 0.15,
) -> Masked:
    """Token masking: chooses tokens one by one; of these 80 % become the mask, 10 % a random token, 10 % stay.

    See "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et
    al., 2019.

    Args:
      ids: (b, t), integers.
      mask: the id of the mask.
      low, high: ordinary tokens are low..high-1: no other one is chosen, or drawn.
      lengths: (b,) integers, or None for rows without padding.
      key: a PRNG key, or None to choose nothing.
      rate: the probability of a token's being chosen, in [0, 1].

    Returns:
      inputs and labels in ids' shape and dtype, weights float32.

    Raises:
      TypeError: ids or lengths are not integers.
      ValueError: ids are not (b, t), a rate outside [0, 1], an empty range, a mask among the ordinary
        tokens, or lengths that do not fit ids.

    >>> ids, lengths = jnp.array([[5, 6, 0]]), jnp.array([2])
    >>> mask_tokens(ids, 4, 5, 9, lengths=lengths, rate=1.0, key=jax.random.key(0)).weights.tolist()
    [[1.0, 1.0, 0.0]]
    """
    ordinary = _check("mask_tokens", ids, mask, rate, low, high, lengths)
    check_key("mask_tokens", key, optional=True)
    if key is None:
        return _masked(ids, ids, jnp.zeros_like(ordinary))
    choose, kind, draw = jax.random.split(key, 3)
    chosen = ordinary & jax.random.bernoulli(choose, float(rate), ids.shape)
    return _corrupt(ids, chosen, jax.random.uniform(kind, ids.shape), mask, low, high, draw)


def mask_spans(
    ids: jax.Array,
    mask: int,
    low: int,
    high: int,
    *,
    lengths: jax.Array | None,
    key: jax.Array | None,
    rate: float = 0.15,
    stop: float = 0.2,
    longest: int = 10,
) -> Masked:
    """Span masking: chooses spans of tokens; all of one become the mask (80 %), random tokens (10 %), or stay (10 %).

    See "SpanBERT: Improving Pre-training by Representing and Predicting Spans", Joshi et al., 2020. A span
    begins at any token, and where spans overlap the later one rules; how often one begins follows from
    `rate`.

    Args:
      ids: (b, t), integers.
      mask: the id of the mask.
      low, high: ordinary tokens are low..high-1: no other one is chosen, or drawn.
      lengths: (b,) integers, or None for rows without padding.
      key: a PRNG key, or None to choose nothing.
      rate: the probability of a token's being chosen, in [0, 1].
      stop: the probability that a span ends after any of its tokens, in (0, 1].
      longest: tokens of a span at most, 1 or more.

    Returns:
      inputs and labels in ids' shape and dtype, weights float32.

    Raises:
      TypeError: ids or lengths are not integers.
      ValueError: ids are not (b, t), a number out of its range, an empty range of tokens, a mask among the ordinary
        tokens, or lengths that do not fit ids.

    >>> ids = jnp.arange(5, 9).reshape(1, 4)
    >>> mask_spans(ids, 4, 5, 9, lengths=None, rate=1.0, key=jax.random.key(0)).weights.tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """
    ordinary = _check("mask_spans", ids, mask, rate, low, high, lengths)
    if not 0 < stop <= 1 or longest < 1:
        raise ValueError(f"mask_spans: stop lies in (0, 1] and longest is 1 or more, found {stop}, {longest}.")
    check_key("mask_spans", key, optional=True)
    if key is None:
        return _masked(ids, ids, jnp.zeros_like(ordinary))
    begin, extend, kind, draw = jax.random.split(key, 4)
    b, t = ids.shape
    lasts = _lasts(stop, longest)
    shape = (b, t + longest - 1)  # spans may begin before the row, or its first tokens would be chosen less often
    starts = jax.random.bernoulli(begin, _start_rate(rate, lasts), shape)
    size = (jax.random.uniform(extend, shape)[..., None] < lasts.reshape(1, 1, -1)).sum(-1)
    kinds = jax.random.uniform(kind, shape)
    chosen, of_kind = jnp.zeros(ids.shape, bool), jnp.zeros(ids.shape)
    for back in reversed(range(longest)):
        here = slice(longest - 1 - back, longest - 1 - back + t)
        covered = starts[:, here] & (size[:, here] > back)
        chosen, of_kind = chosen | covered, jnp.where(covered, kinds[:, here], of_kind)
    return _corrupt(ids, chosen & ordinary, of_kind, mask, low, high, draw)


def _lasts(stop: float, longest: int) -> np.ndarray:
    """The probability that a span has more than 0, 1, ... tokens: geometric, drawn again where too long."""
    sizes = stop * (1 - stop) ** np.arange(longest)
    return np.cumsum(sizes[::-1])[::-1] / sizes.sum()


def _start_rate(rate: float, lasts: np.ndarray) -> float:
    """How often spans must begin for a share `rate` of all tokens to be in one, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        covered = 1 - np.prod(1 - middle * lasts)
        low, high = (middle, high) if covered < rate else (low, middle)
    return high


def _corrupt(
    ids: jax.Array, chosen: jax.Array, kind: jax.Array, mask: int, low: int, high: int, key: jax.Array
) -> Masked:
    """Chosen tokens by their kind in [0, 1): masked, random, as they are."""
    words = jax.random.randint(key, ids.shape, low, high).astype(ids.dtype)
    random = jnp.where(kind < _MASK + _RANDOM, words, ids)
    return _masked(ids, jnp.where(chosen, jnp.where(kind < _MASK, jnp.asarray(mask, ids.dtype), random), ids), chosen)


def _masked(ids: jax.Array, inputs: jax.Array, chosen: jax.Array) -> Masked:
    return Masked(inputs, ids, chosen.astype(jnp.float32))


def _check(
    name: str, ids: jax.Array, mask: int, rate: float, low: int, high: int, lengths: jax.Array | None
) -> jax.Array:
    ordinary = ordinary_tokens(name, ids, rate, low, high, lengths)
    if low <= mask < high:
        raise ValueError(f"{name}: the mask must not be an ordinary token, found {mask} in {low}..{high - 1}.")
    check_ids(name, ids, mask=mask)
    return ordinary
