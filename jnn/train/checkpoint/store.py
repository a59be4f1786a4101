"""`Checkpoints`: a folder of checkpoints that a run, killed at any instant, goes on from.

The state is copied before it is handed over, since the next step donates its buffers; Orbax writes the copy in the
background and makes a step visible only when it is whole. What Orbax would restore in silence (a flipped byte, an
empty folder, another dtype) the manifest finds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import jax
import orbax.checkpoint as ocp

from jnn.train.checkpoint import files
from jnn.train.checkpoint.agree import all_or_none, as_first_sees
from jnn.train.checkpoint.keep import Best, Keep
from jnn.train.checkpoint.lock import Lock
from jnn.train.checkpoint.manifest import FORMAT, Body, Damaged, by_path, check_fit, of_arrays, seal
from jnn.train.state import own_copy

Records = dict[str, Any]  # name -> JSON value: the history, the settings, the state of an iterator
Report = Callable[[str], None]


class State(Protocol):
    """Any pytree of arrays that knows its step, such as a `TrainState`."""

    @property
    def step(self) -> Any: ...


class Saved(NamedTuple):
    """A state, and the records that were saved with it."""

    state: Any
    records: Records


def to_stderr(line: str) -> None:
    """The default of `report`."""
    print(line, file=sys.stderr)


class Checkpoints:
    """A folder of checkpoints, numbered by step; one run at a time.

    Args:
      folder: created if missing. One that cannot be written can still be restored from.
      keep: how many of the newest steps stay.
      best: ("val/loss", "min", 3) lets the three steps with the least `metrics["val/loss"]` stay as well.

    Raises:
      BlockingIOError: another run has the folder open; names its process.
      ValueError: `keep` or `best` mean nothing.

    >>> import jax.numpy as jnp, optax, tempfile
    >>> from jnn.train.state import create_state
    >>> state = create_state({"w": jnp.ones(3)}, optax.sgd(0.1))
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(state, {"history": [{"step": 0, "train/loss": 1.5}]})
    ...     restored, records = checkpoints.restore(state)
    >>> records
    {'history': [{'step': 0, 'train/loss': 1.5}]}
    """

    def __init__(self, folder: str | Path, *, keep: int = 2, best: Best | None = None) -> None:
        self.folder = Path(folder).absolute()
        self._keep = Keep(keep, best)
        self._manager: ocp.CheckpointManager | None = None
        self._lock: Lock | None = None
        self._read_only: OSError | None = None
        if jax.process_index() == 0:  # the processes of one job share the folder
            self._open()

    def _open(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.folder)
        except BlockingIOError:
            raise
        except OSError as error:
            if not self.folder.is_dir():
                raise
            self._read_only = error

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
            if self._manager is not None:
                self._manager.close()
                self._manager = None
            if self._lock is not None:
                self._lock.release()

    def save(self, state: State, records: Records, *, metrics: Mapping[str, float] | None = None) -> None:
        """Starts to save; returns before the files are written. Saving again what is there does nothing.

        Args:
          state: a pytree of arrays with a `step`; its buffers may be donated as soon as this returns.
          records: what belongs to this state: name -> JSON value. Tuples come back as lists.
          metrics: the numbers that `best` looks at; without any, this one is not among the best.

        Raises:
          OSError: this save, or the last one, could not be written; the checkpoints before it are whole.
          ValueError: the folder holds this step with other contents, or a later one; `best`'s metric is missing.
          TypeError: leaves that are no arrays, records that are no JSON.
        """
        self.wait()
        step = int(state.step)
        copy = _copy(state)
        body = self._body(step, copy, records, metrics)
        if self._is_there(step, body):
            return
        try:
            self._orbax().save(step, args=files.items(copy, seal(body)), force=True)
        except Exception as error:  # Orbax's and TensorStore's are of every kind
            raise self._unwritten(error) from error
        self._keep.metrics[step] = body["metrics"]

    def wait(self) -> None:
        """Returns when the last save is written.

        Raises:
          OSError: it could not be.
        """
        if self._manager is not None:
            try:
                self._manager.wait_until_finished()
            except Exception as error:  # Orbax's and TensorStore's are of every kind
                raise self._unwritten(error) from error

    def restore(self, like: Any, *, step: int | None = None, report: Report = to_stderr) -> Saved | None:
        """The newest state that is what was saved, and its records; None if there is none.

        A damaged checkpoint is reported and, once one before it is found to be whole, moved to `folder/damaged`.

        Args:
          like: a state, or a tree of `jax.ShapeDtypeStruct`s, from which nothing but structure, shapes, dtypes and
            shardings is taken: the arrays go straight into the shards, of whatever mesh.
          step: this one, and no other, instead of the newest.
          report: called with one line for each checkpoint that is damaged or half-written.

        Raises:
          ValueError: the checkpoint has other paths, shapes or dtypes than `like`: all are listed, none is cast.
            Or there is no such step.
          Damaged: none of the checkpoints is whole, or the one that was asked for is not.
        """
        self.wait()
        if step is not None:
            if step not in (held := self._steps()):
                raise ValueError(f"Checkpoints: {self.folder} holds the steps {held}, not {step}.")
            return self._read(step, like)
        damaged: dict[int, Damaged] = {}
        saved = None
        for candidate in reversed(self._steps()):
            try:
                saved = self._read(candidate, like)
                break
            except Damaged as damage:
                damaged[candidate] = damage
        if damaged and saved is None:
            raise Damaged(
                f"Checkpoints: none of the checkpoints in {self.folder} is whole:\n  "
                + "\n  ".join(map(str, damaged.values()))
                + "\nBring back a copy of the folder, or move it away to begin anew."
            )
        self._set_aside(damaged, report)
        return saved

    def _steps(self) -> list[int]:
        return as_first_sees(files.steps(self.folder))

    def _read(self, step: int, like: Any) -> Saved:
        """One checkpoint, verified."""
        where, folder = f"checkpoint {step} in {self.folder}", self.folder / str(step)
        wanted = by_path("Checkpoints.restore", like)
        try:
            body = all_or_none(lambda: files.read_body(folder))
            check_fit(where, body["arrays"], wanted)
            arrays = all_or_none(lambda: files.read_arrays(folder, wanted))
            files.verify(arrays, body)
        except Damaged as damage:
            raise Damaged(f"{where}: {damage}") from damage
        return Saved(jax.tree.unflatten(jax.tree.structure(like), arrays.values()), body["records"])

    def _set_aside(self, damaged: Mapping[int, Damaged], report: Report) -> None:
        """Moves what is damaged or half-written out of the way, and says so."""
        if jax.process_index() == 0:
            for step, damage in damaged.items():
                report(f"{damage}; {files.move_aside(self.folder / str(step))}")
            for path in files.halves(self.folder):
                report(f"checkpoint {path.name}: the save was not finished; {files.move_aside(path)}")
        as_first_sees([])  # nobody saves before the first process is done
        if self._manager is not None:
            self._manager.reload()

    def _body(self, step: int, copy: dict[str, Any], records: Records, metrics: Mapping[str, float] | None) -> Body:
        """What the manifest of this save says."""
        if metrics and self._keep.best is not None and self._keep.best[0] not in metrics:
            raise ValueError(f"Checkpoints.save: best needs {self._keep.best[0]!r}, found metrics {sorted(metrics)}.")
        if not isinstance(records, dict):
            raise TypeError(f"Checkpoints.save: records must be a dict of JSON values, found {type(records).__name__}.")
        numbers = {name: float(value) for name, value in (metrics or {}).items()}
        body = {"format": FORMAT, "step": step, "arrays": of_arrays(copy), "records": records, "metrics": numbers}
        try:
            return json.loads(json.dumps(body))
        except (TypeError, ValueError) as error:
            raise TypeError(f"Checkpoints.save: records must hold JSON values: {error}.") from error

    def _is_there(self, step: int, body: Body) -> bool:
        """Whether this very checkpoint is in the folder.

        Raises ValueError if the folder holds something else that would be in its way.
        """
        held = self._steps()
        if step in held:
            try:
                if files.read_body(self.folder / str(step)) == body:
                    return True
            except Damaged as damage:
                raise ValueError(
                    f"Checkpoints.save: {self.folder} holds a damaged step {step} ({damage}). Restore first, which "
                    "sets it aside, or choose another folder."
                ) from damage
        if held and held[-1] >= step:
            raise ValueError(
                f"Checkpoints.save: expected a step after {held[-1]}, the newest in {self.folder}, found step {step}. "
                "Restore first and go on from there, or choose another folder."
            )
        return False

    def _orbax(self) -> ocp.CheckpointManager:
        """Orbax's manager, made for the first save: it would write into a folder that is only read."""
        if self._read_only is not None:
            raise self._read_only
        if self._manager is None:
            for step in files.steps(self.folder):
                self._keep.metrics[step] = files.metrics(self.folder / str(step))
            options = ocp.CheckpointManagerOptions(preservation_policy=self._keep, create=False)
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        return self._manager

    def _unwritten(self, error: Exception) -> OSError:
        """The one error for all that can go wrong while writing; the next save begins with a new manager."""
        self._manager = None
        return OSError(
            f"Checkpoints: could not write to {self.folder}: {files.first_line(error)}. Make room or get the "
            "permission to write there; the checkpoints before this one are whole."
        )


def _copy(state: State) -> dict[str, jax.Array]:
    """The arrays of a state by path, in buffers of their own. Nothing is compiled.

    Raises TypeError where JAX would change a dtype.
    """
    flat = by_path("Checkpoints.save", state)
    copy: dict[str, jax.Array] = own_copy(flat)
    if cast := [f"{path} ({flat[path].dtype})" for path, x in copy.items() if x.dtype != flat[path].dtype]:
        raise TypeError(
            f"Checkpoints.save: 64-bit arrays need jax.config.update('jax_enable_x64', True): {', '.join(cast)}."
        )
    return copy
