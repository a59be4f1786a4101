"""Masks: who may attend to whom, True where a query may attend to a key. Combine them by `&`.

    length_mask(lengths, s) -> (..., 1, s)        the first keys alone
    segment_mask(segments) -> (..., t, s)         keys of the query's own segment alone
    visible(queries, keys, ...) -> (t, s)         what causality and a window leave
    within(mask, q, k, ...) -> (..., t, s)        of a mask, too

Axes: `t` queries, `s` keys; an axis of size 1 stands for any number of equal rows.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks


def length_mask(lengths: jax.Array, s: int) -> jax.Array:
    """Padding mask: every query attends to the first `lengths` of s keys alone: (...) -> (..., 1, s).

    >>> length_mask(jnp.array([2]), 3).tolist()
    [[[True, True, False]]]
    """
    checks.integers("length_mask", lengths)
    keys = jax.lax.broadcasted_iota(jnp.int32, (*lengths.shape, 1, s), lengths.ndim + 1)
    return keys < lengths[..., None, None]


def segment_mask(segments: jax.Array, kv_segments: jax.Array | None = None) -> jax.Array:
    """Segment mask: queries attend to keys of their own segment alone: (..., t), (..., s) -> (..., t, s).

    >>> segment_mask(jnp.array([0, 0, 1])).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    """
    kv_segments = segments if kv_segments is None else kv_segments
    checks.integers("segment_mask", segments, ndim=1)
    checks.integers("segment_mask", kv_segments, ndim=1)
    return segments[..., :, None] == kv_segments[..., None, :]


def visible(queries: jax.Array, keys: jax.Array, *, causal: bool, window: int | None) -> jax.Array:
    """Causal mask, (t,) and (s,) positions -> (t, s): keys that come no later if `causal`, and less than `window` away.

    >>> visible(jnp.arange(3), jnp.arange(3), causal=True, window=2).astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    """
    ahead = queries[:, None] - keys[None, :]
    allowed = ahead >= 0 if causal else jnp.ones_like(ahead, bool)
    return allowed if window is None else allowed & (jnp.abs(ahead) < window)


def within(mask: jax.Array | None, q: jax.Array, k: jax.Array, *, causal: bool, window: int | None) -> jax.Array | None:
    """What causality and a window leave of a mask, for (..., t, h, k) and (..., s, g, k); None if that is all."""
    if not causal and window is None:
        return mask
    allowed = visible(jnp.arange(q.shape[-3]), jnp.arange(k.shape[-3]), causal=causal, window=window)
    allowed = allowed.reshape((1,) * (q.ndim - 3) + allowed.shape)
    return allowed if mask is None else mask & allowed


def check_window(layer: str, window: int | None) -> None:
    """Raises unless a window holds the query itself at least."""
    if window is not None and window < 1:
        raise ValueError(f"{layer}: a window counts the rows that a query may see, itself among them; found {window}.")


def check_mask(layer: str, mask: jax.Array, want: tuple[int, ...]) -> None:
    """Raises unless mask is bool and of shape `want`, or its last two axes, sizes of 1 aside."""
    checks.array(layer, mask, "mask")
    if mask.dtype != jnp.bool_:
        raise TypeError(
            f"{layer}: expected a bool mask, True where a query may attend, found {checks.describe(mask)}. Of a mask "
            "of 1 and 0 type mask == 1; of one of 0 and -inf, which is added to scores, mask == 0."
        )
    fits = mask.ndim in (2, len(want)) and all(m in (1, w) for m, w in zip(mask.shape[::-1], want[::-1], strict=False))
    if not fits:
        raise ValueError(f"{layer}: expected a mask of {want} or {want[-2:]} (sizes may be 1), found {mask.shape}.")
