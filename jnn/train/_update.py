"""One update: a batch's gradient, an optimizer, and what is averaged and remembered; pure and public.

    update(loss, optimizer, state, batch, key) -> (state, metrics)
    remember(memory, params, stats, rows, step) -> memory             once an update, after it

Several networks are several updates in a row, each with its own state, optimizer and key, and the others as `given`.

Laws: a batch of padding alone changes nothing but the step; neither does one whose gradient float16 cannot hold.
Params, optimizer state, statistics and memory keep their dtypes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jnn.metrics import Last, Mean, Sum, check_metrics, of_nothing
from jnn.param import Params, flatten, misfits
from jnn.precision import wide
from jnn.train._arguments import check_batch, check_extra, check_names, check_ranges, check_state
from jnn.train._context import Batch, Context, LossFn, Metrics, check_optimizer
from jnn.train._gradients import Sums, downhill, gradient_sums, normalize, value_of
from jnn.train._loss_scale import SCALED, next_scale, scaled_sums, share
from jnn.train._padding import overwrite_padding
from jnn.train._state import TrainState, all_finite
from jnn.train._statistics import averages, running

AddUp = Callable[..., tuple[Sums, Any]]  # as `gradient_sums`
Remember = Callable[[Any, Params, Any, Any, jax.Array], Any]
OF_THE_LOSS = ("value", "grad", "value_fn", "grad_fn")  # what `extra` may name
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
    batch = overwrite_padding(batch)
    own = jax.random.fold_in(key, state.step)
    ctx = Context(
        key=jax.random.fold_in(own, 0),
        draw=jax.random.fold_in(own, 1),
        step=state.step,
        memory=state.memory,
        ema=state.ema,
        given=given,
    )
    cast: dict[str, Any] = {"compute_dtype": compute_dtype, "keep": tuple(keep)}
    add = partial(sums, loss, state.params, batch, ctx, microbatches=microbatches, **cast)
    scaled = compute_dtype is not None and jnp.dtype(compute_dtype) in SCALED
    (summed, rows), scale = scaled_sums(add, state.loss_scale, batch) if scaled else (add(), jnp.ones(()))
    grads = normalize(summed, state.params, scale)
    metrics: Metrics = {}
    if clip_norm is not None:
        norm, grads = _clip(grads, clip_norm)
        metrics["grad_norm"] = Mean(norm, jnp.ones_like(norm))
    args = _extra(extra, summed, grads, partial(value_of, loss, batch=batch, ctx=ctx, **cast))
    updates, opt_state = _ask(optimizer, grads, state, args)
    if diagnostics is not None:
        more = diagnostics(state.params, grads, updates)
        check_metrics("diagnostics", more, taken=(*metrics, *summed.metrics))
        metrics |= more
    params = optax.apply_updates(state.params, updates)
    stats = averages(summed.stats)
    new = TrainState(
        step=state.step + 1,
        params=params,
        opt_state=like("the optimizer's state", opt_state, state.opt_state),
        stats=running(state.stats, stats, stats_momentum, more=remember is not None),
        ema=state.ema if ema_decay is None else _average(state.ema, params, ema_decay),
        memory=_remembered(remember, state.memory, params, stats, rows, state.step + 1),
        loss_scale=state.loss_scale,
    )
    fits = all_finite(grads) if scaled else jnp.asarray(True)
    happened = (summed.weight != 0) & fits
    new = jax.tree.map(lambda a, b: jnp.where(happened, a, b), new, state).replace(step=state.step + 1)
    metrics = _counts(metrics, happened)
    if scaled:
        # padding, or a gradient that no scale makes finite, says nothing about the next one's
        kept = jnp.where(happened, next_scale(scale, batch, state.step), state.loss_scale)
        new = new.replace(loss_scale=kept)
        overflow = Sum((~fits & (summed.weight != 0)).astype(jnp.float32))
        metrics |= {"loss_scale": Last(scale / share(batch)), "gradient_overflow": overflow}
    check_metrics("train step", summed.metrics, taken=tuple(metrics))
    return new, _counts(summed.metrics, summed.weight != 0) | metrics


def check_options(where: str, options: dict[str, Any]) -> None:
    """Raises TypeError for an option that `update` does not have."""
    known = [name for name, p in inspect.signature(update).parameters.items() if p.kind is p.KEYWORD_ONLY]
    if unknown := sorted(options.keys() - set(known)):
        raise TypeError(f"{where}: no option {', '.join(unknown)}; there are {', '.join(known)}.")


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


def _clip(grads: Params, limit: float) -> tuple[jax.Array, Params]:
    """The global norm, in float32 at least, and the gradients within it."""
    grads_wide = jax.tree.map(wide, grads)
    norm = optax.tree.norm(grads_wide)
    norm = jax.lax.cond(jnp.isfinite(norm), lambda tree: norm, _norm_of_large, grads_wide)
    factor = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    return norm, jax.tree.map(lambda g: (g * factor).astype(g.dtype), grads)


def _norm_of_large(tree: Params) -> jax.Array:
    """The norm of numbers whose squares overflow: of what they are to the largest one, times that."""
    largest = jax.tree.reduce(jnp.maximum, jax.tree.map(lambda x: jnp.abs(x).max(initial=0), tree), jnp.zeros(()))
    return largest * optax.tree.norm(jax.tree.map(lambda x: x / largest, tree))


def _counts(metrics: Metrics, happened: jax.Array) -> Metrics:
    """The metrics of what may not have happened: of what did not, they hold nothing."""
    nothing = {name: of_nothing(metric) for name, metric in metrics.items()}
    return jax.tree.map(lambda x, none: jnp.where(happened, x, none), metrics, nothing)


def _extra(names: Sequence[str], summed: Sums, grads: Params, value_fn: Callable[..., jax.Array]) -> dict[str, Any]:
    """What an optimizer may ask for, by name."""
    known: dict[str, Callable[[], Any]] = {
        "value": lambda: summed.value / jnp.where(summed.weight == 0, 1.0, summed.weight),
        "grad": lambda: grads,
        "value_fn": lambda: lambda params: value_fn(params=params),
        "grad_fn": lambda: lambda params, *_: downhill(jax.grad(lambda p: value_fn(params=p))(params)),
    }
    check_names("extra", names, known)
    return {name: known[name]() for name in names}


def _ask(optimizer: Any, grads: Params, state: TrainState, args: dict[str, Any]) -> tuple[Params, Any]:
    """The optimizer's updates and new state."""
    check_optimizer("update", optimizer)
    transform = optimizer.gradient_transformation() if hasattr(optimizer, "gradient_transformation") else optimizer
    transform = optax.with_extra_args_support(transform)
    takes = inspect.signature(transform.update).parameters
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values()):
        args = {name: value for name, value in args.items() if name in takes}  # it says that it wants no other
    try:
        return transform.update(grads, state.opt_state, state.params, **args)
    except Exception as error:
        fresh = jax.eval_shape(transform.init, state.params)
        found, expected = (str(jax.tree.structure(tree)) for tree in (state.opt_state, fresh))
        if found != expected:
            raise ValueError(
                "update: the optimizer's state is that of another optimizer. Give create_state and make_step the same "
                f"one; found {_kinds(found)}, expected {_kinds(expected)}."
            ) from error
        if args.keys() >= {name for name in OF_THE_LOSS if name in str(error)} and "missing" not in str(error):
            raise
        raise TypeError(
            f"update: the optimizer asks for more than it is given ({error}). Name it: make_step(..., "
            'extra=("value", "grad", "value_fn")).'
        ) from error


def _kinds(structure: str) -> str:
    """The named tuples of an optimizer's state, which say whose it is."""
    return ", ".join(re.findall(r"namedtuple\[(\w+)\]", structure)) or structure


def _average(old: Params, new: Params, decay: float) -> Params:
    return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b.astype(a.dtype), old, new)
