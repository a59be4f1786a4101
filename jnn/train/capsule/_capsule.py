"""Failure capsules: all that is needed to make one training step again, in a folder of plain files.

    write_capsule(folder, step=..., batch=..., state=..., message=..., run=...) -> path
    read_capsule(path) -> Capsule

    step-42/
      capsule.json     the step, the message, the run's name, the names and dtypes of all arrays
      arrays.npz       the batch, the state before the step: as bits where NumPy lacks the dtype
      norms.txt        a table to read: path, shape, norm, smallest, largest and bad numbers of every parameter

Laws: what is read is bit-equal to what was written, whatever the dtype, typed keys included; a folder of this name is
whole, since it is renamed into place last; nothing is ever pickled.
"""

from __future__ import annotations

import dataclasses
import shutil
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.files import free_name, naming
from jnn.inspect.nonfinite import Summary
from jnn.param import flatten, misfits
from jnn.processes import by_first, on_host
from jnn.strict_json import dumps, loads
from jnn.train._state import params_of
from jnn.train.capsule._plain import Pack, unpack

VERSION = 3


@dataclasses.dataclass(frozen=True)
class Capsule:
    """One step of a run, as it was before the step.

    Attributes:
      step: its number.
      message: what was wrong with it.
      batch: the step's batch.
      state: the arrays of the state before the step, by path.
      path: of the capsule's folder.
      run: the name of the run that wrote it, where a program has several; "" for one without.
    """

    step: int
    message: str
    batch: Any
    state: dict[str, Any]
    path: Path
    run: str = ""

    def state_as(self, like: Any) -> Any:
        """The state in the tree of `like`, whose leaves are arrays or `jax.ShapeDtypeStruct`s.

        Raises:
          ValueError: another tree, or other shapes or dtypes; it lists every path.
        """
        wanted = flatten(like)
        if problems := misfits(self.state, wanted):
            raise ValueError(
                f"{self.path}: its state is that of another run. Build the step and the state of the one that wrote "
                "it:\n  " + "\n  ".join(problems)
            )
        return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(self.state[path]) for path in wanted])


def write_capsule(
    folder: str | Path,
    *,
    step: int,
    batch: Any,
    state: Any,
    message: str,
    run: str = "",
) -> Path:
    """Writes a capsule below `folder`; of several processes each takes part, and process 0 writes.

    Args:
      folder: of the run; created if missing.
      step: the number of the step that went wrong.
      batch: dicts, lists and tuples of arrays.
      state: *before* the step: any pytree of arrays; `state.params` goes into the table.
      message: what was wrong.
      run: the run's name, where a program has several, so that a replay finds it among others.

    Returns:
      The capsule's folder: `step-42`, or `step-42-2` if there is one already.

    Raises:
      TypeError: the batch holds something else than dicts, lists, tuples and arrays.
      OSError: of the file system; nothing is left behind.

    >>> import tempfile
    >>> state = {"params": {"w": jnp.ones(3, jnp.bfloat16)}}
    >>> batch = {"x": np.array([1.0, np.nan])}
    >>> path = write_capsule(tempfile.mkdtemp(), step=7, batch=batch, state=state, message="the loss is nan")
    >>> capsule = read_capsule(path)
    >>> capsule.step, capsule.batch["x"], capsule.state["params/w"].dtype.name
    (7, array([ 1., nan]), 'bfloat16')
    """
    batch, state = on_host((batch, state))
    pack = Pack()
    record = {
        "version": VERSION,
        "step": int(step),
        "message": message,
        "run": run,
        "batch": pack.tree(batch),
        "state": pack.tree(flatten(state)),
        "dtypes": pack.dtypes,
    }
    text = f"parameters\n{norms(params_of(state))}\n"
    write = lambda: str(_write(Path(folder).absolute(), record, pack.arrays, text))
    with naming(Path(folder)):
        return Path(by_first(write, "write_capsule: process 0 could not write the capsule; its own error says why."))


def _write(folder: Path, record: dict[str, Any], arrays: Mapping[str, np.ndarray], text: str) -> Path:
    """The three files, under a name that nobody takes for a capsule until they are whole."""
    written = folder / f".capsule-{uuid.uuid4().hex}"
    written.mkdir(parents=True)
    try:
        np.savez(written / "arrays.npz", *arrays.values())
        (written / "norms.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
        (written / "capsule.json").write_text(dumps(record, indent=1), encoding="utf-8")
        return written.rename(free_name(folder / f"step-{record['step']}"))
    except BaseException:
        shutil.rmtree(written)
        raise


def read_capsule(path: str | Path) -> Capsule:
    """The capsule in a folder.

    Raises:
      ValueError: it is damaged, of another version, or no capsule at all; it names those that there are.
    """
    path = Path(path).absolute()
    try:
        record = loads((path / "capsule.json").read_text(encoding="utf-8"))
        version = record["version"]
        capsule = _read(path, record) if version == VERSION else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"read_capsule: {path} must be a folder of capsule.json and arrays.npz, as write_capsule made it; "
            f"found {type(error).__name__}: {error}.{_others(path)}"
        ) from error
    if capsule is None:
        raise ValueError(
            f"read_capsule: {path} has version {version}, and this version of jnn reads version {VERSION}. Read it "
            "with the version of jnn that wrote it."
        )
    return capsule


def _read(path: Path, record: dict[str, Any]) -> Capsule:
    with (path / "arrays.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        arrays = {name: file[name] for name in record["dtypes"]}
    tree = lambda name: unpack(record[name], arrays, record["dtypes"])
    return Capsule(record["step"], record["message"], tree("batch"), tree("state"), path, record["run"])


def _others(path: Path) -> str:
    """The capsules that there are where one was looked for: in the folder itself, or else beside it."""
    for folder in (path, path / "capsules", path.parent):
        if found := sorted(folder.glob("step-*/capsule.json"), key=lambda file: (file.stat().st_mtime, str(file))):
            names = [str(file.parent) for file in found if file.parent != path]
            return f" There are: {', '.join(names[:8])}{', ...' if names[8:] else ''}." if names else ""
    return ""


def norms(tree: Any) -> str:
    """A table of the arrays of a tree: path, shape, norm, smallest, largest and bad numbers.

    >>> print(norms({"w": jnp.array([3.0, -4.0]), "b": jnp.zeros(1)}))
    b  float32[1]  min 0  max 0  norm 0
    w  float32[2]  min -4  max 3  norm 5
    """
    leaves = flatten(tree)
    width = max(map(len, leaves), default=0)
    return "\n".join(f"{path:{width}}  {Summary.of(jnp.asarray(leaf))}" for path, leaf in leaves.items())
