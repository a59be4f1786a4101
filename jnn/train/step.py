"""The stateless train step.

    loss(params, batch, stats, key) -> LossOutput       per-example values and weights; reduces nothing
    make_step(loss, optimizer, key) -> step             step(state, batch) -> (state, metrics)
    make_eval(loss) -> evaluate                         evaluate(state, batch) -> metrics

Laws: the step reduces once, so k micro-batches, any number of devices and padding rows of weight 0
give the same gradient; K steps in one call equal K calls; noise is a function of the key and the step.

In training the loss is called with `stats=None` (normalize by the batch's own statistics, return
them) and a key; in evaluation with the running statistics and `key=None`. There is no train flag.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jnn.metrics import Mean
from jnn.param import Params
from jnn.train.state import TrainState

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


def make_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    microbatches: int = 1,
    steps_per_call: int = 1,
    compute_dtype: DTypeLike | None = None,
    clip_norm: float | None = None,
    ema_decay: float | None = None,
    stats_momentum: float = 0.9,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """Builds `step(state, batch) -> (state, metrics)`: pure, compiled, the state's buffers donated.

    Args:
      loss: see the module's docstring.
      optimizer: any Optax transformation.
      key: one PRNG key for the whole run; folded with the step's number, and with the micro-batch's.
      microbatches: split the batch's leading axis into this many, and add their gradients up in a scan.
      steps_per_call: K > 1 takes batches with one more leading axis of size K, makes K updates in one
        dispatch, and returns metrics with that axis.
      compute_dtype: params and `batch["x"]` are cast to it for the loss; masters, gradients' sums and
        the optimizer stay as they are.
      clip_norm: scale gradients so that their global norm is at most this.
      ema_decay: d in `ema = d * ema + (1 - d) * params`; for states created with `ema=True`.
      stats_momentum: m in `stats = m * stats + (1 - m) * batch's`.

    Returns:
      The step. Its metrics are the loss function's, plus "loss" and "grad_norm".

    Raises (when the step is first called):
      ValueError: an empty batch, leaves of different lengths, or a batch that k does not divide.

    >>> from jnn.layers import linear, linear_spec
    >>> from jnn.losses import squared_error
    >>> from jnn.param import init
    >>> from jnn.train.state import create_state
    >>> def loss(params, batch, stats, key):
    ...     return LossOutput(squared_error(linear(params, batch["x"]), batch["y"]))
    >>> state = create_state(init(linear_spec(3, 1), jax.random.key(0)), optax.sgd(0.1))
    >>> step = make_step(loss, optax.sgd(0.1), jax.random.key(1))
    >>> state, metrics = step(state, {"x": jnp.ones((4, 3)), "y": jnp.ones((4, 1))})
    >>> int(state.step), metrics["loss"].weight.item()
    (1, 4.0)
    """

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        step_key = jax.random.fold_in(key, state.step)
        grads, stats, metrics = _gradient(loss, state.params, batch, step_key, microbatches, compute_dtype)
        norm = optax.tree.norm(grads)
        if clip_norm is not None:
            grads = optax.tree.scale(jnp.minimum(1.0, clip_norm / jnp.maximum(norm, 1e-12)), grads)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = TrainState(
            step=state.step + 1,
            params=params,
            stats=_average(state.stats, stats, stats_momentum),
            opt_state=opt_state,
            ema=state.ema if ema_decay is None else _average(state.ema, params, ema_decay),
        )
        return new, metrics | {"grad_norm": Mean(norm, jnp.ones(()))}

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, calls=steps_per_call, microbatches=microbatches)
        if (ema_decay is None) != (state.ema is None):
            raise ValueError("make_step(ema_decay=...) and create_state(ema=True) go together; found only one of them.")
        return update(state, batch) if steps_per_call == 1 else jax.lax.scan(update, state, batch)

    return jax.jit(step, donate_argnums=0)


def make_eval(loss: LossFn, *, use_ema: bool = False) -> Callable[[TrainState, Batch], Metrics]:
    """Builds `evaluate(state, batch) -> metrics`: running statistics, no noise, no update.

    >>> def loss(params, batch, stats, key):
    ...     return LossOutput(params["w"] * batch["x"])
    >>> from jnn.train.state import create_state
    >>> state = create_state({"w": jnp.ones(())}, optax.sgd(0.1))
    >>> make_eval(loss)(state, {"x": jnp.arange(4.0)})["loss"].value().item()
    1.5
    """

    def evaluate(state: TrainState, batch: Batch) -> Metrics:
        check_batch(batch)
        params = state.ema if use_ema else state.params
        return _weighted_sum(loss(params, batch, state.stats or None, None), batch)[1][1]

    return jax.jit(evaluate)


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


def _weighted_sum(out: LossOutput, batch: Batch) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
    """The weighted sum of values, the sum of weights, and the metrics with the loss among them."""
    values, examples = out.values.astype(jnp.float32), jax.tree.leaves(batch)[0].shape[0]
    if values.ndim == 0 or values.shape[0] % examples:
        raise ValueError(
            f"train step: the loss must return one value per example (or token), for {examples} examples; found "
            f"shape {values.shape}. Reduce nothing over examples: the step does, once."
        )
    weights = jnp.ones_like(values) if out.weights is None else out.weights.astype(jnp.float32)
    weights = jnp.broadcast_to(weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim)), values.shape)
    # where, not only times: a padding row may hold anything, and 0 * nan is nan
    total, weight = jnp.sum(jnp.where(weights == 0, 0.0, values * weights)), jnp.sum(weights)
    return total + weight * out.penalty, (weight, {**out.metrics, "loss": Mean(total, weight)})


def _gradient(
    loss: LossFn, params: Params, batch: Batch, key: jax.Array, microbatches: int, dtype: DTypeLike | None
) -> tuple[Params, Any, Metrics]:
    """The gradient of the weighted mean over the whole batch, the batch's statistics, the metrics."""

    def total(params: Params, part: Batch, key: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any, Metrics]]:
        if dtype is not None:
            params = _cast(params, dtype)
            part = part | {"x": _cast(part["x"], dtype)}
        out = loss(params, part, None, key)
        value, (weight, metrics) = _weighted_sum(out, part)
        return value, (weight, out.stats, metrics)

    def part_gradient(part: Batch, key: jax.Array) -> tuple[Params, jax.Array, Any, Metrics]:
        grads, (weight, stats, metrics) = jax.grad(total, has_aux=True)(params, part, key)
        return grads, weight, stats, metrics

    if microbatches == 1:
        grads, weight, stats, metrics = part_gradient(batch, key)
    else:
        parts = jax.tree.map(lambda x: x.reshape(microbatches, -1, *x.shape[1:]), batch)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(microbatches))
        shapes = jax.eval_shape(part_gradient, *jax.tree.map(lambda x: x[0], (parts, keys)))
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        add = lambda sums, part: (jax.tree.map(jnp.add, sums, part_gradient(*part)), None)  # noqa: E731
        (grads, weight, stats, metrics), _ = jax.lax.scan(add, zeros, (parts, keys))
        stats = jax.tree.map(lambda s: s / microbatches, stats)
    # weight is 0 only if every example is padding: then the sums are 0, and so is the update
    return optax.tree.scale(1 / jnp.where(weight == 0, 1.0, weight), grads), stats, metrics


def _average(old: Any, new: Any, momentum: float) -> Any:
    """`momentum * old + (1 - momentum) * new`, leaf by leaf; `old` where there is nothing new."""
    if not jax.tree.leaves(old):
        return old
    if str(jax.tree.structure(old)) != str(jax.tree.structure(new)):
        raise ValueError(
            f"train step: the loss returned stats {jax.tree.structure(new)}, the state holds {jax.tree.structure(old)}."
        )
    return jax.tree.map(lambda a, b: momentum * a + (1 - momentum) * jax.lax.stop_gradient(b).astype(a.dtype), old, new)


def _cast(tree: Any, dtype: DTypeLike) -> Any:
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
