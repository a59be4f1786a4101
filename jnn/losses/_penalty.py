"""Penalties on the size of params: scalars for `LossOutput(..., penalty=strength * l2(spec, params))`.

Which leaves pay is read off the spec: linear maps do; biases, scales and offsets do not.
Law: a penalty counts once per update, however many micro-batches and devices share the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.param import Param, Params, Spec, flatten, weight_mask
from jnn.precision import wide


def l1(spec: Spec, params: Params, *, mask: Any = None) -> jax.Array:
    """L1 penalty: the sum of absolute values.

    See "Regression Shrinkage and Selection via the Lasso", Tibshirani, 1996.

    Args:
      spec: the declaration of params.
      params: the tree of arrays that it declares.
      mask: a tree of bools like params that says which leaves count, instead of `jnn.weight_mask(spec)`.

    Returns:
      A scalar, float32 at least.

    Raises:
      ValueError: spec, params and mask are not the same tree.

    >>> from jnn.layers import linear_spec
    >>> l1(linear_spec(2, 1), {"w": jnp.array([[3.0], [-4.0]]), "b": jnp.array([9.0])})
    Array(7., dtype=float32)
    """
    return _total("l1", jnp.abs, spec, params, mask)


def l2(spec: Spec, params: Params, *, mask: Any = None) -> jax.Array:
    """L2 penalty: the sum of squares. Its gradient is 2w: strength d/2 is what plain SGD calls a weight decay of d.

    See "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Hoerl and Kennard, 1970.

    Args:
      spec: the declaration of params.
      params: the tree of arrays that it declares.
      mask: a tree of bools like params that says which leaves count, instead of `jnn.weight_mask(spec)`.

    Returns:
      A scalar, float32 at least.

    Raises:
      ValueError: spec, params and mask are not the same tree.

    >>> from jnn.layers import linear_spec
    >>> l2(linear_spec(2, 1), {"w": jnp.array([[3.0], [-4.0]]), "b": jnp.array([9.0])})
    Array(25., dtype=float32)
    """
    return _total("l2", jnp.square, spec, params, mask)


def _total(name: str, cost: Callable[[jax.Array], jax.Array], spec: Spec, params: Params, mask: Any) -> jax.Array:
    if not all(isinstance(leaf, Param) for leaf in jax.tree.leaves(spec)):
        raise TypeError(f"{name}: expected the spec first, {name}(spec, params), found a tree without Params.")
    for path, leaf in flatten(params).items():
        checks.array(name, leaf, path)
    chosen = weight_mask(spec) if mask is None else mask
    structures = {jax.tree.structure(tree) for tree in (spec, params, chosen)}
    if len(structures) > 1:
        found = "\n  ".join(map(str, structures))
        raise ValueError(f"{name}: expected spec, params and mask to be one tree, found\n  {found}")
    terms = jax.tree.map(lambda x, counts: jnp.sum(cost(wide(x))) if counts else 0.0, params, chosen)
    return sum(jax.tree.leaves(terms), start=jnp.zeros(()))
