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
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jnn.metrics import Mean
from jnn.param import Params, flatten
from jnn.program import Program
from jnn.train.objective import Batch, LossFn, LossOutput, Metrics, check_batch, gradient, weighted_sum
from jnn.train.state import TrainState

Gradient = Callable[
    [LossFn, Params, Batch, jax.Array, int, DTypeLike | None], tuple[Params, Any, Metrics]
]  # as `objective.gradient`

__all__ = ["Batch", "LossFn", "LossOutput", "Metrics", "make_eval", "make_step"]


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
    diagnostics: Callable[[Params, Params, Params], Metrics] | None = None,
    gradient: Gradient = gradient,
) -> Program:
    """Builds `step(state, batch) -> (state, metrics)`: pure, compiled, the state's buffers donated.

    Args:
      loss: see the module's docstring.
      optimizer: any Optax transformation.
      key: one PRNG key for the whole run; folded with the step's number, and with the micro-batch's.
      microbatches: split the batch's leading axis into this many, and add their gradients up in a scan.
        Batch statistics are then those of each micro-batch, averaged.
      steps_per_call: K > 1 takes batches with one more leading axis of size K, makes K updates in one
        dispatch, and returns metrics with that axis.
      compute_dtype: params, and `batch["x"]` where there is one, are cast to it for the loss; masters,
        gradients' sums and the optimizer stay as they are.
      clip_norm: scale gradients so that their global norm is at most this; `inf` only measures it.
      ema_decay: d in `ema = d * ema + (1 - d) * params`; for states created with `ema=True`.
      stats_momentum: m in `stats = m * stats + (1 - m) * batch's`.
      diagnostics: params, gradients (clipped) and updates -> more metrics, such as `layer_norms`.
      gradient: how the gradient is computed; `jnn.parallel` brings ways of many devices.

    Returns:
      The step. Its metrics are the loss function's, plus "loss" (without the penalty), and with `clip_norm`
      "grad_norm" (before clipping): without it the norm would cost a small network a sixth of its step.

    Raises (when the step is first called):
      ValueError: an empty batch, leaves of different lengths, a batch that k does not divide, a loss that
        reduces over examples, or stats and averages that the state was not created for.

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

    transform = optax.with_extra_args_support(optimizer)

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        step_key = jax.random.fold_in(key, state.step)
        grads, stats, metrics = gradient(loss, state.params, batch, step_key, microbatches, compute_dtype)
        if clip_norm is not None:
            norm = optax.tree.norm(grads)
            grads = optax.tree.scale(jnp.minimum(1.0, clip_norm / jnp.maximum(norm, 1e-12)), grads)
            metrics |= {"grad_norm": Mean(norm, jnp.ones(()))}
        value = metrics["loss"].value()  # some transformations ask for it: reduce_on_plateau, polyak_sgd
        updates, opt_state = transform.update(grads, state.opt_state, state.params, value=value)
        if diagnostics is not None:
            metrics |= diagnostics(state.params, grads, updates)
        params = optax.apply_updates(state.params, updates)
        new = TrainState(
            step=state.step + 1,
            params=params,
            stats=_average(state.stats, stats, stats_momentum),
            opt_state=opt_state,
            ema=state.ema if ema_decay is None else _average(state.ema, params, ema_decay),
        )
        return new, metrics

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, calls=steps_per_call, microbatches=microbatches)
        if (ema_decay is None) != (state.ema is None):
            raise ValueError("make_step(ema_decay=...) and create_state(ema=True) go together; found only one of them.")
        return update(state, batch) if steps_per_call == 1 else jax.lax.scan(update, state, batch)

    return Program(step, "step", donate_argnums=(0,))


def make_eval(loss: LossFn, *, use_ema: bool = False) -> Program:
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
        if use_ema and state.ema is None:
            raise ValueError("make_eval(use_ema=True) needs a state from create_state(ema=True); found no average.")
        params = state.ema if use_ema else state.params
        return weighted_sum(loss(params, batch, state.stats or None, None), batch)[1][1]

    return Program(evaluate, "step")


def _average(old: Any, new: Any, momentum: float) -> Any:
    """`momentum * old + (1 - momentum) * new`, leaf by leaf."""
    expected, found = ({path: x.shape for path, x in flatten(tree).items()} for tree in (old, new))
    if expected != found:
        raise ValueError(
            f"train step: the loss returned stats {found}, the state holds {expected}. Give create_state(stats=...) "
            "the tree that the loss returns."
        )
    return jax.tree.map(lambda a, b: momentum * a + (1 - momentum) * b.astype(a.dtype), old, new) if expected else old
