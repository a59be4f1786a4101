"""The set transformer: the order of a set changes nothing, or the output as it changes the input.

    multihead_attention_block(p, x, y) -> (..., t, d)        MAB: x attends to y
    set_attention_block(p, x) -> (..., t, d)                 SAB: to itself
    induced_set_attention_block(p, x) -> (..., t, d)         ISAB: through a few points, in linear time
    pooling_by_attention(p, x) -> (..., k, d)                PMA: a few seeds attend to the set

Laws: equivariant, or invariant, to the order of elements; elements of mask False have no part.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform
from jnn.layers._attention import attention, attention_spec
from jnn.layers._linear import linear, linear_spec
from jnn.layers._norm import layer_norm, layer_norm_spec
from jnn.param import Param, Params, Spec
from jnn.precision import wide


def multihead_attention_block_spec(
    d: int, heads: int, *, d_kv: int | None = None, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a multi-head attention block (`multihead_attention_block`).

    Args:
      d: features of x and of the output.
      heads: how many heads there are.
      d_kv: features of y; d by default.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"attention": as `attention_spec`, "dense": {"w": (d, d), "b": (d,)}, "norm_in" and "norm_out": as
      `layer_norm_spec`}

    >>> sorted(multihead_attention_block_spec(8, 2))
    ['attention', 'dense', 'norm_in', 'norm_out']
    """
    return {
        "attention": attention_spec(d, heads, d_kv=d_kv, init=init, dtype=dtype),
        "dense": linear_spec(d, d, init=init, dtype=dtype),
        "norm_in": layer_norm_spec(d, dtype=dtype),
        "norm_out": layer_norm_spec(d, dtype=dtype),
    }


def multihead_attention_block(p: Params, x: jax.Array, y: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Multi-head attention block, MAB: `norm(h + relu(h W + b))` of `h = norm(x + attention(x, y))`.

    See "Set Transformer: A Framework for Attention-based Permutation-Invariant Neural Networks", Lee et al., 2019.

    Args:
      p: as declared by `multihead_attention_block_spec`.
      x: (..., t, d), floating point.
      y: (..., s, d_kv).
      mask: (..., s), bool: which elements of y there are; None for all.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError, ValueError: as `attention`.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), multihead_attention_block_spec(4, 2))
    >>> multihead_attention_block(p, jnp.ones((5, 4)), jnp.ones((3, 4))).shape
    (5, 4)
    """
    checks.params("multihead_attention_block", p, "attention", "dense", "norm_in", "norm_out")
    over = None if mask is None else check_elements("multihead_attention_block", y, mask)[..., None, :]
    h = layer_norm(p["norm_in"], x + attention(p["attention"], x, y, mask=over))
    return layer_norm(p["norm_out"], h + jax.nn.relu(linear(p["dense"], h)))


set_attention_block_spec = multihead_attention_block_spec
"""Declares a set attention block: as `multihead_attention_block_spec`."""


def set_attention_block(p: Params, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Set attention block, SAB: `multihead_attention_block(p, x, x)`; elements of mask False are seen by none.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), set_attention_block_spec(4, 2))
    >>> set_attention_block(p, jnp.ones((5, 4))).shape
    (5, 4)
    """
    return multihead_attention_block(p, x, x, mask=mask)


def induced_set_attention_block_spec(
    d: int, heads: int, points: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares an induced set attention block (`induced_set_attention_block`).

    Returns:
      {"points": (points, d), "in" and "out": as `multihead_attention_block_spec`}

    >>> induced_set_attention_block_spec(8, 2, 3)["points"].shape
    (3, 8)
    """
    block = multihead_attention_block_spec(d, heads, init=init, dtype=dtype)
    return {"points": _seeds(points, d, init, dtype), "in": block, "out": block}


def induced_set_attention_block(p: Params, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Induced set attention block, ISAB: a few learned points attend to x, and x to what they found.

    See "Set Transformer", Lee et al., 2019: linear in the size of the set.

    Args:
      p: as declared by `induced_set_attention_block_spec`.
      x: (..., t, d), floating point.
      mask: (..., t), bool: which elements there are; None for all.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError, ValueError: as `attention`.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), induced_set_attention_block_spec(4, 2, 3))
    >>> induced_set_attention_block(p, jnp.ones((7, 5, 4))).shape
    (7, 5, 4)
    """
    checks.params("induced_set_attention_block", p, "points", "in", "out")
    found = multihead_attention_block(p["in"], _for_each(p["points"], x), x, mask=mask)
    return multihead_attention_block(p["out"], x, found)


def pooling_by_attention_spec(
    d: int, heads: int, seeds: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares pooling by multi-head attention (`pooling_by_attention`).

    Returns:
      {"seeds": (seeds, d), "dense": {"w": (d, d), "b": (d,)}, "block": as `multihead_attention_block_spec`}

    >>> pooling_by_attention_spec(8, 2, 1)["seeds"].shape
    (1, 8)
    """
    block = multihead_attention_block_spec(d, heads, init=init, dtype=dtype)
    return {
        "seeds": _seeds(seeds, d, init, dtype),
        "dense": linear_spec(d, d, init=init, dtype=dtype),
        "block": block,
    }


def pooling_by_attention(p: Params, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Pooling by multi-head attention, PMA: learned seeds attend to `relu(x W + b)`.

    See "Set Transformer", Lee et al., 2019.

    Args:
      p: as declared by `pooling_by_attention_spec`.
      x: (..., t, d), floating point.
      mask: (..., t), bool: which elements there are; None for all.

    Returns:
      (..., k, d), in x's dtype.

    Raises:
      TypeError, ValueError: as `attention`.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), pooling_by_attention_spec(4, 2, 1))
    >>> pooling_by_attention(p, jnp.ones((7, 5, 4))).shape
    (7, 1, 4)
    """
    checks.params("pooling_by_attention", p, "seeds", "dense", "block")
    said = jax.nn.relu(linear(p["dense"], x))
    return multihead_attention_block(p["block"], _for_each(p["seeds"], x), said, mask=mask)


def _seeds(n: int, d: int, init: Init, dtype: DTypeLike) -> Param:
    return Param((n, d), init, ("seeds", "embed"), dtype, fan_in=("embed",), fan_out=("seeds",))


def _for_each(points: jax.Array, x: jax.Array) -> jax.Array:
    """The same points for every set of x: their gradient is summed over the sets in float32 at least."""
    checks.floats("sets", x, ndim=2)
    return jnp.broadcast_to(wide(points), (*x.shape[:-2], *points.shape)).astype(x.dtype)


def check_elements(layer: str, x: jax.Array, mask: jax.Array) -> jax.Array:
    """The mask, once it is known to be one bool for each element."""
    checks.array(layer, mask, "mask")
    if mask.dtype != jnp.bool_:
        raise TypeError(f"{layer}: expected a bool mask, found {checks.describe(mask)}.")
    if mask.shape != x.shape[:-1]:
        raise ValueError(f"{layer}: expected a mask of {x.shape[:-1]}, one per element, found {checks.describe(mask)}.")
    return mask
