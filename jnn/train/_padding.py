"""Rows of weight 0 are not there: what fills up a batch is overwritten by a row that is.

    real_rows(batch) -> which rows count        by batch["weight"]; None where there is no such entry
    default_weights(values, batch) -> weights   of a loss that names none: the batch's
    overwrite_padding(batch) -> batch           every row that does not count is a copy of one that does

A `where` in a loss cannot give that: the gradient of a product with what it hides is 0 times NaN. Weights stay 0.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.param import is_key
from jnn.train._context import Batch


def real_rows(batch: Batch) -> jax.Array | None:
    """(rows,) bools: those with any weight that is not 0, or None for a batch without weights.

    >>> real_rows({"x": jnp.ones((2, 3)), "weight": jnp.array([[1, 0], [0, 0]])}).tolist()
    [True, False]
    """
    if not isinstance(batch, dict) or "weight" not in batch:
        return None
    weight = jnp.asarray(batch["weight"])
    return (weight != 0).any(range(1, weight.ndim))


def default_weights(values: jax.Array, batch: Batch) -> jax.Array | None:
    """The weights of a loss that names none: the batch's, one for each value or for all of an example; None without.

    Raises:
      ValueError: it cannot be seen which of the batch's weights belongs to which value.

    >>> default_weights(jnp.ones((2, 3)), {"x": jnp.ones(2), "weight": jnp.array([[1.0], [0.0]])}).tolist()
    [1.0, 0.0]
    """
    if not isinstance(batch, dict) or "weight" not in batch:
        return None
    weight = jnp.asarray(batch["weight"])
    if weight.shape != values.shape[: weight.ndim] and weight.shape == (values.shape[0], 1):
        weight = weight[:, 0]
    if weight.shape != values.shape[: weight.ndim]:
        raise ValueError(
            f"train step: the loss's values have shape {values.shape} and batch['weight'] {weight.shape}: which weight "
            "is whose? Say it: LossOutput(values, weights); of tokens in rows batch['weight'].reshape(-1), of several "
            "values in a row for each example jnp.repeat(batch['weight'], n)."
        )
    return weight


def overwrite_padding(batch: Batch, axis: str | None = None) -> Batch:
    """Overwritten padding: the batch's first real row in place of every row of weight 0; unchanged where none is real.

    Args:
      batch: leaves (rows, ...); "weight" (rows,) or (rows, ...) as it will be.
      axis: of a `pmap` whose devices each hold some of the rows: the first real row of all is taken.

    >>> overwrite_padding({"x": jnp.array([jnp.nan, 5.0, 6.0]), "weight": jnp.array([0, 1, 1])})["x"].tolist()
    [5.0, 5.0, 6.0]
    """
    real = real_rows(batch)
    if real is None:
        return batch
    row = jnp.arange(real.size) + (0 if axis is None else real.size * jax.lax.axis_index(axis))
    first = jnp.where(real, row, jnp.iinfo(row.dtype).max).min()
    chosen = real & (row == (first if axis is None else jax.lax.pmin(first, axis)))
    there = _sum_of(chosen, axis)

    def fill(x: jax.Array) -> jax.Array:
        x = jnp.asarray(x)
        along = lambda mask: mask.reshape(-1, *[1] * (x.ndim - 1))
        if is_key(x):
            return x  # a key is a key, whatever the row
        # as a sum, which devices that share the rows add up: one row is moved, where indexing would move them all
        row = _sum_of(jnp.where(along(chosen), x, jnp.zeros_like(x)), axis)
        return jnp.where(along(real | (there == 0)), x, row[None].astype(x.dtype))

    return {name: leaf if name == "weight" else jax.tree.map(fill, leaf) for name, leaf in batch.items()}


def _sum_of(x: jax.Array, axis: str | None) -> jax.Array:
    narrow = x.dtype == jnp.bool_ or (jnp.issubdtype(x.dtype, jnp.integer) and jnp.iinfo(x.dtype).bits < 8)
    total = x.astype(jnp.int32).sum(0) if narrow else x.sum(0)
    return total if axis is None else jax.lax.psum(total, axis)
