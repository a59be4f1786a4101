"""What a run does about a step that went wrong: stop, leave it out, or go back; and the capsule that it leaves.

Since batches and noise are functions of the step's number, nothing has to be kept for this while all goes well: the
state before a bad step is made again, from the last checkpoint. See "PaLM", Chowdhery et al., 2022, section 5.1, for
going back and leaving batches out.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from jnn.train.failure.capsule import write_capsule
from jnn.train.failure.entry import how_started
from jnn.train.failure.gather import on_host
from jnn.train.history import History
from jnn.train.journal import all_finite, diagnose
from jnn.train.run import Bad, Run

NonFinite = Literal["stop", "skip", "rollback"]


@dataclasses.dataclass(frozen=True)
class Setback:
    """The policy of a run; the fields are as `fit` takes them."""

    nonfinite: NonFinite
    most_skips: int
    spike: float | None
    capsules: Path | None

    def limit(self, history: History) -> float:
        """The largest loss that is no spike; before the first row, or after a loss of 0, every finite one is."""
        last = next((row["train/loss"] for row in reversed(history) if "train/loss" in row), None)
        return self.spike * abs(last) if self.spike is not None and last else float(np.finfo(np.float64).max)

    def answer(self, run: Run, bad: Bad) -> None:
        """Takes the run back, to go on without the bad step.

        Raises:
          FloatingPointError: that was not asked for, or has happened `most_skips` times.
        """
        bad = _earliest(run, bad)
        message = self._message(run, bad)
        begun = bad.step - bad.step % run.steps_per_call
        if self.capsules is not None:
            message += f" Make the step again: python -m jnn.replay {_write(run, self.capsules, begun, message)}"
        else:
            message += " With checkpoints and a folder for capsules, python -m jnn.replay names the operation."
        if self.nonfinite == "stop" or len(run.journal.skipped) >= self.most_skips:
            raise FloatingPointError(message)
        run.back()
        run.journal.skipped |= set(
            range(begun if self.nonfinite == "skip" else run.at, bad.step + 1, run.steps_per_call)
        )

    def _message(self, run: Run, bad: Bad) -> str:
        batch = on_host(run.batches[bad.step])
        cause = diagnose(batch, step=bad.step, loss=bad.loss, before=_finite_before(run, bad))
        if bad.loss is None:
            which = "the update" if run.checkpoints is not None else "an update up to that"
            return f"fit: {which} of step {bad.step} made parameters that are not finite; {cause}."
        more = f", more than {self.limit(run.journal.history):.6g}" if np.isfinite(bad.loss) else ""
        return f"fit: the loss of step {bad.step} is {bad.loss}{more}; {cause}."


def _earliest(run: Run, bad: Bad) -> Bad:
    """Whose fault it is: parameters that an update spoilt may have no part in the loss until much later."""
    if run.checkpoints is None or (bad.loss is not None and np.isfinite(bad.loss)):
        return bad
    begun = bad.step - bad.step % run.steps_per_call
    run.back()
    while run.at < (bad.step + 1 if bad.loss is None else begun):
        run.update()
        if not all_finite(run.state.params):
            return Bad(run.at - 1, None)
    return bad


def _finite_before(run: Run, bad: Bad) -> bool | None:
    """Whether the parameters before a bad step are, of which `_earliest` has seen all updates since a checkpoint."""
    if run.checkpoints is None or (bad.loss is not None and np.isfinite(bad.loss)):
        return None
    run.back()
    return bool(all_finite(run.state.params))


def _write(run: Run, folder: Path, begun: int, message: str) -> Path:
    """The capsule of the call that begins at this step, with the state before it."""
    run.back()
    while run.at < begun:
        run.update()
    batch, entry = run.batch(begun), how_started()
    return write_capsule(
        folder, step=begun, key=None, batch=batch, state=run.state, message=message, entry=entry, run=run.number
    )
