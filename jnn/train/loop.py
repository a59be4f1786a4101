"""The loop: step-indexed batches through a step, with evaluation, hooks, checkpoints and a history.

    fit(step, state, batches, steps=..., every=...) -> (state, history)

It strings small functions together; write it out by hand where it does not fit. Metrics stay on the device until a
row of the history is due, so that reading them never delays the next step.

Law: a run that was killed at any instant, and started again, is the run that was not killed, bit for bit: batches and
noise are functions of the step's number, and what else there is (`Journal`) is saved with the state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jnn.metrics import merge
from jnn.train.aside import Aside
from jnn.train.batches import Step, StepBatches
from jnn.train.checkpoint import Checkpoints
from jnn.train.failure.rerun import finish, is_due, next_run
from jnn.train.failure.setback import NonFinite, Setback
from jnn.train.history import History, Row
from jnn.train.hooks import Ledger
from jnn.train.objective import Batch, Metrics
from jnn.train.preemption import Preemption
from jnn.train.run import Run
from jnn.train.state import TrainState
from jnn.train.stopping import Plateau


def fit(
    step: Step,
    state: TrainState,
    batches: StepBatches,
    *,
    steps: int,
    every: int,
    evaluate: Callable[[TrainState], Metrics] | None = None,
    hooks: Mapping[str, Callable[[TrainState], Any]] | None = None,
    ledger: Ledger | None = None,
    stop: Plateau | None = None,
    steps_per_call: int = 1,
    checkpoints: Checkpoints | None = None,
    save_seconds: float = 0.0,
    nonfinite: NonFinite = "stop",
    most_skips: int = 10,
    spike: float | None = None,
    capsules: str | Path | None = None,
    settings: Any = None,
    log: Callable[[Row], None] = lambda row: None,
) -> tuple[TrainState, History]:
    """Trains up to `steps` updates in all, from where the newest whole checkpoint stopped.

    Args:
      step: from `make_step`.
      state: the initial state; its buffers are donated.
      batches: `batches[i]` is the batch of update i; `batches.stack(i, k)` those of k updates. What has `state()` and
        `restore(state)` besides, as `IteratorBatches` has, is saved and restored with the state.
      steps: the state's step at the end.
      every: updates between two rows of the history.
      evaluate: state -> metrics, for instance on validation data; called once a row.
      hooks: name -> state -> JSON value, called once a row: an export, a sample, a picture.
      ledger: where finished evaluations and hooks are noted, so that no later process does them again.
      stop: ends the run on a plateau, and gives back the state of its best row, whose checkpoint stays.
      steps_per_call: as given to `make_step`.
      checkpoints: where to save and resume, if anywhere. SIGTERM then finishes the step, saves, and ends the process.
      save_seconds: a row is saved if the last save is at least this long ago; the last row always is.
      nonfinite: what a loss or a parameter that is not finite means: "stop"; "skip" leaves out the call of the step
        that made it; "rollback" also all updates since the last checkpoint.
      most_skips: how often to do so before stopping after all.
      spike: a loss of more than this many times the last row's mean is as bad as one that is not finite.
      capsules: a folder where a bad step is written down, with its batch and the state before it, for
        `python -m jnn.replay`; needs checkpoints.
      settings: a JSON value that is saved with every checkpoint; a run goes on with the same one alone.
      log: called with every row, such as a `ProgressLog`.

    Returns:
      The final state, and the history: rows {"step": ..., "train/loss": ..., "val/accuracy": ...}.

    Raises:
      ValueError: `steps`, `every` or the step of the state is not a multiple of `steps_per_call`; the state is past
        `steps`; a setting needs checkpoints or a ledger; or the checkpoint is of a run with other `settings`.
      FloatingPointError: a loss or a parameter was not finite; names the step, what its batch held, and the capsule.
      Preempted: SIGTERM came; a SystemExit with code 143.
    """
    if min(steps, every, steps_per_call) < 1 or steps % steps_per_call or every % steps_per_call:
        raise ValueError(
            f"fit: steps={steps} and every={every} must be positive multiples of steps_per_call={steps_per_call}."
        )
    if nonfinite not in ("stop", "skip", "rollback") or (nonfinite != "stop" and checkpoints is None):
        raise ValueError(f"fit: nonfinite is 'stop', or with checkpoints 'skip' or 'rollback'; found {nonfinite!r}.")
    if capsules is not None and checkpoints is None:
        raise ValueError("fit: a capsule's state is made again from a checkpoint, so capsules need checkpoints.")
    if hooks and ledger is None:
        raise ValueError("fit: hooks run exactly once, so they need ledger=Ledger(folder).")
    aside = Aside(evaluate, hooks or {}, ledger)
    if is_due():
        finish(step, state)
    setback = Setback(nonfinite, most_skips, spike, None if capsules is None else Path(capsules))
    run = Run(step, batches, steps_per_call, checkpoints, state, stop, ledger, settings, number=next_run())
    run.resume(steps)
    for row in run.journal.history:
        log(row)
    with _preemption(checkpoints) as reached:
        while run.at < steps and not run.stopped():
            run.update()
            due, ended = run.at % every == 0 or run.at == steps, reached()
            if not (due or ended):
                continue
            if (bad := run.read(setback.limit(run.journal.history))) is not None:
                setback.answer(run, bad)
                continue
            if due:
                log(run.write_row(aside))
            run.save(0.0 if ended or run.at == steps else save_seconds)
            if ended:
                raise run.preempted()
        run.wait()
        if reached():  # since the last step
            raise run.preempted()
    return run.best_state(), run.journal.history


@contextlib.contextmanager
def _preemption(checkpoints: Checkpoints | None) -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM came; a run that cannot be saved is left to end by it at once."""
    if checkpoints is None:
        yield lambda: False
        return
    with Preemption() as preemption:
        yield preemption.reached


def evaluate_on(evaluate: Callable[[TrainState, Batch], Metrics], batches: Any, state: TrainState) -> Metrics:
    """Merged metrics of `evaluate` (from `make_eval`) over an iterable of batches."""
    return merge(*[evaluate(state, batch) for batch in batches])
