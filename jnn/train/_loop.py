"""The loop: step-indexed batches through a step, with evaluation, hooks, checkpoints and a history.

    fit(step, state, batches, steps=..., every=...) -> (state, history)

It strings small functions together; write it out by hand where it does not fit. Metrics stay on the device until a
row of the history is due, so that reading them never delays the next step.

Law: a run that was killed at any instant, and started again, is the run that was not killed, bit for bit: batches and
noise are functions of the step's number, and what else there is (`RunRecord`) is saved with the state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from jnn import backend
from jnn.metrics import merge
from jnn.terminal import say
from jnn.train._batches import Step, StepBatches, calls_of, check_batches
from jnn.train._context import Batch, Metrics
from jnn.train._early_stopping import EarlyStopping
from jnn.train._evaluation import Evaluation
from jnn.train._history import History, Row
from jnn.train._preemption import Preemption
from jnn.train._recovery import Bad, Recovery
from jnn.train._run import Run
from jnn.train._state import all_finite, step_of, trained
from jnn.train.checkpoint import Checkpoints


def fit(
    step: Step,
    state: Any,
    batches: StepBatches,
    *,
    steps: int,
    every: int,
    evaluate: Callable[[Any], Metrics] | Evaluation | None = None,
    stop: EarlyStopping | None = None,
    checkpoints: Checkpoints | None = None,
    recovery: Recovery = Recovery(),  # noqa: B008 (frozen)
    settings: Any = None,
    log: Callable[[Row], None] = lambda row: None,
) -> tuple[Any, History]:
    """Training loop: up to `steps` updates in all, from where the newest whole checkpoint stopped.

    Args:
      step: from `make_step` or `compile_step`, or any function (state, batch) -> (state, metrics). One that makes K
        updates a call says so by an attribute `steps_per_call`, as these do.
      state: the initial state, its buffers donated: from `create_state`, or any pytree of arrays with a scalar `step`
        (an attribute, or a key of a dict). What lies below a "params" in it must stay finite; without one, all of it.
      batches: `batches[i]` is the batch of update i: `Batches`, a list; `batches.stack(i, k)` those of k updates, if
        there is one. What has `state()` and `restore(state)` besides, as `IteratorBatches` has, is saved and restored
        with the state.
      steps: the state's step at the end.
      every: updates between two rows of the history.
      evaluate: state -> metrics or numbers by name, for instance on validation data; called once a row. Or an
        `Evaluation`, of this and more that happens once a row.
      stop: ends the run on a plateau, and gives back the state of its best row, whose checkpoint stays.
      checkpoints: where to save and resume, if anywhere. SIGTERM then finishes the step, saves, and ends the process.
      recovery: what to do about a step whose loss, or parameters, are not finite: by default stop.
      settings: a JSON value saved with every checkpoint, and in a ledger; a run goes on with the same one alone.
      log: called with every row, such as a `ProgressLog`.

    Returns:
      The final state, and the history: rows {"step": ..., "train/loss": ..., "val/accuracy": ...} of what is a number,
      or a short vector, by its name; matrices and concatenated rows are left out.

    Raises:
      TypeError: batches cannot be asked for by number, or the state has no step.
      ValueError: `steps`, `every` or the step of the state is not a multiple of the step's `steps_per_call`; a call
        does not raise the state's step by that; the state is past `steps`; recovery needs checkpoints; the checkpoint
        or the ledger is of a run with other `settings`; or, without any, the ledger is of a run whose checkpoints these
        are not.
      FloatingPointError: a loss or a parameter was not finite; names the step, what its batch held, and the capsule.
      Preempted: SIGTERM came; a SystemExit with code 143, after one line on standard error.
    """
    _check(step, state, batches, steps, every, checkpoints, recovery)
    if why := backend.nondeterminism():
        say(f"fit: {why}")
    evaluation = evaluate if isinstance(evaluate, Evaluation) else Evaluation(evaluate)
    run = Run(step, batches, state, evaluation, checkpoints, stop, settings)
    run.resume(steps)
    for row in run.record.history:
        log(row)
    with _preemption(checkpoints) as reached:
        while run.at < steps and not run.stopped():
            run.update()
            due, ended = run.at % every == 0 or run.at == steps, reached()
            if not (due or ended):
                continue
            if (bad := _read(run, recovery)) is not None:
                recovery.answer(run, bad)
                continue
            if due:
                log(run.write_row())
            run.save(now=ended or run.at == steps)
            if ended:
                raise run.preempted()
        run.wait()
        if reached():  # since the last step
            raise run.preempted()
    return run.best_state(), run.record.history


def _check(
    step: Step,
    state: Any,
    batches: StepBatches,
    steps: int,
    every: int,
    checkpoints: Checkpoints | None,
    recovery: Recovery,
) -> None:
    """Raises, before anything is read or trained, for what `fit` cannot begin with."""
    calls = calls_of(step)
    if min(steps, every, calls) < 1 or steps % calls or every % calls:
        raise ValueError(
            f"fit: steps={steps} and every={every} must be positive multiples of the step's steps_per_call={calls}."
        )
    for name, found, kind in (("checkpoints", checkpoints, Checkpoints), ("recovery", recovery, Recovery)):
        if found is not None and not isinstance(found, kind):
            raise TypeError(f"fit: {name} must be a {kind.__name__}(...), found {found!r}.")
    check_batches("fit", batches)
    step_of(state)
    if checkpoints is None and (recovery.on != "stop" or recovery.capsules is not None):
        raise ValueError(
            "fit: the state before a bad step is made again from a checkpoint, so recovery needs checkpoints."
        )


def _read(run: Run, recovery: Recovery) -> Bad | None:
    """Adds what is pending to the record, up to the first step that is bad, if there is one."""
    for begun, metrics in run.fetch():
        if (bad := recovery.first_bad(begun, metrics, run.steps_per_call, run.record.history)) is not None:
            return bad
        run.record.add(metrics, run.steps_per_call)
    last, run.pending = run.pending[-1][0] if run.pending else None, []
    if last is not None and not all_finite(trained(run.state)):  # of the last update, or of one before
        return Bad(last + run.steps_per_call - 1)
    return None


@contextlib.contextmanager
def _preemption(checkpoints: Checkpoints | None) -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM came; a run that cannot be saved is left to end by it at once."""
    if checkpoints is None:
        yield lambda: False
        return
    with Preemption() as preemption:
        yield preemption.reached


def evaluate_on(evaluate: Callable[[Any, Batch], Metrics], batches: Any, state: Any) -> Metrics:
    """Evaluation: merged metrics of `evaluate` (from `make_eval`) over an iterable of batches."""
    found = [evaluate(state, batch) for batch in batches]
    if not found:
        raise ValueError(
            "evaluate_on: there are no batches. A generator is used up by its first evaluation: give a list."
        )
    return merge(*found)
