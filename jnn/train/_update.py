"""One update: a batch's gradient, an optimizer, and what is averaged and remembered; pure and public.

    update(loss, optimizer, state, batch, key) -> (state, metrics)
    remember(memory, params, stats, rows, step) -> memory             once an update, after it

Several networks are several updates in a row, each with its own state, optimizer and key, and the others as `given`.

Laws: a batch of padding alone changes nothing but the step; neither does one whose gradient float16 cannot hold.
Params, optimizer state, statistics and memory keep their dtypes.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jnn import checks
from jnn.metrics import Last, Sum, check_metrics, of_nothing
from jnn.param import Params, flatten, misfits
from jnn.train._arguments import check_batch, check_extra, check_names, check_ranges, check_state
from jnn.train._context import Batch, Context, LossFn, Metrics
from jnn.train._gradients import Sums, gradient_sums, normalize, value_of
from jnn.train._loss_scale import SCALED, next_scale, scaled_sums, share
from jnn.train._optimizer import ask, clipped, extra_args
from jnn.train._padding import overwrite_padding
from jnn.train._state import TrainState, all_finite
from jnn.train._statistics import averages, running

AddUp = Callable[..., tuple[Sums, Any]]  # as `gradient_sums`
Remember = Callable[[Any, Params, Any, Any, jax.Array], Any]
Diagnostics = Callable[[Params, Params, Params], Metrics]


def update(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    sums: AddUp = gradient_sums,
    given: Any = None,
    remember: Remember | None = None,
    extra: Sequence[str] = ("value",),
    microbatches: int = 1,
    compute_dtype: DTypeLike | None = None,
    keep: Sequence[str] = (),
    clip_norm: float | None = None,
    ema_decay: float | None = None,
    stats_momentum: float = 0.9,
    diagnostics: Diagnostics | None = None,
) -> tuple[TrainState, Metrics]:
    """Update of a state by one batch: what `make_step` compiles.

    Args:
      loss: `loss(params, batch, ctx) -> LossOutput`.
      optimizer: an Optax transformation.
      state: from `create_state`.
      batch: leaves (rows, ...). Rows whose "weight" is 0 are overwritten by a real one before the loss sees them.
      key: one PRNG key for the whole run, folded with the state's step; of several networks each has its own, such as
        `jnn.path_key(key, "critic")`.
      sums: how the parts of a batch are added up; `jnn.parallel` brings ways of many devices.
      given: other networks and frozen parts, for the loss to read as `ctx.given`: no gradient of them is computed.
      remember: memory, the new params, the batch's statistics with their counts, the loss's rows, and the number of
        updates with this one -> new memory.
      extra: what is passed on to the optimizer by name: "value" (the mean with the penalty), "grad", "value_fn" and
        "grad_fn" (functions of params, on this batch). Which of them a chain of transformations wants cannot be seen.
      microbatches, compute_dtype, keep: as in `gradient_sums`. For float16 the gradient is scaled by a power of two,
        which is lowered within a step until the gradient is finite, and raised from time to time.
      clip_norm: scale gradients so that their global norm is at most this; `inf` only measures it.
      ema_decay: d in `ema = d * ema + (1 - d) * params`; for states created with `ema=True`.
      stats_momentum: m in `stats = m * stats + (1 - m) * batch's`.
      diagnostics: params, gradients (clipped) and updates -> more metrics, such as `gradient_norms`.

    Returns:
      The new state, and metrics: those of the loss, "loss" (without the penalty), with `clip_norm` "grad_norm" (before
      clipping), in float16 "loss_scale" and "gradient_overflow", the number of updates left out since no scale made
      their gradient finite.

    Raises:
      TypeError, ValueError: what is wrong with the batch, the loss, its output, the optimizer or the state; it says
        what to do.

    >>> from jnn.train import LossOutput, create_state
    >>> loss = lambda params, batch, ctx: LossOutput(params["w"] * batch["x"])
    >>> sgd = optax.sgd(0.1)
    >>> state = create_state({"w": jnp.ones(())}, sgd)
    >>> state, metrics = update(loss, sgd, state, {"x": jnp.ones(4)}, jax.random.key(0))
    >>> round(state.params["w"].item(), 3), metrics["loss"].value().item()
    (0.9, 1.0)
    """
    check_ranges(microbatches, clip_norm, ema_decay, stats_momentum, compute_dtype)
    check_state(state, ema_decay)
    check_names("keep", keep, batch if isinstance(batch, dict) else ())
    if microbatches > 1 or sums is not gradient_sums:
        check_extra(extra)
    check_batch(batch)
    batch, ctx = overwrite_padding(batch), _context(state, key, given)
    cast: dict[str, Any] = {"compute_dtype": compute_dtype, "keep": tuple(keep)}
    add = partial(sums, loss, state.params, batch, ctx, microbatches=microbatches, **cast)
    scaled = compute_dtype is not None and jnp.dtype(compute_dtype) in SCALED
    (summed, rows), scale = scaled_sums(add, state.loss_scale, batch) if scaled else (add(), jnp.ones(()))
    grads, metrics = clipped(normalize(summed, state.params, scale), clip_norm)
    args = extra_args(extra, summed, grads, partial(value_of, loss, batch=batch, ctx=ctx, **cast))
    updates, opt_state = ask(optimizer, grads, state, args)
    if diagnostics is not None:
        more = diagnostics(state.params, grads, updates)
        check_metrics("diagnostics", more, taken=(*metrics, *summed.metrics))
        metrics |= more
    params, stats = optax.apply_updates(state.params, updates), averages(summed.stats)
    new = dataclasses.replace(
        state,
        params=params,
        opt_state=like("the optimizer's state", opt_state, state.opt_state),
        stats=running(state.stats, stats, stats_momentum, more=remember is not None),
        ema=state.ema if ema_decay is None else _average(state.ema, params, ema_decay),
        memory=_remembered(remember, state.memory, params, stats, rows, state.step + 1),
    )
    real, fits = summed.weight != 0, all_finite(grads) if scaled else jnp.asarray(True)
    new = jax.tree.map(lambda a, b: jnp.where(real & fits, a, b), new, state).replace(step=state.step + 1)
    metrics = _counts(metrics, real & fits)
    if scaled:
        kept, more = _rescaled(state, scale, batch, real, fits)
        new, metrics = new.replace(loss_scale=kept), metrics | more
    check_metrics("train step", summed.metrics, taken=tuple(metrics))
    return new, _counts(summed.metrics, real) | metrics


def _context(state: TrainState, key: jax.Array, given: Any) -> Context:
    """What the loss may read in this update."""
    own = jax.random.fold_in(key, state.step)
    noise, draw = jax.random.fold_in(own, 0), jax.random.fold_in(own, 1)
    return Context(key=noise, draw=draw, step=state.step, memory=state.memory, ema=state.ema, given=given)


def _rescaled(
    state: TrainState, scale: jax.Array, batch: Batch, real: jax.Array, fits: jax.Array
) -> tuple[jax.Array, Metrics]:
    """The scale of the next update, and what is told of this one's."""
    # padding, or a gradient that no scale makes finite, says nothing about the next one's
    kept = jnp.where(real & fits, next_scale(scale, batch, state.step), state.loss_scale)
    overflow = Sum((real & ~fits).astype(jnp.float32))
    return kept, {"loss_scale": Last(scale / share(batch)), "gradient_overflow": overflow}


