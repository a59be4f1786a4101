"""N-grams over few symbols: how likely each label is after those before it, as one array."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks


def ngram_table(
    labels: jax.Array, lengths: jax.Array, *, symbols: int, order: int, strength: float = 1.0, blank: int = 0
) -> jax.Array:
    """N-gram language model: log-probabilities of the label, or the end, behind each n - 1 labels; made on the host.

    What was counted is mixed with what is likely after one label less, as if that had been seen `strength` times; after
    none, with a uniform distribution. See "A Hierarchical Dirichlet Language Model", MacKay and Peto, 1995.

    Args:
      labels: (n, u), integers in 0..symbols-1 but for the blank; beyond lengths anything.
      lengths: (n,), integers in 0..u: labels that are there.
      symbols: how many there are, the blank among them. The table has symbols ** order numbers.
      order: n: 1 for how often each is, 2 for pairs.
      strength: positive.
      blank: what stands for the beginning and for the end of a string.

    Returns:
      (symbols,) * order, float32: of the labels before, the oldest first, and of the next.

    Raises:
      TypeError: labels or lengths are not integers.
      ValueError: shapes do not fit, there is no string, labels, lengths or the blank lie out of range, an order of less
        than 1, or a strength that is not positive.

    >>> table = ngram_table(np.array([[1, 2], [1, 1]]), np.array([2, 1]), symbols=3, order=2)
    >>> [f"{p:.2f}" for p in jnp.exp(table[1])]  # behind a 1: the end, another 1, a 2
    ['0.46', '0.13', '0.41']
    """
    checks.count("ngram_table", "order", order)
    _check_blank("ngram_table", blank, symbols)
    labels = checks.integers("ngram_table", labels, ndim=2, name="labels")
    lengths = checks.integers("ngram_table", lengths, ndim=1, name="lengths")
    if labels.ndim != 2 or lengths.shape != labels.shape[:1]:
        raise ValueError(
            f"ngram_table: expected labels (n, u) and lengths (n,), found {labels.shape} and {lengths.shape}."
        )
    checks.lengths("ngram_table", lengths, labels.shape[1], of="labels")
    own, counts = np.asarray(labels), np.asarray(lengths)[:, None]
    there = np.arange(own.shape[1]) < counts
    if ((own[there] < 0) | (own[there] >= symbols) | (own[there] == blank)).any():
        raise ValueError(f"ngram_table: expected labels in 0..{symbols - 1} other than the blank {blank}.")
    if not 0 < strength < np.inf:
        raise ValueError(f"ngram_table: expected strength > 0, found {strength}.")
    around = np.pad(np.where(there, own, blank), ((0, 0), (order - 1, 1)), constant_values=blank)
    windows = np.lib.stride_tricks.sliding_window_view(around, order, axis=1)
    ended = np.arange(windows.shape[1]) <= counts  # the blank right behind a string is its end
    found = np.zeros((symbols,) * order)
    np.add.at(found, tuple(windows[ended].T), 1)
    p = np.asarray(1 / symbols)
    for n in range(1, order + 1):
        seen = found.sum(tuple(range(order - n)))
        p = (seen + strength * p) / (seen.sum(-1, keepdims=True) + strength)
    return jnp.asarray(np.log(p), jnp.float32)


def ngram_log_probs(table: jax.Array, labels: jax.Array, lengths: jax.Array, *, blank: int = 0) -> jax.Array:
    """Log-probabilities of what comes behind strings: of each label, and in the blank's column of the end.

    Args:
      table: (v,) * n, as `ngram_table` makes it.
      labels: (..., u), integers; beyond lengths anything.
      lengths: (...), integers in 0..u.
      blank: what stands for the beginning.

    Returns:
      (..., v), in the table's dtype.

    Raises:
      TypeError: the table is not floating point, or labels or lengths are not integers.
      ValueError: shapes do not fit, or the blank, or labels or lengths known to lie out of range; under `jit` NaN.

    >>> table = jnp.log2(jnp.array([[0.25, 0.75], [0.5, 0.5]]))
    >>> ngram_log_probs(table, jnp.array([[1, 1], [1, 1]]), jnp.array([0, 2]))[:, 0].tolist()  # of an end
    [-2.0, -1.0]
    """
    checks.floats("ngram_log_probs", table)
    if len(set(table.shape)) > 1:
        raise ValueError(f"ngram_log_probs: expected a table (v,) * n, found {checks.describe(table)}.")
    symbols, known = len(table), table.ndim - 1
    _check_blank("ngram_log_probs", blank, symbols)
    labels = checks.integers("ngram_log_probs", labels, ndim=1, name="labels")
    lengths = checks.integers("ngram_log_probs", lengths, name="lengths")
    checks.same_shape("ngram_log_probs", lengths=lengths, labels=labels[..., 0])
    checks.lengths("ngram_log_probs", lengths, labels.shape[-1], of="labels")
    place = jax.lax.broadcasted_iota(jnp.int32, labels.shape, labels.ndim - 1)
    labels = jnp.where(place < lengths[..., None], labels, blank)
    checks.in_range("ngram_log_probs", labels, symbols, of="symbols")
    fits = ((labels >= 0) & (labels < symbols)).all(-1) & (lengths >= 0) & (lengths <= labels.shape[-1])
    before = jnp.pad(labels, [(0, 0)] * (labels.ndim - 1) + [(known, 0)], constant_values=blank)
    places = lengths[..., None] + jnp.arange(known).reshape(*[1] * lengths.ndim, -1)
    context = jnp.take_along_axis(before, places, -1, mode="clip")
    found = jnp.asarray(table)[tuple(jnp.moveaxis(context, -1, 0))]
    return jnp.where(fits[..., None], found, jnp.nan)


def _check_blank(name: str, blank: int, symbols: int) -> None:
    if not 0 <= blank < symbols:
        raise ValueError(f"{name}: expected a blank in 0..{symbols - 1}, found {blank}.")
