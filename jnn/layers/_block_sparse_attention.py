"""Attention of the pairs of blocks that a pattern names, and of no others.

    block_sparse_attention(q, k, v, blocks=bigbird_blocks(n)) -> y       `dot_product_attention` under that mask
    attention(p, x, attend=partial(block_sparse_attention, blocks=...))  multi-head attention by it

Axes: `t` queries in `m` blocks, `s` keys, `c` blocks of keys that a block of queries sees, `h` heads, `g` key-value
heads, `k` head size.

Laws: it is `dot_product_attention` with each entry of the pattern for all pairs of its two blocks, values and
gradients, but for the order of sums and the draw of dropout; work and memory are those of the blocks that are seen, or
less than twice that.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from types import EllipsisType

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from jnn import checks, flop_marks
from jnn.layers._dot_product_attention import attend_heads_first, check_attention, ranked
from jnn.layers._masks import visible
from jnn.layers._scores import Bias, Scores, shaped
from jnn.precision import take, wide


def block_sparse_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None = None,
    *,
    blocks: np.ndarray,
    causal: bool = False,
    window: int | None = None,
    bias: jax.Array | Bias | None = None,
    sinks: jax.Array | None = None,
    cap: float | None = None,
    rate: float = 0.0,
    key: jax.Array | EllipsisType | None = ...,
) -> jax.Array:
    """Block-sparse attention: `dot_product_attention` of the pairs of blocks that a pattern names, and of no others.

    See "Generating Long Sequences with Sparse Transformers", Child et al., 2019; "Big Bird: Transformers for Longer
    Sequences", Zaheer et al., 2020. Blocks that causality or the window hides are not computed either.

    Args:
      q, k, v, mask, causal, window, bias, sinks, cap, rate, key: as in `dot_product_attention`. A mask or a bias that
        is an array of all pairs is O(t s) by itself; one of keys alone, (..., 1, s), or a function of positions is not.
      blocks: (m, n), bool, of NumPy: whether queries of a block see keys of a block, which are t / m and s / n rows
        each. See `bigbird_blocks` and its neighbours.

    Returns:
      (..., t, h, k), in q's dtype; zeros for a query that may attend to nothing.

    Raises:
      TypeError, ValueError: as `dot_product_attention`; blocks are no bool array of NumPy, or do not divide t and s.

    >>> from jnn.layers import sliding_window_blocks
    >>> x = jnp.ones((8, 2, 4))
    >>> block_sparse_attention(x, x, x, blocks=sliding_window_blocks(4, 2)).shape
    (8, 2, 4)
    """
    check_attention("block_sparse_attention", q, k, v, mask, window)
    how = shaped("block_sparse_attention", q, k, bias, sinks, cap, rate, key) or Scores()
    rows, width = _sizes(blocks, q.shape[-3], k.shape[-3])
    mask, found, order = ranked(mask, q), [], []
    queries, keys, values = (_cut(a, size) for a, size in ((q, rows), (k, width), (v, width)))
    for i, part in enumerate(_parts(np.asarray(blocks), rows, width, causal, window)):
        y = jnp.moveaxis(take(queries, jnp.asarray(part.at), known=True), 0, -4)
        if part.size:
            allowed, now = part.mask(mask, q.ndim - 3), part.scores(how, i)
            with jax.named_scope("dot_product_attention"), flop_marks.pairs(part.pairs, part.size):
                y = attend_heads_first(y, part.gathered(keys), part.gathered(values), allowed, now)
        found.append(y if part.size else jnp.zeros_like(y))
        order.append(part.at)
    back = jnp.asarray(np.argsort(np.concatenate(order)))
    y = jnp.moveaxis(take(jnp.moveaxis(jnp.concatenate(found, -4), -4, 0), back, known=True), 0, -4)
    return checkpoint_name(y.reshape(q.shape), "attended")  # for `jnn.remat`


@dataclasses.dataclass(frozen=True)
class _Part:
    """Blocks of queries that see about equally many blocks of keys.

    Attributes:
      at: (m,), which they are.
      keys: (m, c), blocks of keys: those that each sees, and others to make up the number.
      seen: (m, c), bool: which are seen.
      rows, width: of a block of queries, and of keys.
      causal, window: what is seen within blocks.
    """

    at: np.ndarray
    keys: np.ndarray
    seen: np.ndarray
    rows: int
    width: int
    causal: bool
    window: int | None

    @property
    def size(self) -> int:
        """How many pairs are computed."""
        return self.keys.size * self.rows * self.width

    @functools.cached_property
    def pairs(self) -> int:
        """How many of them are seen, a mask aside."""
        i = (self.at[:, None] * self.rows + np.arange(self.rows))[..., None]
        first = self.keys[:, None] * self.width
        last = first + self.width - 1
        if self.window is not None:
            first, last = np.maximum(first, i - self.window + 1), np.minimum(last, i + self.window - 1)
        last = np.minimum(last, i) if self.causal else last + 0 * i
        return int(np.sum(np.maximum(last - first + 1, 0) * self.seen[:, None]))

    @property
    def positions(self) -> tuple[jax.Array, jax.Array]:
        """Those of queries (m, rows), and of keys (m, c * width)."""
        of = lambda at, size: jnp.asarray(at * size)[..., None] + jnp.arange(size).reshape(*(1,) * at.ndim, -1)
        return of(self.at, self.rows), of(self.keys, self.width).reshape(len(self.at), -1)

    def gathered(self, blocks: jax.Array) -> jax.Array:
        """(n, ..., width, g, k) -> (..., m, c * width, g, k)."""
        a = jnp.moveaxis(take(blocks, jnp.asarray(self.keys), known=True), (0, 1), (-5, -4))
        return a.reshape(*a.shape[:-4], -1, *a.shape[-2:])

    def mask(self, mask: jax.Array | None, leading: int) -> jax.Array | None:
        """(..., m, rows, c * width), of a mask (..., t, s) too; None where all is seen."""
        if mask is None and self.pairs == self.size:
            return None
        own = jax.vmap(functools.partial(visible, causal=self.causal, window=self.window))(*self.positions)
        own = (own & np.repeat(self.seen, self.width, axis=1)[:, None]).reshape((1,) * leading + own.shape)
        return own if mask is None else own & self.of_pairs(mask)

    def scores(self, how: Scores, i: int) -> Scores:
        """How scores of these become weights; dropout by a key of their own."""
        key = None if how.key is None else jax.random.fold_in(how.key, i)
        bias = how.bias
        if callable(bias):
            bias = jax.vmap(bias)(*self.positions)
        elif bias is not None:
            bias = jnp.swapaxes(self.of_pairs(wide(bias.reshape((1,) * (3 - bias.ndim) + bias.shape))), -3, -4)
        return how._replace(bias=bias, key=key)

    def of_pairs(self, a: jax.Array) -> jax.Array:
        """What there is for all pairs (..., t, s), for these: (..., m, rows, c * width); sizes of 1 stay."""
        *leading, t, s = a.shape
        a = a[..., None, :, :] if t == 1 else a.reshape(*leading, -1, self.rows, s)[..., self.at, :, :]
        if s == 1:
            return a
        a = a.reshape(*a.shape[:-1], -1, self.width)
        ids = self.keys[:, None, :, None].reshape(*(1,) * len(leading), len(self.at), 1, -1, 1)
        a = jnp.take_along_axis(a, jnp.asarray(ids), -2)
        return a.reshape(*a.shape[:-2], -1)


def _parts(pattern: np.ndarray, rows: int, width: int, causal: bool, window: int | None) -> Iterator[_Part]:
    """All blocks of queries, by how many they see: up to 1, 2, 4, 8, ..."""
    first, start = np.arange(len(pattern))[:, None] * rows, np.arange(pattern.shape[1]) * width
    if causal:
        pattern = pattern & (start < first + rows)
    if window is not None:
        pattern = pattern & (start - first < window + rows - 1) & (first - start < window + width - 1)
    counts = pattern.sum(1)
    level = np.where(counts == 0, -1, np.ceil(np.log2(np.maximum(counts, 1))))
    for one in np.unique(level):
        at = np.flatnonzero(level == one)
        keys = np.argsort(~pattern[at], axis=1, kind="stable")[:, : counts[at].max()]
        yield _Part(at, keys, np.take_along_axis(pattern[at], keys, 1), rows, width, causal, window)


def _cut(a: jax.Array, size: int) -> jax.Array:
    """(..., t, h, k) -> (m, ..., size, h, k)."""
    return jnp.moveaxis(a.reshape(*a.shape[:-3], -1, size, *a.shape[-2:]), -4, 0)


def _sizes(blocks: np.ndarray, t: int, s: int) -> tuple[int, int]:
    """How many rows a block of queries has, and one of keys, once the pattern is known to fit."""
    if not isinstance(blocks, np.ndarray) or blocks.dtype != np.bool_ or blocks.ndim != 2:
        raise TypeError(
            "block_sparse_attention: expected blocks, a bool array of NumPy (m, n) that is known while tracing, found "
            f"{checks.describe(blocks)}. See bigbird_blocks."
        )
    if not blocks.size or t % blocks.shape[0] or s % blocks.shape[1]:
        raise ValueError(
            f"block_sparse_attention: expected blocks that divide {t} queries and {s} keys, found {blocks.shape}. Fill "
            "the rows up, and hide those keys by a mask."
        )
    return t // blocks.shape[0], s // blocks.shape[1]