def check_options(where: str, options: dict[str, Any]) -> None:
    """Raises TypeError for an option that `update` does not have, ValueError for a number of parts that is none."""
    known = [name for name, p in inspect.signature(update).parameters.items() if p.kind is p.KEYWORD_ONLY]
    if unknown := sorted(options.keys() - set(known)):
        raise TypeError(f"{where}: no option {', '.join(unknown)}; there are {', '.join(known)}.")
    checks.count(where, "microbatches", options.get("microbatches", 1))


def like(what: str, new: Any, old: Any) -> Any:
    """The new tree in the dtypes of the old one.

    Raises:
      ValueError: it is another tree, or of other shapes.
      TypeError: it has numbers that the old one's dtypes cannot keep.
    """
    if problems := misfits(flatten(new), flatten(old), cast=True):
        error = TypeError if all(line.startswith("mistyped") for line in problems) else ValueError
        raise error(
            f"train step: {what} changed its tree, shapes or kinds of numbers:\n  "
            + "\n  ".join(problems)
            + "\nBegin with what it becomes."
        )
    return jax.tree.map(lambda a, b: jnp.asarray(a).astype(b.dtype) if hasattr(b, "dtype") else a, new, old)


def _remembered(remember: Remember | None, memory: Any, params: Params, stats: Any, rows: Any, step: jax.Array) -> Any:
    if remember is None:
        return memory
    return like("the memory", remember(memory, params, stats, rows, step), memory)


def _counts(metrics: Metrics, happened: jax.Array) -> Metrics:
    """The metrics of what may not have happened: of what did not, they hold nothing."""
    nothing = {name: of_nothing(metric) for name, metric in metrics.items()}
    return jax.tree.map(lambda x, none: jnp.where(happened, x, none), metrics, nothing)


def _average(old: Params, new: Params, decay: float) -> Params:
    return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b.astype(a.dtype), old, new)
