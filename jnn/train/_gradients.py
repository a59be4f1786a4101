"""The gradient of a weighted mean as sums over parts of a batch, and the one division.

    gradient_sums(loss, params, batch, ctx) -> (Sums, rows)     parts only add
    normalize(sums, like) -> gradients                          divides, once

Laws: k micro-batches, any number of devices and rows of weight 0 give the same gradient; sums are in float32 at least;
gradients come in the dtypes of the params. Exceptions: losses whose rows see each other (contrastive ones, batch norm)
see those of their own part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import DTypeLike

from jnn.axes import gathered
from jnn.metrics import Concatenation, Mean, by_kind, check_metrics, fold, mean, to_add
from jnn.param import Params
from jnn.precision import computing, wide
from jnn.train._arguments import check_batch
from jnn.train._context import Batch, Context, LossFn, LossOutput, Metrics, check_output, check_params
from jnn.train._padding import default_weights, real_rows
from jnn.train._statistics import totals


class Sums(NamedTuple):
    """Gradient sums: what the parts of a batch add up to.

    Attributes:
      gradients: of the sum of weight * (value + penalty), times the scale; in the dtypes of params, float32 at least.
      weight: the sum of the weights.
      value: the sum of weight * (value + penalty).
      stats: each statistic times its count, and the counts.
      metrics: those of the loss, and "loss": the weighted mean of the values.
    """

    gradients: Params
    weight: jax.Array
    value: jax.Array
    stats: Any
    metrics: Metrics


def gradient_sums(
    loss: LossFn,
    params: Params,
    batch: Batch,
    ctx: Context,
    *,
    microbatches: int = 1,
    compute_dtype: DTypeLike | None = None,
    keep: Sequence[str] = (),
    scale: jax.Array | float = 1.0,
) -> tuple[Sums, Any]:
    """Gradient accumulation: the sums of a loss and its gradient over a batch, of one or more micro-batches.

    Args:
      loss: `loss(params, batch, ctx) -> LossOutput`, which reduces nothing.
      params: floating or complex arrays.
      batch: leaves (rows, ...). What rows of weight 0 hold must be finite here: `update` overwrites it.
      ctx: what else the loss may read.
      microbatches: how many parts the rows are dealt out to; their sums are added up in a scan. Each part has noise,
        draws and batch statistics of its own.
      compute_dtype: params, floating inputs, `ctx.given` and `ctx.ema` are cast to it for the loss, and layers compute
        in it; "y", "weight" and what `keep` names in the batch stay as they are. Losses, statistics, softmax and
        these sums stay in float32.
      keep: names in the batch that are not cast.
      scale: a factor of what is differentiated, a power of two, so that small gradients survive float16.

    Returns:
      The sums, and the loss's `rows` in the order of the batch.

    Raises:
      TypeError: a leaf of params has no gradient, the loss returned no `LossOutput`, or a metric is none.
      ValueError: the loss reduces over examples, its weights depend on params, or k does not divide the rows.
    """
    check_params("train step", params)
    check_batch(batch, microbatches=microbatches)
    part = partial(_part, loss, params, compute_dtype=compute_dtype, keep=tuple(keep), scale=scale)
    if microbatches == 1:
        sums, other, rows = part(batch, ctx)
        return sums._replace(metrics=sums.metrics | other), rows
    # every k-th row: a batch that is sharded over devices then stays where it is
    parts = jax.tree.map(lambda x: x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1), batch)
    one = lambda i, rows: part(rows, ctx.fold(i))
    shapes = jax.eval_shape(one, jnp.zeros((), jnp.int32), jax.tree.map(lambda x: x[0], parts))[0]
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(total: Sums, this: tuple[jax.Array, Batch]) -> tuple[Sums, tuple[Metrics, Any]]:
        sums, other, rows = one(*this)
        return jax.tree.map(jnp.add, total, sums), (other, rows)

    sums, (other, rows) = jax.lax.scan(add, zeros, (jnp.arange(microbatches), parts))
    other = {name: fold(metric) for name, metric in other.items()}
    rows = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:]), rows)
    return sums._replace(metrics=sums.metrics | other), rows


def normalize(sums: Sums, like: Params, scale: jax.Array | float = 1.0) -> Params:
    """Gradient of the weighted mean, in the dtypes of `like`: the sums, divided once by weight and scale.

    Of complex params it is the conjugate of JAX's, which leads downhill; of no weight at all it is 0.

    Args:
      sums: of all parts.
      like: params.
      scale: as the sums were made with.
    """
    share = 1 / (jnp.where(sums.weight == 0, 1.0, sums.weight) * scale)

    divide = lambda g, p: (g * share.astype(jnp.finfo(g.dtype).dtype)).astype(p.dtype)
    return downhill(jax.tree.map(divide, sums.gradients, like))


def downhill(gradients: Params) -> Params:
    """Gradients as optimizers want them: JAX's, and of complex params their conjugates."""
    return jax.tree.map(lambda g: jnp.conj(g) if jnp.iscomplexobj(g) else g, gradients)


