"""Recovery: what a run does about a step that went wrong: stop, leave it out, or go back; and what it writes down.

    Recovery(on="skip", max_skips=3, spike=10.0)      what `fit` is given
    first_bad(metrics, ...), answer(run, bad)         what it asks of it

Since batches and noise are functions of the step's number, nothing has to be kept for this while all goes well: the
state before a bad step is made again, from the last checkpoint. See "PaLM", Chowdhery et al., 2022, section 5.1, for
going back and leaving batches out.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np

from jnn.processes import on_host
from jnn.train._batches import batch_of
from jnn.train._context import Metrics
from jnn.train._history import History
from jnn.train._record import values_of
from jnn.train._run import Run
from jnn.train._state import all_finite, trained
from jnn.train.capsule._capsule import write_capsule
from jnn.train.capsule._diagnose import diagnose

OVERFLOW = "gradient_overflow"  # the metric by which `update` says so


class Bad(NamedTuple):
    """A step of which a watched metric is bad, or, where that is None, the parameters that it made."""

    step: int
    metric: str | None = None
    value: float = np.nan


@dataclasses.dataclass(frozen=True)
class Recovery:
    """Recovery from bad steps: those with a watched metric, or a parameter, that is not finite.

    Args:
      on: "stop" raises; "skip" leaves out the call of the step that made it, with all its `steps_per_call` updates;
        "rollback" also all updates since the last checkpoint. The last two need checkpoints. A row whose calls were
        all left out has no metrics of the training.
      max_skips: how often to do so before stopping after all.
      spike: a watched number of more than this many times the last row's mean is as bad as one that is not finite.
      watch: the names of the metrics that a step is judged by; None for every one that is called "loss", or ends in
        "/loss". Beside them a "gradient_overflow" (of float16) is bad, at the top of the metrics.
      capsules: a folder where a bad step is written down, with its batch and the state before it, for
        `jnn.train.replay`; needs checkpoints.
      run: the run's name in its capsules, where a program has several.
      command: which makes a step again when a capsule's path is added to it, such as "python train.py --replay", for
        the message; without one it says how to call `jnn.train.replay`.

    Raises:
      ValueError: an unknown policy, a negative number of times, or a spike of at most 1.

    >>> Recovery(on="skip", max_skips=3).max_skips
    3
    """

    on: Literal["stop", "skip", "rollback"] = "stop"
    max_skips: int = 10
    spike: float | None = None
    watch: Sequence[str] | None = None
    capsules: str | Path | None = None
    run: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        if self.on not in ("stop", "skip", "rollback") or self.max_skips < 0:
            raise ValueError(
                f"Recovery: expected on='stop', 'skip' or 'rollback' and max_skips of 0 or more, found {self.on!r} and "
                f"{self.max_skips}."
            )
        if self.spike is not None and not self.spike > 1:
            raise ValueError(f"Recovery: expected a spike of more than 1, found {self.spike}.")

    def watched(self, metrics: Metrics) -> Sequence[str]:
        """The names of the metrics that are looked at.

        Raises:
          KeyError: one of those asked for is not there.
        """
        if self.watch is None:
            return [name for name in metrics if name == "loss" or name.endswith("/loss")]
        if missing := [name for name in self.watch if name not in metrics]:
            raise KeyError(f"Recovery: watch names {missing}, the step's metrics are {sorted(metrics)}.")
        return self.watch

    def first_bad(self, begun: int, metrics: Metrics, calls: int, history: History) -> Bad | None:
        """The first bad step of one call of `calls` steps that began at `begun`, by its metrics."""
        found = []
        for name in self.watched(metrics):
            each = (
                [jax.tree.map(lambda x, i=i: x[i], metrics[name]) for i in range(calls)]
                if calls > 1
                else [metrics[name]]
            )
            values = np.stack([values_of(metric).reshape(-1) for metric in each])
            if (bad := ~np.isfinite(values) | (values > self._limits(name, values.shape[1], history))).any():
                step, member = np.argwhere(bad)[0]
                found.append(Bad(begun + int(step), name, float(values[step, member])))
        overflow = values_of(metrics[OVERFLOW]).reshape(-1) if OVERFLOW in metrics else np.zeros(1)
        found += [Bad(begun + int(i), OVERFLOW) for i in np.flatnonzero(overflow)[:1]]
        return min(found, key=lambda bad: bad.step, default=None)

    def answer(self, run: Run, bad: Bad) -> None:
        """Takes the run back, to go on without the bad step.

        Raises:
          FloatingPointError: that was not asked for, or has happened `max_skips` times.
        """
        bad = _earliest(run, bad)
        message = self._message(run, bad)
        begun = bad.step - bad.step % run.steps_per_call
        if self.capsules is not None:
            message += f" Make the step again: {self._again(str(self._write(run, begun, message)))}"
        else:
            message += " With checkpoints and a folder for capsules, jnn.train.replay names the operation."
        if self.on == "stop" or run.record.recoveries >= self.max_skips:
            raise FloatingPointError(message)
        run.back()
        run.record.recoveries += 1
        run.record.skipped |= set(range(begun if self.on == "skip" else run.at, bad.step + 1, run.steps_per_call))

    def _write(self, run: Run, begun: int, message: str) -> Path:
        """The capsule of the call that begins at this step, with the state before it."""
        run.back()
        while run.at < begun:
            run.update()
        parts = {"batch": run.batch(begun), "state": run.state, "message": message, "run": self.run}
        return write_capsule(str(self.capsules), step=begun, **parts)

    def _again(self, path: str) -> str:
        """How the reader of a message makes the step of a capsule again."""
        return f"{self.command} {shlex.quote(path)}" if self.command else f"jnn.train.replay({path!r}, step, state)"

    def _limits(self, name: str, members: int, history: History) -> np.ndarray:
        """The largest numbers that are no spike; before the first row, or after a mean of 0, every one is none."""
        names = [f"train/{name}"] if members == 1 else [f"train/{name}/{i}" for i in range(members)]
        row = next((row for row in reversed(history) if names[0] in row), {}) if self.spike is not None else {}
        return np.array([(self.spike or 0.0) * abs(row.get(name, 0.0)) or np.inf for name in names])

    def _message(self, run: Run, bad: Bad) -> str:
        loss = None if bad.metric is None else bad.value
        before = _finite_before(run, bad)
        try:
            cause = diagnose(on_host(batch_of(run.batches, bad.step, 1)), step=bad.step, loss=loss, before=before)
        except Exception as error:  # of the batches, such as that they only go forward: no news beside the step's own
            cause = f"its batch cannot be read again ({type(error).__name__}: {error})"
        if bad.metric is None:
            which = "the update" if run.checkpoints is not None else "an update up to that"
            return f"fit: {which} of step {bad.step} made parameters that are not finite; {cause}."
        if bad.metric == OVERFLOW:
            return f"fit: the gradient of step {bad.step} is not finite at any scale of float16; {cause}."
        more = f", more than {self.spike:g} times the last row's" if np.isfinite(bad.value) else ""
        return f"fit: the {bad.metric} of step {bad.step} is {bad.value}{more}; {cause}."


def _earliest(run: Run, bad: Bad) -> Bad:
    """Whose fault it is: parameters that an update spoilt may have no part in the loss until much later."""
    if run.checkpoints is None or (bad.metric is not None and np.isfinite(bad.value)):
        return bad
    begun = bad.step - bad.step % run.steps_per_call
    run.back()
    while run.at < (bad.step + 1 if bad.metric is None else begun):
        run.update()
        if not all_finite(trained(run.state)):
            return Bad(run.at - 1)
    return bad


def _finite_before(run: Run, bad: Bad) -> bool | None:
    """Whether the parameters before a bad step are, of which `_earliest` has seen all updates since a checkpoint."""
    if run.checkpoints is None or (bad.metric is not None and np.isfinite(bad.value)):
        return None
    run.back()
    return bool(all_finite(trained(run.state)))
