"""The parts of the loop: one run, its state and its record, and the few things that happen to them.

`fit` is a composition of these; a loop of one's own may use them, or leave them out.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax

from jnn.metrics import check_metrics
from jnn.processes import from_first
from jnn.strict_json import dumps, loads
from jnn.terminal import say
from jnn.train._batches import Step, StepBatches, batch_of, calls_of, records_of, resume_batches
from jnn.train._context import Batch, Metrics
from jnn.train._early_stopping import EarlyStopping
from jnn.train._evaluation import Evaluation
from jnn.train._history import Row
from jnn.train._preemption import Preempted
from jnn.train._record import RunRecord
from jnn.train._settings import check_settings
from jnn.train._state import at_step, copy_buffers, step_of
from jnn.train._watch import tell
from jnn.train.checkpoint import Checkpoints, CorruptCheckpoint, OtherFormat


@dataclasses.dataclass
class Run:
    """A run between two rows.

    Attributes:
      step, batches, evaluation, checkpoints, stop, settings: as `fit` takes them.
      state, record: now.
      steps_per_call: of the step.
      at: the state's step, known without asking the device.
      pending: metrics since the last look, still on the device, with the step that each call began at.
      like: shapes and shardings of the state, whose buffers are donated.
      saved: when the last save was, by the clock of this process.
      best: the state of the best row, where there are no checkpoints to keep it.
    """

    step: Step
    batches: StepBatches
    state: Any
    evaluation: Evaluation
    checkpoints: Checkpoints | None
    stop: EarlyStopping | None
    settings: Any = None
    record: RunRecord = dataclasses.field(default_factory=RunRecord)
    at: int = 0
    pending: list[tuple[int, Metrics]] = dataclasses.field(default_factory=list)
    saved: float = dataclasses.field(default_factory=time.monotonic)
    best: Any | None = None

    def __post_init__(self) -> None:
        self.steps_per_call = calls_of(self.step)
        self.like = jax.tree.map(_shape_of, self.state)
        self.settings = loads(dumps(self.settings))  # as they come back from a file

    def resume(self, steps: int) -> None:
        """From the newest whole checkpoint; without one, the initial state is saved.

        The buffers of the initial state are let go before another is restored, as the first step would have done.
        """
        self.evaluation.claim(self.settings)
        if self.checkpoints is not None and self.checkpoints.steps:
            self._free_buffers()
        if (found := self._newest()) is not None:
            self._take_up(*found)
        self.at = int(step_of(self.state))
        if self.at > steps or self.at % self.steps_per_call:
            raise ValueError(
                f"fit: the state is at step {self.at}; expected at most steps={steps}, and a multiple of "
                f"steps_per_call={self.steps_per_call}."
            )
        if found is None:
            if self.settings is None:
                self.evaluation.check_begins(self.at)
            self.save(now=True)

    def batch(self, step: int) -> Batch:
        """What the call that begins at this step is given."""
        return batch_of(self.batches, step, self.steps_per_call)

    def update(self) -> None:
        """One call of the step; one that is to be left out only counts."""
        if self.at in self.record.skipped:
            self.state = at_step(self.state, step_of(self.state) + self.steps_per_call)
        else:
            batch = self.batch(self.at)
            tell(self.at, batch)
            self.state, metrics = self.step(self.state, batch)
            self.pending.append((self.at, metrics))
        self.at += self.steps_per_call

    def fetch(self) -> list[tuple[int, Metrics]]:
        """The metrics since the last look, on the host, with the step that each call began at.

        Raises:
          TypeError: a metric is none: it does not say how it combines.
          ValueError: the state's step is not what the calls should have made it.
        """
        for _, found in self.pending:
            check_metrics("fit", found)
        metrics, step = jax.device_get(([metrics for _, metrics in self.pending], step_of(self.state)))
        if int(step) != self.at:
            raise ValueError(
                f"fit: the state's step is {int(step)}, expected {self.at}: each call of the step is to raise it by "
                f"its steps_per_call={self.steps_per_call}. One of make_step knows its own; one of your own that makes "
                "several updates says so by an attribute of that name."
            )
        return [(begun, found) for (begun, _), found in zip(self.pending, metrics, strict=True)]

    def back(self) -> None:
        """To the newest whole checkpoint, the initial state at least; what was left out so far stays left out."""
        skipped, recoveries = self.record.skipped, self.record.recoveries
        self._free_buffers()
        if (found := self._newest()) is None:
            raise FileNotFoundError("fit: the checkpoints of this run are gone. Bring the folder back, or begin anew.")
        self.state, self.record = found[0], RunRecord.of(found[1])
        self.record.skipped |= skipped
        self.record.recoveries = recoveries
        self.at, self.pending = int(step_of(self.state)), []

    def write_row(self) -> Row:
        """The row that is due, now the last of the history."""
        if self.evaluation.ledger is not None and not self.record.history:
            self.wait()  # what the ledger holds is known for this run's by the checkpoint that it began with
        row = self.record.row(self.at) | self.evaluation.row(self.state, self.at, self.record.attempt(self.at))
        self.record.history.append(row)
        if self.checkpoints is None and self._is_best():
            self.best = copy_buffers(self.state)
        return row

    def save(self, *, now: bool) -> None:
        """Saves; unless it has to be now, only if the last save is long ago, or this row is the best one."""
        if self.checkpoints is None:
            return
        seconds = self.checkpoints.save_seconds
        # where processes have to agree, it is by the clock of the first
        late = now or seconds <= 0 or from_first(time.monotonic() - self.saved >= seconds)
        if not late and not self._is_best():
            return
        history = self.record.history
        if self.stop is not None and history:
            self.checkpoints.pin(int(self.stop.best(history)["step"]))
        of_this_step = history[-1:] if history and history[-1]["step"] == self.at else [{}]
        own = {"settings": self.settings, "steps_per_call": self.steps_per_call}
        records = self.record.records() | own | self.evaluation.records() | records_of(self.batches)
        self.checkpoints.save(self.state, records, metrics=of_this_step[0])
        self.saved = time.monotonic()

    def preempted(self) -> Preempted:
        """The way out, when the last save is written; said here, for a SystemExit says nothing."""
        self.wait()
        end = Preempted(self.at)
        if self.checkpoints is not None and jax.process_index() == 0:
            say(f"{self.checkpoints.folder}: {end}.")
        return end

    def wait(self) -> None:
        """Returns when the last save is written."""
        if self.checkpoints is not None:
            self.checkpoints.wait()

    def stopped(self) -> bool:
        """Whether a plateau is reached."""
        return self.stop is not None and self.stop.stopped(self.record.history)

    def best_state(self) -> Any:
        """The state to give back: that of the best row, where there is a plateau to look for."""
        if self.stop is None or not self.record.history or self._is_best():
            return self.state
        if self.checkpoints is None:
            return self.state if self.best is None else self.best
        step = int(self.stop.best(self.record.history)["step"])
        try:
            best = self.checkpoints.restore(self.like, step=step)
        except (CorruptCheckpoint, OtherFormat) as damage:
            say(f"fit: the best row's checkpoint cannot be read, so this is the last row's state. {damage}")
            return self.state
        return self.state if best is None else best.state

    def _newest(self) -> tuple[Any, dict[str, Any]] | None:
        """What the newest whole checkpoint of this run holds, if there is one."""
        if self.checkpoints is None or (found := self.checkpoints.restore(self.like)) is None:
            return None
        if lacking := {"history", "sums", "skipped", "recoveries", "settings", "steps_per_call"} - found.records.keys():
            raise ValueError(
                f"fit: the checkpoint of step {int(step_of(found.state))} is none of fit's: its records lack "
                f"{sorted(lacking)}. Give fit a folder of its own."
            )
        check_settings(f"fit: {self.checkpoints.folder}", found.records["settings"], self.settings)
        return found.state, found.records

    def _free_buffers(self) -> None:
        """Frees the buffers of the state, so that there is room for another."""
        for x in jax.tree.leaves(self.state):
            if isinstance(x, jax.Array) and not x.is_deleted():
                x.delete()

    def _take_up(self, state: Any, records: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.state, self.record = state, RunRecord.of(records)
        if (calls := records["steps_per_call"]) != self.steps_per_call and self.record.skipped:
            raise ValueError(
                f"fit: the run left out calls of {calls} steps, and goes on with the same steps_per_call alone; found "
                f"{self.steps_per_call}."
            )
        self.evaluation.resume(records)
        resume_batches(self.batches, records)

    def _is_best(self) -> bool:
        history = self.record.history
        return self.stop is not None and bool(history) and self.stop.best(history) is history[-1]


def _shape_of(x: Any) -> jax.ShapeDtypeStruct:
    if not isinstance(x, jax.Array):
        raise TypeError(f"fit: expected a state of jax arrays, found {x!r} in it. Make it one: jnp.asarray(x).")
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding if x.committed else None)