def value_of(
    loss: LossFn, params: Params, batch: Batch, ctx: Context, *, compute_dtype: DTypeLike | None, keep: Sequence[str]
) -> jax.Array:
    """The objective by itself: the weighted mean of the values and the penalty, for an optimizer that asks for it."""
    value, (weight, _) = _objective(call(loss, params, batch, ctx, compute_dtype, keep), params)
    return value / jnp.where(weight == 0, 1.0, weight)


def call(
    loss: LossFn, params: Params, batch: Batch, ctx: Context, compute_dtype: DTypeLike | None, keep: Sequence[str] = ()
) -> LossOutput:
    """What the loss returns, computed in a dtype: see `gradient_sums`."""
    if compute_dtype is not None:
        stay = ("y", "weight", *keep)
        params = _cast(params, compute_dtype)
        ctx = ctx._replace(given=_cast(ctx.given, compute_dtype), ema=_cast(ctx.ema, compute_dtype))
        named = batch.items() if isinstance(batch, dict) else ()
        by_name = {name: value if name in stay else _cast(value, compute_dtype) for name, value in named}
        batch = by_name if isinstance(batch, dict) else _cast(batch, compute_dtype)
    of_networks = gathered(lambda params, given, ema: loss(params, batch, ctx._replace(given=given, ema=ema)))
    with computing(compute_dtype):
        out = of_networks(params, ctx.given, ctx.ema)
    check_output(out, batch)
    check_metrics("train step", out.metrics, taken=("loss",))
    weights = default_weights(out.values, batch) if out.weights is None else jnp.asarray(out.weights)
    return out if weights is None else out._replace(weights=jnp.where(weights < 0, jnp.nan, weights))


def _part(
    loss: LossFn,
    params: Params,
    batch: Batch,
    ctx: Context,
    *,
    compute_dtype: DTypeLike | None,
    keep: tuple[str, ...],
    scale: jax.Array | float,
) -> tuple[Sums, Metrics, Any]:
    """The sums of one part with the metrics that add, those that do not, and the rows."""

    def total(params: Params) -> tuple[jax.Array, Any]:
        out = call(loss, params, batch, ctx, compute_dtype, keep)
        value, (weight, values) = _objective(out, params)
        real = real_rows(batch)
        examples = jax.tree.leaves(batch)[0].shape[0]
        rows = jnp.asarray(float(examples)) if real is None else real.sum(dtype=jnp.float32)
        metrics = {name: m for name, m in out.metrics.items() if not isinstance(m, Concatenation)} | {"loss": values}
        return value * scale, (weight, value, totals({} if out.stats is None else out.stats, rows), metrics, out.rows)

    gradients, (weight, value, stats, metrics, rows) = jax.grad(total, has_aux=True)(params)
    adding, others = by_kind(metrics)
    return Sums(jax.tree.map(wide, gradients), weight, value, stats, to_add(adding)), others, rows


def _objective(out: LossOutput, params: Params) -> tuple[jax.Array, tuple[jax.Array, Mean]]:
    """The sum that is differentiated, the sum of the weights, and the metric of the values."""
    weights = out.weights
    if weights is not None:
        weights = jnp.asarray(weights)
        weights = weights if jnp.issubdtype(weights.dtype, jnp.floating) else weights.astype(jnp.float32)
        weights = _as_data(weights, [*jax.tree.leaves(params), jnp.zeros(())][0])
    loss = mean(out.values, weights)
    return loss.total + loss.weight * out.penalty, (loss.weight, loss)


def _cast(tree: Any, dtype: DTypeLike) -> Any:
    floating = lambda x: hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)
    return jax.tree.map(lambda x: x.astype(dtype) if floating(x) else x, tree)


@jax.custom_jvp
def _as_data(weights: jax.Array, param: jax.Array) -> jax.Array:
    """The weights; the parameter is there so that this is looked at when params are differentiated, and not later."""
    return weights


@partial(_as_data.defjvp, symbolic_zeros=True)
def _refuse(primals: Any, tangents: Any) -> tuple[jax.Array, Any]:
    if not isinstance(tangents[0], SymbolicZero):
        raise ValueError(
            "train step: the weights depend on params, and the weighted mean divides by their sum as by a constant. "
            "Put what depends on params into the values, or the weights under jax.lax.stop_gradient."
        )
    return primals[0], tangents[0]
