"""`Checkpoints`: a folder of checkpoints that a run, killed at any instant, goes on from.

What Orbax would restore in silence (a flipped byte, an empty folder, another dtype) the manifest finds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np

from jnn.processes import from_first
from jnn.terminal import say
from jnn.train._state import step_of
from jnn.train.checkpoint._folder import Lock, check_own, is_there, steps
from jnn.train.checkpoint._keep import Best, Keep
from jnn.train.checkpoint._manifest import CorruptCheckpoint, Records, body_of
from jnn.train.checkpoint._quarantine import clear, quarantine
from jnn.train.checkpoint._read import Saved, read_like
from jnn.train.checkpoint._stored import by_path, check_storable

Report = Callable[[str], object]
# a folder that is in use, or somebody else's, is not even read
REFUSALS: dict[str, type[Exception]] = {"BlockingIOError": BlockingIOError, "ValueError": ValueError}


class Checkpoints:
    """Checkpoints in a folder, numbered by step; one run at a time.

    Args:
      folder: created if missing. One that cannot be written can still be restored from.
      keep: how many of the newest steps stay.
      best: ("val/loss", "min", 3) lets the three steps with the least `metrics["val/loss"]` stay as well.
      save_seconds: `fit` saves a row if its last save is at least this long ago; the last row always.

    Raises:
      BlockingIOError: another run has the folder open; names its process.
      ValueError: `keep`, `best` or `save_seconds` mean nothing, or the folder holds others with the names of steps.

    >>> import jax.numpy as jnp, optax, tempfile
    >>> from jnn.train import create_state
    >>> state = create_state({"w": jnp.ones(3)}, optax.sgd(0.1))
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(state, {"history": [{"step": 0, "train/loss": 1.5}]})
    ...     restored, records = checkpoints.restore(state)
    >>> records
    {'history': [{'step': 0, 'train/loss': 1.5}]}
    """

    def __init__(
        self, folder: str | Path, *, keep: int = 2, best: Best | None = None, save_seconds: float = 0.0
    ) -> None:
        from jnn.train.checkpoint._write import Writer  # Orbax takes a third of a second, which no step should wait for

        self.folder = Path(os.path.realpath(folder))  # whatever becomes of links and of the working directory
        self._keep = Keep(keep, best)
        if not isinstance(save_seconds, int | float | np.number) or not save_seconds >= 0:
            raise ValueError(f"Checkpoints: expected save_seconds of 0 or more seconds, found {save_seconds!r}.")
        self.save_seconds = save_seconds
        self._writer = Writer(self.folder, self._keep)
        self._lock: Lock | None = None
        # the processes of one job share the folder: the first one opens it for all of them
        problem = self._open() if jax.process_index() == 0 else None
        said = from_first(problem and [type(problem).__name__, str(problem)])
        if said is not None:
            kind, message = said
            if kind in REFUSALS or not self.folder.is_dir():
                raise problem or REFUSALS.get(kind, OSError)(message)
            self._writer.forbidden = problem if isinstance(problem, OSError) else OSError(message)

    def _open(self) -> OSError | ValueError | None:
        """What forbids to write in the folder, if anything does."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.folder)
        except OSError as error:
            return error
        try:
            check_own(self.folder)
        except (OSError, ValueError) as error:
            self._lock.release()
            return error
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Waits for the last save, and lets other runs have the folder.

        Raises:
          OSError: the last save could not be written.
        """
        try:
            self.wait()
        finally:
            self._writer.close()
            if self._lock is not None:
                self._lock.release()

    @property
    def steps(self) -> list[int]:
        """What the folder holds, whole or damaged; the same on every process."""
        self.wait()
        return list(from_first(steps(self.folder)))

    def pin(self, step: int) -> None:
        """Lets the checkpoint of this step stay, and no longer the one that was pinned before."""
        self._keep.pinned = step

    def save(self, state: Any, records: Records, *, metrics: Mapping[str, float] | None = None) -> None:
        """Starts to save; returns before the files are written. Saving again what is there does nothing.

        Args:
          state: a pytree of arrays with a step (`step_of`); its buffers may be donated as soon as this returns.
          records: what belongs to this state: name -> JSON value. Tuples come back as lists.
          metrics: the numbers that `best` looks at; without any, this one is not among the best.

        Raises:
          OSError: this save, or the last one, could not be written; the checkpoints before it are whole.
          ValueError: the folder holds this step with other contents, or a later one; `best`'s metric is missing; two
            leaves have one path; the step is below 0.
          TypeError: a state without a step, leaves that are no arrays of JAX's dtypes, records that are no JSON.
        """
        self.wait()
        arrays = by_path("Checkpoints.save", state)
        check_storable("Checkpoints.save", arrays)
        self._keep.check(metrics or {})
        if (step := int(step_of(state))) < 0:
            raise ValueError(f"Checkpoints.save: expected a step of 0 or more, found {step}.")
        body = body_of(step, arrays, records, metrics or {})
        if not is_there(self.folder, from_first(steps(self.folder)), body):
            self._writer.start(arrays, body)

    def wait(self) -> None:
        """Returns when the last save is written, and known to be readable.

        Raises:
          OSError: it could not be written.
        """
        self._writer.wait()

    def restore(self, like: Any, *, step: int | None = None, report: Report = say) -> Saved | None:
        """The newest state that is what was saved, and its records; None if there is none.

        A damaged checkpoint is reported and, once one before it is found to be whole, moved to `folder/damaged`,
        where the newest few stay.

        Args:
          like: a state, or a tree of `jax.ShapeDtypeStruct`s, from which nothing but structure, shapes, dtypes and
            shardings is taken: the arrays go straight into the shards, of whatever mesh.
          step: this one, and no other, instead of the newest.
          report: called with one line for each checkpoint that is damaged or half-written.

        Raises:
          ValueError: the checkpoint has other paths, shapes or dtypes than `like`: all are listed, none is cast.
            Or there is no such step.
          CorruptCheckpoint: none of the checkpoints is whole, or the one that was asked for is not.
          OtherFormat: the newest that is not damaged is of another version of jnn; nothing is moved.
        """
        held = self.steps
        if step is not None:
            if step not in held:
                raise ValueError(f"Checkpoints: {self.folder} holds the steps {held}, not {step}.")
            return read_like(self.folder / str(step), like)
        damaged: dict[int, CorruptCheckpoint] = {}
        for whole in reversed(held):
            try:
                saved = read_like(self.folder / str(whole), like)
            except CorruptCheckpoint as damage:
                damaged[whole] = damage
            else:
                self._clear(whole, damaged, report)
                return saved
        if damaged:
            raise CorruptCheckpoint(
                f"Checkpoints: none of the checkpoints in {self.folder} is whole:\n  "
                + "\n  ".join(map(str, damaged.values()))
                + "\nBring back a copy of the folder, or move it away to begin anew."
            )
        self._clear(None, damaged, report)
        return None

    def _clear(self, whole: int | None, damaged: Mapping[int, CorruptCheckpoint], report: Report) -> None:
        """Moves what is damaged or half-written out of the way, and says so."""
        if jax.process_index() == 0:
            for step, damage in damaged.items():
                report(f"{damage}; {quarantine(self.folder / str(step))}")
            for line in clear(self.folder, whole):
                report(line)
        from_first(None)  # nobody saves before the first process is done
        self._writer.look_again()
