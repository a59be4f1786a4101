"""Attention of sets by way of a few learned points: the points ask the rows, and the rows ask the points.

    induced_attention(p, x) -> y            rows that know of each other, in O(points * t)
    attention_pool(p, x) -> y               as many rows as there are points

Axes: `m` points, `t` rows, `d` embed.

Laws: how many points there are is in the shape of p; other orders of rows give the same rows in that order, and the
same pool.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, VarianceScaling, lecun_normal, normal
from jnn.layers._attention import attention, attention_spec
from jnn.param import Param, Params, Spec


def attention_pool_spec(
    d: int,
    heads: int,
    points: int,
    *,
    d_kv: int | None = None,
    bias: bool = True,
    init: Initializer | VarianceScaling = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares pooling by attention: points, and the attention that they ask with.

    Args:
      d: the size of a point, and of the output.
      heads: how many there are.
      points: how many rows come out.
      d_kv: the size of a row that comes in; d by default.
      bias, init: as in `attention_spec`.
      dtype: of all.

    Returns:
      {"points": (m, d), "attention": as `attention_spec` declares}

    >>> attention_pool_spec(64, 4, 8)["points"].shape
    (8, 64)
    """
    asking = attention_spec(d, heads, d_kv=d_kv, bias=bias, init=init, dtype=dtype)
    return {"points": Param((points, d), normal(1.0), ("position", "embed"), dtype), "attention": asking}


def attention_pool(p: Params, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Attention pooling: learned points attend to rows, as latents do in the Perceiver and seeds in set transformers.

    See "Set Transformer: A Framework for Attention-based Permutation-Invariant Neural Networks", Lee et al., 2019;
    "Perceiver: General Perception with Iterative Attention", Jaegle et al., 2021.

    Args:
      p: as `attention_pool_spec` declares.
      x: (..., t, d_kv), floating point.
      mask: bool, (..., 1, t), True where there is a row, as `length_mask` makes it.

    Returns:
      (..., m, d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_pool_spec(4, 2, 3))
    >>> attention_pool(p, jnp.ones((7, 5, 4))).shape
    (7, 3, 4)
    """
    checks.params("attention_pool", p, "points", "attention")
    checks.floats("attention_pool", x, ndim=2)
    points = p["points"].reshape((1,) * (x.ndim - 2) + p["points"].shape)
    return attention(p["attention"], _repeated(points, x), x, mask=mask)


def induced_attention_spec(
    d: int,
    heads: int,
    points: int,
    *,
    bias: bool = True,
    init: Initializer | VarianceScaling = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares induced attention: a pool of points, and attention to it.

    Args:
      d, heads, points, bias, init, dtype: as in `attention_pool_spec`.

    Returns:
      {"pool": as `attention_pool_spec` declares, "attention": as `attention_spec` does}

    >>> sorted(induced_attention_spec(64, 4, 8))
    ['attention', 'pool']
    """
    pool = attention_pool_spec(d, heads, points, bias=bias, init=init, dtype=dtype)
    return {"pool": pool, "attention": attention_spec(d, heads, bias=bias, init=init, dtype=dtype)}


def induced_attention(p: Params, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Induced set attention: rows attend to what learned points have found in all rows.

    See "Set Transformer: A Framework for Attention-based Permutation-Invariant Neural Networks", Lee et al., 2019:
    its block without the norms and the feed-forward networks, which a block of one's own puts around.

    Args:
      p: as `induced_attention_spec` declares.
      x: (..., t, d), floating point.
      mask: as in `attention_pool`.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError, ValueError: as `attention_pool`.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), induced_attention_spec(4, 2, 3))
    >>> induced_attention(p, jnp.ones((7, 5, 4))).shape
    (7, 5, 4)
    """
    checks.params("induced_attention", p, "pool", "attention")
    return attention(p["attention"], x, attention_pool(p["pool"], x, mask=mask))


def _repeated(points: jax.Array, x: jax.Array) -> jax.Array:
    """Points beside each example; their gradient adds up over these in float32 at least."""
    exact = points.astype(jnp.promote_types(jnp.promote_types(points.dtype, x.dtype), jnp.float32))
    return jnp.broadcast_to(exact, (*x.shape[:-2], *points.shape[-2:])).astype(x.dtype)
