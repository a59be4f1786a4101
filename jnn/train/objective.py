"""What a loss function returns, and its one reduction: the gradient of a weighted mean over a batch.

    loss(params, batch, stats, key) -> LossOutput       per-example values and weights; reduces nothing

Laws: k micro-batches, any number of devices and padding rows of weight 0 give the same gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jnn.metrics import mean
from jnn.param import Params

Batch = dict[str, Any]
Metrics = dict[str, Any]


class LossOutput(NamedTuple):
    """What a loss function returns.

    Attributes:
      values: one per example or token, any shape.
      weights: the same shape (or that of the leading axes); None means 1 each.
      stats: the batch's own statistics, in the tree that evaluation will get back averaged.
      metrics: name -> a metric from `jnn.metrics` (sums, not means).
      penalty: a scalar added once to the mean of the values, such as `jnn.losses.l2`.
    """

    values: jax.Array
    weights: jax.Array | None = None
    stats: Any = None
    metrics: Metrics = {}  # noqa: RUF012 (a NamedTuple default, never mutated)
    penalty: jax.Array | float = 0.0


LossFn = Callable[[Params, Batch, Any, jax.Array | None], LossOutput]


def check_batch(batch: Batch, *, calls: int = 1, microbatches: int = 1) -> None:
    """Raises ValueError unless every leaf has the same, divisible, non-zero leading size."""
    leading = 2 if calls > 1 else 1
    sizes = {jax.tree_util.keystr(path): x.shape[:leading] for path, x in jax.tree_util.tree_leaves_with_path(batch)}
    found = ", ".join(f"batch{name} {shape}" for name, shape in sizes.items())
    if len(set(sizes.values())) != 1 or any(len(shape) < leading or 0 in shape for shape in sizes.values()):
        raise ValueError(f"train step: expected leaves with one common, non-empty leading size, found {found}.")
    (shape,) = set(sizes.values())
    if calls > 1 and shape[0] != calls:
        raise ValueError(
            f"train step: steps_per_call={calls} expects batches stacked to ({calls}, ...), found {found}."
        )
    if shape[-1] % microbatches:
        raise ValueError(f"train step: {microbatches} micro-batches do not divide the batch: {found}.")


def weighted_sum(out: LossOutput, batch: Batch) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
    """The weighted sum of values, the sum of weights, and the metrics with the loss among them."""
    values, examples = out.values, jax.tree.leaves(batch)[0].shape[0]
    if values.ndim == 0 or values.shape[0] % examples:
        raise ValueError(
            f"train step: the loss must return one value per example (or token), for {examples} examples; found "
            f"shape {values.shape}. Reduce nothing over examples: the step does, once."
        )
    loss = mean(values, out.weights)
    return loss.total + loss.weight * out.penalty, (loss.weight, {**out.metrics, "loss": loss})


def gradient(
    loss: LossFn, params: Params, batch: Batch, key: jax.Array, microbatches: int, dtype: DTypeLike | None
) -> tuple[Params, Any, Metrics]:
    """The gradient of the weighted mean over the whole batch, the batch's statistics, the metrics."""

    def total(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any, Metrics]]:
        if dtype is not None:
            params = _cast(params, dtype)
            part = {name: _cast(value, dtype) if name == "x" else value for name, value in part.items()}
        out = loss(params, part, None, key)
        value, (weight, metrics) = weighted_sum(out, part)
        return value, (weight, out.stats, metrics)

    def part_gradient(part: Batch, key: jax.Array) -> tuple[Params, jax.Array, Any, Metrics]:
        grads, (weight, stats, metrics) = jax.grad(total, has_aux=True)(params, part, key)
        return grads, weight, stats, metrics

    if microbatches == 1:
        grads, weight, stats, metrics = part_gradient(batch, key)
    else:
        # every k-th row: a batch that is sharded over devices then stays where it is
        parts = jax.tree.map(lambda x: x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1), batch)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(microbatches))
        shapes = jax.eval_shape(part_gradient, *jax.tree.map(lambda x: x[0], (parts, keys)))
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        add = lambda sums, part: (jax.tree.map(jnp.add, sums, part_gradient(*part)), None)
        (grads, weight, stats, metrics), _ = jax.lax.scan(add, zeros, (parts, keys))
        stats = jax.tree.map(lambda s: s / microbatches, stats)
    # weight is 0 only if every example is padding: then the sums are 0, and so is the update
    return optax.tree.scale(1 / jnp.where(weight == 0, 1.0, weight), grads), stats, metrics


def _cast(tree: Any, dtype: DTypeLike) -> Any:
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
