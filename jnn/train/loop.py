"""The loop: step-indexed batches through a step, with evaluation, checkpoints and a history.

    fit(step, state, batches, steps=...) -> (state, history)

It is forty lines over `step(state, batch)`; write it out by hand when it does not fit. Metrics stay
on the device until a row of the history is due, so that reading them never delays the next step.
A row, an evaluation and a checkpoint happen at the same steps, so a resumed run repeats nothing
and loses nothing: batches and noise are functions of the step's number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics import merge
from jnn.param import Params
from jnn.train.checkpoint import Checkpoints, History
from jnn.train.state import TrainState
from jnn.train.step import Batch, Metrics


class StepBatches(Protocol):
    """Batches as a function of the step's number: the order is part of no state."""

    def __getitem__(self, step: int) -> Batch: ...

    def stack(self, step: int, count: int) -> Batch: ...


Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def fit(
    step: Step,
    state: TrainState,
    batches: StepBatches,
    *,
    steps: int,
    every: int,
    evaluate: Callable[[TrainState], Metrics] | None = None,
    steps_per_call: int = 1,
    checkpoints: Checkpoints | None = None,
    save_seconds: float = 0.0,
    log: Callable[[dict[str, float]], None] = lambda row: None,
) -> tuple[TrainState, History]:
    """Trains up to `steps` updates in all, from where the newest checkpoint stopped.

    Args:
      step: from `make_step`.
      state: the initial state; its buffers are donated.
      batches: `batches[i]` is the batch of update i; `batches.stack(i, k)` those of k updates.
      steps: the state's step at the end.
      every: updates between two rows of the history.
      evaluate: state -> metrics, for instance on validation data; called once a row.
      steps_per_call: as given to `make_step`.
      checkpoints: where to save and resume, if anywhere.
      save_seconds: a row is saved if the last save is at least this long ago; the last row always is.
      log: called with every row, such as a `ProgressLog`.

    Returns:
      The final state, and the history: rows {"step": ..., "train/loss": ..., "val/accuracy": ...}.

    Raises:
      ValueError: `steps`, `every` or the step of the state is not a multiple of `steps_per_call`, or the state
        is past `steps`.
      FloatingPointError: a loss or a parameter was not finite; names the step and what its batch held.
    """
    if steps % steps_per_call or every % steps_per_call:
        raise ValueError(f"fit: steps={steps} and every={every} must be multiples of steps_per_call={steps_per_call}.")
    history: History = []
    if checkpoints is not None and (found := checkpoints.restore(state)) is not None:
        state, history = found
        for row in history:
            log(row)
    if (start := int(state.step)) > steps or start % steps_per_call:
        raise ValueError(
            f"fit: the state is at step {start}; expected at most steps={steps}, and a multiple of "
            f"steps_per_call={steps_per_call}."
        )
    pending: list[Metrics] = []
    saved = time.monotonic()
    for i in range(start, steps, steps_per_call):
        state, metrics = step(state, batches[i] if steps_per_call == 1 else batches.stack(i, steps_per_call))
        pending.append(metrics)
        done = i + steps_per_call
        if done % every == 0 or done == steps:
            row = {"step": done, **_train_row(pending, batches, state, steps_per_call)}
            row |= _numbers("val", evaluate(state) if evaluate else {})
            pending = []
            history.append(row)
            log(row)
            if checkpoints is not None and (done == steps or time.monotonic() - saved >= save_seconds):
                checkpoints.save(state, history)
                saved = time.monotonic()
    return state, history


def evaluate_on(evaluate: Callable[[TrainState, Batch], Metrics], batches: Any, state: TrainState) -> Metrics:
    """Merged metrics of `evaluate` (from `make_eval`) over an iterable of batches."""
    return merge(*[evaluate(state, batch) for batch in batches])


def _numbers(prefix: str, metrics: Metrics) -> dict[str, float]:
    """The scalar ones: a confusion matrix belongs in a report, not in a curve."""
    values = {name: np.asarray(metric.value()) for name, metric in metrics.items()}
    return {f"{prefix}/{name}": float(value) for name, value in values.items() if value.ndim == 0}


def _train_row(pending: list[Metrics], batches: StepBatches, state: TrainState, calls: int) -> dict[str, float]:
    """Means over the pending steps, after a look for losses and parameters that are not finite."""
    fetched = jax.device_get(pending)
    done = int(state.step)
    losses = np.concatenate([np.atleast_1d(m["loss"].total) for m in fetched])
    if (bad := ~np.isfinite(losses)).any():
        first = done - len(losses) + int(np.argmax(bad))
        raise FloatingPointError(f"fit: the loss of step {first} is {losses[bad][0]}; {diagnose(batches[first])}.")
    if not _all_finite(state.params):
        raise FloatingPointError(
            f"fit: the update of step {done - 1} made parameters that are not finite; {diagnose(batches[done - 1])}."
        )
    if calls > 1:
        fetched = [jax.tree.map(lambda x: np.sum(np.asarray(x, np.float64), 0), m) for m in fetched]
    return _numbers("train", merge(*fetched))


@jax.jit
def _all_finite(tree: Params) -> jax.Array:
    """Whether every number of the tree is; a bad update before the last shows in the next step's loss."""
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]))


def diagnose(batch: Batch) -> str:
    """Which arrays of a batch are not finite, and where first.

    >>> diagnose({"x": np.array([[1.0], [np.nan]])})
    "batch['x'] is not finite in 1 of 2 values, first in row 1"
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.floating) and (bad := ~np.isfinite(array.astype(np.float32))).any():
            name, row = f"batch{jax.tree_util.keystr(path)}", np.argwhere(bad)[0][0]
            return f"{name} is not finite in {bad.sum()} of {bad.size} values, first in row {row}"
    return (
        "its batch is finite, so the parameters or gradients grew too large: lower the learning rate or set clip_norm"
    )
