"""Noise for token ids: replaced words, dropped words.

Laws: what lies beyond a row's length, and ids outside of low..high-1 (padding, separators), are never
touched and never drawn; `key=None` is the identity. `lengths` has no default: None says that whole
rows are real.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.data.augment._given import check_input
from jnn.data.augment._lengths import lengths_of, real_places
from jnn.data.augment._pixels import check_bound
from jnn.param import check_key


def replace_tokens(
    ids: jax.Array, rate: float, low: int, high: int, *, lengths: jax.Array | None, key: jax.Array | None
) -> jax.Array:
    """Token replacement: each token with probability `rate` by one drawn evenly from low..high-1.

    See "Data Noising as Smoothing in Neural Network Language Models", Xie et al., 2017.

    Args:
      ids: (b, t), integers.
      rate: the probability, in [0, 1].
      low, high: ordinary words are low..high-1; 2 and `len(vocabulary)` for `Words`.
      lengths: (b,) integers, or None.
      key: a PRNG key, or None for no noise.

    Returns:
      ids' shape and dtype.

    Raises:
      TypeError: ids or lengths are not integers.
      ValueError: ids are not (b, t), a rate outside [0, 1], an empty range, or lengths that do not fit ids.

    >>> replace_tokens(jnp.array([[2, 3, 0]]), 1.0, 2, 3, lengths=jnp.array([2]), key=jax.random.key(0)).tolist()
    [[2, 3, 0]]
    """
    ordinary = ordinary_tokens("replace_tokens", ids, rate, low, high, lengths)
    check_key("replace_tokens", key, optional=True)
    if key is None:
        return ids
    choose, draw = jax.random.split(key)
    words = jax.random.randint(draw, ids.shape, low, high).astype(ids.dtype)
    return jnp.where(ordinary & jax.random.bernoulli(choose, float(rate), ids.shape), words, ids)


def word_dropout(
    ids: jax.Array, rate: float, unknown: int, *, lengths: jax.Array | None, key: jax.Array | None
) -> jax.Array:
    """Word dropout: replaces each token with probability `rate` by the unknown word.

    See "Generating Sentences from a Continuous Space", Bowman et al., 2016. Arguments, result and errors
    as `replace_tokens`, with the id of the unknown word instead of a range.

    >>> word_dropout(jnp.array([[5, 6, 0]]), 1.0, 1, lengths=jnp.array([2]), key=jax.random.key(0)).tolist()
    [[1, 1, 0]]
    """
    real = real_tokens("word_dropout", ids, rate, lengths)
    check_ids("word_dropout", ids, unknown=unknown)
    check_key("word_dropout", key, optional=True)
    if key is None:
        return ids
    return jnp.where(real & jax.random.bernoulli(key, float(rate), ids.shape), jnp.asarray(unknown, ids.dtype), ids)


def check_ids(name: str, ids: jax.Array, **values: int) -> None:
    """Raises unless the dtype of ids holds these ids, and so does int32, in which they are drawn."""
    least, most = int(jnp.iinfo(ids.dtype).min), min(int(jnp.iinfo(ids.dtype).max), 2**31 - 2)
    for what, value in values.items():
        if not least <= value <= most:
            raise ValueError(
                f"{name}: the {what} id {value} does not fit {checks.describe(ids)}, which holds {least}..{most}. "
                "Cast the ids: ids.astype(jnp.int32)."
            )


def real_tokens(name: str, ids: jax.Array, rate: float, lengths: jax.Array | None) -> jax.Array:
    """True where a token is not padding, (b, t), after all checks."""
    check_input(name, ids)
    if ids.ndim != 2:
        raise ValueError(f"{name}: expected token ids [b,t], found {checks.describe(ids)}.")
    checks.integers(name, ids)
    check_bound(name, "rate", rate, 1)
    return real_places(lengths_of(name, ids, lengths), ids.shape[1])


def ordinary_tokens(
    name: str, ids: jax.Array, rate: float, low: int, high: int, lengths: jax.Array | None
) -> jax.Array:
    """True where a token is real and one of low..high-1, (b, t), after all checks."""
    real = real_tokens(name, ids, rate, lengths)
    if not 0 <= low < high:
        raise ValueError(f"{name}: ordinary tokens are low..high-1, 0 or more; found low={low}, high={high}.")
    check_ids(name, ids, last=high - 1)
    return real & (ids >= low) & (ids < high)
