"""The stateless train step: an update, compiled.

    make_step(loss, optimizer, key) -> step             step(state, batch) -> (state, metrics)
    compile_step(f) -> step                             any such function: several updates in a row, a GAN's
    make_eval(loss) -> evaluate                         evaluate(state, batch) -> metrics

Laws: the step reduces once, so k micro-batches, any number of devices and padding rows of weight 0
give the same gradient; K steps in one call equal K calls; noise is a function of the key and the step.

In training a loss is called with `ctx.stats=None` (normalize by the batch's own statistics, return them) and a
`ctx.key`; in evaluation with the running statistics and `ctx.key=None`. There is no train flag.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax
from jax.typing import DTypeLike

from jnn import checks
from jnn.metrics import check_metrics, mean
from jnn.param import Params, check_key
from jnn.program import Program
from jnn.train._arguments import check_batch
from jnn.train._batches import Step
from jnn.train._context import Batch, Context, LossFn, Metrics, check_loss, check_optimizer
from jnn.train._gradients import call
from jnn.train._padding import overwrite_padding
from jnn.train._state import step_of
from jnn.train._update import check_options, update


class CompiledStep(Program):
    """A step as a program, which knows how many updates a call of it makes: `fit` asks."""

    def __init__(self, step: Step, steps_per_call: int, given: Any) -> None:
        super().__init__(step, "step", donate_argnums=(0,), given=given)
        self.steps_per_call = steps_per_call


def make_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    steps_per_call: int = 1,
    given: Any = None,
    **options: Any,
) -> CompiledStep:
    """Train step: builds `step(state, batch) -> (state, metrics)`, pure, compiled, the state's buffers donated.

    Args:
      loss, optimizer, key: as in `update`.
      steps_per_call: K > 1 takes batches with one more leading axis of size K, makes K updates in one
        dispatch, and returns metrics with that axis.
      given: other networks and frozen parts, for the loss to read as `ctx.given`; an argument of the program, not a
        constant in it.
      options: the others of `update`: `microbatches`, `compute_dtype`, `keep`, `clip_norm`, `ema_decay`,
        `stats_momentum`, `remember`, `extra`, `diagnostics`, `sums`.

    Raises (the last when the step is first called):
      TypeError: the loss does not take (params, batch, ctx), the optimizer is none, or an option is unknown.
      ValueError: an empty batch, leaves of different lengths, a batch that k does not divide, a loss that
        reduces over examples, or stats and averages that the state was not created for.

    >>> import jax.numpy as jnp
    >>> from jnn.layers import linear, linear_spec
    >>> from jnn.losses import squared_error
    >>> from jnn.param import init
    >>> from jnn.train import LossOutput, create_state
    >>> def loss(params, batch, ctx):
    ...     return LossOutput(squared_error(linear(params, batch["x"]), batch["y"]))
    >>> state = create_state(init(linear_spec(3, 1), jax.random.key(0)), optax.sgd(0.1))
    >>> step = make_step(loss, optax.sgd(0.1), jax.random.key(1))
    >>> state, metrics = step(state, {"x": jnp.ones((4, 3)), "y": jnp.ones((4, 1))})
    >>> int(state.step), metrics["loss"].weight.item()
    (1, 4.0)
    """
    check_loss("make_step", loss)
    check_optimizer("make_step", optimizer)
    check_key("make_step", key)
    check_options("make_step", options)
    one = lambda state, batch, **others: update(loss, optimizer, state, batch, key, **options, **others)
    return compile_step(one, steps_per_call=steps_per_call, given=given)


def compile_step(f: Step, *, steps_per_call: int = 1, given: Any = None) -> CompiledStep:
    """Compiled step: of any `f(state, batch) -> (state, metrics)`, the state's buffers donated.

    Args:
      f: one update, or several in a row, of any state: a pytree with a scalar `step` that f raises by 1.
      steps_per_call: K > 1 scans f over batches with one more leading axis.
      given: passed on as `f(state, batch, given=given)`, where there is any.

    Raises (the first when the step is first called):
      TypeError: a metric is none: it does not say how it combines over steps.
      ValueError: steps_per_call is no integer of 1 or more, or batches are not stacked to it.

    >>> import jax.numpy as jnp
    >>> from jnn.metrics import Last
    >>> f = lambda state, batch: ({"step": state["step"] + 1}, {"n": Last(batch["x"].sum())})
    >>> state, metrics = compile_step(f, steps_per_call=2)({"step": jnp.int32(0)}, {"x": jnp.ones((2, 3))})
    >>> state["step"].item(), metrics["n"].value().tolist()
    (2, [3.0, 3.0])
    """
    checks.count("compile_step", "steps_per_call", steps_per_call)

    def step(state: Any, batch: Batch, *others: Any) -> tuple[Any, Metrics]:
        def one(state: Any, batch: Batch) -> tuple[Any, Metrics]:
            state, metrics = f(state, batch) if given is None else f(state, batch, given=others[0])
            check_metrics("train step", metrics)
            return state, metrics

        if steps_per_call == 1:
            return one(state, batch)
        check_batch(batch, calls=steps_per_call)
        return jax.lax.scan(one, state, batch)

    return CompiledStep(step, steps_per_call, given)


def make_eval(
    loss: LossFn,
    *,
    params_of: Callable[[Any], Params] | None = None,
    compute_dtype: DTypeLike | None = None,
    keep: Sequence[str] = (),
    given: Any = None,
    key: jax.Array | None = None,
) -> Program:
    """Evaluation step: builds `evaluate(state, batch) -> metrics`: running statistics, no noise, no update.

    Of a state of several networks give `evaluate` the one that is measured: `evaluate(state["generator"], batch)`.

    Args:
      loss: as in `update`.
      params_of: of the state: which params are measured; None for `state.params`. `lambda state: state.ema` for the
        average; for schedule-free optimizers `lambda state: optax.contrib.schedule_free_eval_params(state.opt_state,
        state.params)`.
      compute_dtype, keep, given: as in `make_step`.
      key: of `ctx.draw`, what the objective itself samples; every batch gets the same, so that evaluations compare.

    >>> def loss(params, batch, ctx):
    ...     return jnn.train.LossOutput(params["w"] * batch["x"])
    >>> import jax.numpy as jnp, jnn
    >>> state = jnn.train.create_state({"w": jnp.ones(())}, optax.sgd(0.1))
    >>> make_eval(loss)(state, {"x": jnp.arange(4.0)})["loss"].value().item()
    1.5
    """
    check_loss("make_eval", loss)
    check_key("make_eval", key, optional=True)

    def evaluate(state: Any, batch: Batch, *others: Any) -> Metrics:
        check_batch(batch)
        if params_of is None and not hasattr(state, "params"):
            raise TypeError(
                f"make_eval: expected a state with params, found a {type(state).__name__}. Of several networks give "
                'the one that is measured, evaluate(state["generator"], batch), or say params_of=.'
            )
        if (params := state.params if params_of is None else params_of(state)) is None:
            raise ValueError("make_eval: params_of(state) is None. An average is kept by create_state(ema=True).")
        draw = jax.random.key(0) if key is None else key
        ctx = evaluation_context(state, draw, *others)
        out = call(loss, params, overwrite_padding(batch), ctx, compute_dtype, keep)
        return out.metrics | {"loss": mean(out.values, out.weights)}

    return Program(evaluate, "step", given=given)


def evaluation_context(state: Any, draw: jax.Array, given: Any = None) -> Context:
    """What a loss may read in an evaluation: no noise, and of the state what it has."""
    stats, memory, ema = (getattr(state, name, None) for name in ("stats", "memory", "ema"))
    return Context(None, draw, step_of(state), stats or None, {} if memory is None else memory, ema, given)
