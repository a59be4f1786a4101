"""One step made again from a capsule, primitive by primitive, to find where its bad number came from.

    replay(capsule, step, like) -> Replay       in a program of your own
    rerun(capsule) -> Replay                    starts the run's own program once more, which then calls:
    replaying() -> Capsule | None                 the capsule, within `rerun`
    finish(step, like)                            replays it and ends the program, by `Replayed`
    next_run() -> number                          of a loop that may run several times in a program, as `fit` may
    is_due() -> bool                              whether the next of these wrote the capsule that is replayed

A training loop that has its step and a state of the right tree, and whose replay is due, calls `finish` instead of
training.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from jnn.inspect.nonfinite import Finding, Summary, examine
from jnn.param import flatten
from jnn.train._record import values_of
from jnn.train._state import params_of, trained
from jnn.train.capsule._capsule import Capsule, norms
from jnn.train.capsule._entry import Entry

_replaying: contextvars.ContextVar[Capsule | None] = contextvars.ContextVar("jnn_replaying", default=None)
_begun: contextvars.ContextVar[int] = contextvars.ContextVar("jnn_runs_begun", default=0)


@dataclasses.dataclass(frozen=True)
class Replay:
    """What became of a step that was made again; `str(replay)` is a report.

    Attributes:
      capsule: of the step.
      metrics: the step's, by name: float64 values, of all steps of one call.
      finding: what made the first bad number of the metrics and the new parameters; None if they are finite.
      params: before the step, by path, for the table of norms.
    """

    capsule: Capsule
    metrics: dict[str, np.ndarray]
    finding: Finding | None
    params: Any

    @property
    def exit_code(self) -> int:
        """0 when a culprit was found, 1 when the step is finite."""
        return 0 if self.finding else 1

    def __str__(self) -> str:
        found = self.finding or (
            "The step replays finite: neither a metric nor a new parameter is bad. Was it a spike? Else look below for "
            "what is close to an overflow, since compiled code rounds differently; then suspect the machine."
        )
        bad = {path: Summary.of(np.asarray(x)) for path, x in flatten({"batch": self.capsule.batch}).items()}
        lines = [f"{path}  {summary}" for path, summary in bad.items() if summary.bad] or ["Every number is finite."]
        sections = {
            f"Step {self.capsule.step}": self.capsule.message,
            "Metrics": "\n".join(f"{name}  {_digits(values)}" for name, values in self.metrics.items()),
            "Culprit": str(found),
            "Batch": "\n".join(lines),
            "Parameters before the step": norms(self.params),
        }
        return "\n\n".join(f"{title}\n{text}" for title, text in sections.items())


def _digits(values: np.ndarray) -> str:
    return ", ".join(f"{x:.6g}" for x in values.ravel()[:32])


class Replayed(SystemExit):
    """Ends a program that was started to replay a capsule; its code is the replay's."""

    def __init__(self, replay: Replay) -> None:
        super().__init__(replay.exit_code)
        self.replay = replay


def replay(capsule: Capsule, step: Callable[[Any, Any], tuple[Any, Any]], like: Any) -> Replay:
    """Makes a capsule's step again.

    Args:
      capsule: from `read_capsule`.
      step: `step(state, batch) -> (state, metrics)` as `make_step` builds it, of the run that wrote the capsule.
      like: a state of that run, or its `jax.eval_shape`.

    Raises:
      ValueError: the capsule's state does not fit `like`.

    >>> import jax, optax, tempfile, jax.numpy as jnp
    >>> from jnn.train import LossOutput, create_state, make_step
    >>> from jnn.train.capsule._capsule import read_capsule, write_capsule
    >>> def loss(params, batch, ctx):
    ...     return LossOutput(jnp.log(params["w"] * batch["x"]))
    >>> state = create_state({"w": jnp.ones(())}, optax.sgd(0.1))
    >>> path = write_capsule(tempfile.mkdtemp(), step=0, key=None, batch={"x": np.float32([1, 0])}, state=state,
    ...                      message="the loss is -inf", entry=None)
    >>> step = make_step(loss, optax.sgd(0.1), jax.random.key(1))
    >>> replay(read_capsule(path), step, state).finding.primitive
    'log'
    """
    state = capsule.state_as(like)

    def watched(state: Any, batch: Any) -> Any:
        new, metrics = step(state, batch)
        return metrics, trained(new)

    (metrics, _), finding = examine(watched, state, capsule.batch)
    return Replay(capsule, {name: values_of(metric) for name, metric in metrics.items()}, finding, params_of(state))


def replaying() -> Capsule | None:
    """The capsule that this program was started to replay, if it was."""
    return _replaying.get()


def next_run() -> int:
    """The number of a run in its program, counted from 0, in the order in which they begin."""
    number = _begun.get()
    _begun.set(number + 1)
    return number


def is_due() -> bool:
    """Whether the next run to begin is the one that wrote `replaying()`; always of a capsule that names no run."""
    capsule = replaying()
    return capsule is not None and capsule.run in (None, _begun.get())


def finish(step: Callable[[Any, Any], tuple[Any, Any]], like: Any) -> NoReturn:
    """Replays `replaying()`, and ends the program.

    Args:
      step, like: as of `replay`.

    Raises:
      Replayed: always, a `SystemExit`.
      RuntimeError: nothing is being replayed.
    """
    if (capsule := replaying()) is None:
        raise RuntimeError("finish: there is no capsule to replay. Start the program by python -m jnn.replay CAPSULE.")
    raise Replayed(replay(capsule, step, like))


def rerun(capsule: Capsule, entry: Entry | None = None) -> Replay:
    """Starts the program of a capsule's run again, in this process, to replay the capsule.

    It runs the program that the capsule names: rerun only capsules that you trust.

    Args:
      capsule: from `read_capsule`.
      entry: how to start the program, instead of the capsule's own entry.

    Raises:
      ValueError: neither says how.
      RuntimeError: the program ended without `finish`.
    """
    if (entry := entry or capsule.entry) is None:
        raise ValueError(
            f"{capsule.path} does not say how its run was started. Say it: --entry script.py ..., or --entry -m "
            "module ...; or call jnn.replay.replay yourself."
        )
    try:
        with _started_as(entry), _replay_of(capsule):
            if entry.module is not None:
                runpy.run_module(entry.module, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(entry.script), run_name="__main__")
    except Replayed as done:
        return done.replay
    raise RuntimeError(
        f"{entry} ended and never replayed {capsule.path}: expected a training loop that calls "
        "jnn.train.capsule._rerun.finish, as fit does. Give another --entry, or call jnn.replay.replay yourself."
    )


@contextlib.contextmanager
def _replay_of(capsule: Capsule) -> Iterator[None]:
    token, counted = _replaying.set(capsule), _begun.set(0)
    try:
        yield
    finally:
        _replaying.reset(token)
        _begun.reset(counted)


@contextlib.contextmanager
def _started_as(entry: Entry) -> Iterator[None]:
    """The arguments, the working folder and the import path that Python gives a program of this entry."""
    argv, path = sys.argv, sys.path
    folder = entry.folder if Path(entry.folder).is_dir() else os.getcwd()  # the run may be of another machine
    first = folder if entry.module is not None else str(Path(str(entry.script)).parent)
    sys.argv, sys.path = [argv[0], *entry.argv], [first, *path]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.argv, sys.path = argv, path
