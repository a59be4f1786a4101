"""One checkpoint, verified: as a state, or without the code of the run that saved it.

read_like(folder, like) -> Saved(state, records)
read(folder, below="") -> Saved({path: array}, records)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax

from jnn.processes import from_all
from jnn.train.checkpoint._folder import steps
from jnn.train.checkpoint._load import read_arrays
from jnn.train.checkpoint._manifest import (
    Body,
    CorruptCheckpoint,
    OtherFormat,
    Records,
    check_fit,
    read_body,
    verify,
    wanted_by,
)
from jnn.train.checkpoint._stored import by_path

T = TypeVar("T")


class Saved(NamedTuple):
    """A state, and the records that were saved with it."""

    state: Any
    records: Records


def read_like(folder: Path, like: Any) -> Saved:
    """The checkpoint in the folder of a step, on the shardings of `like`; every process of a job takes part.

    Raises:
      ValueError: it has other paths, shapes or dtypes than `like`.
      CorruptCheckpoint: it is not what was saved, as this process or another one found.
      OtherFormat: another version of jnn wrote it.
    """
    where = f"checkpoint {folder.name} in {folder.parent}"
    wanted = by_path("Checkpoints.restore", like)
    with _named(where):
        body = _all_or_none(lambda: read_body(folder))
        check_fit(where, body, wanted)
        arrays = _all_or_none(lambda: read_arrays(folder, wanted))
        verify(arrays, body)
    return Saved(jax.tree.unflatten(jax.tree.structure(like), arrays.values()), body["records"])


def read(folder: str | Path, *, below: str = "") -> Saved:
    """The arrays of a checkpoint by path, on the host, verified; no lock is taken and nothing is written.

    Args:
      folder: of one step, such as `run/checkpoints/2000`; or of a run, whose newest step is read.
      below: a path, such as "params" or "ema": only what is below it is read, and named by the rest of its path.

    Returns:
      `Saved({path: array}, records)`: paths read `params/fc/w`. Bring them into another layout with `relayout`, and
      into parameters with `jnn.load`.

    Raises:
      FileNotFoundError: there is no checkpoint.
      CorruptCheckpoint: it is not what was saved.
      OtherFormat: another version of jnn wrote it.
      ValueError: nothing is below the path; or there are 64-bit arrays, and `jax_enable_x64` is not set.

    >>> import jnn, optax, tempfile
    >>> from jnn.layers import linear_spec
    >>> from jnn.train import Checkpoints, create_state
    >>> folder, spec = tempfile.mkdtemp(), linear_spec(3, 2)
    >>> with Checkpoints(folder) as checkpoints:
    ...     checkpoints.save(create_state(jnn.init(spec, jax.random.key(0)), optax.sgd(0.1)), {"seed": 0})
    >>> arrays, records = read(folder)
    >>> sorted(arrays), records
    (['loss_scale', 'params/b', 'params/w', 'step'], {'seed': 0})
    >>> params = jnn.load(spec, read(folder, below="params").state)  # for inference
    >>> params["w"].shape
    (3, 2)
    """
    place = Path(os.path.realpath(folder))
    held = steps(place) if place.is_dir() else []
    if held:
        place /= str(held[-1])
    elif not ((place / "manifest").exists() or (place / "state").exists()):  # not even a damaged one
        raise FileNotFoundError(
            f"read: expected the folder of a checkpoint, or of a run that saved some, found {place}."
        )
    with _named(f"checkpoint {place}"):
        body = read_body(place)
        chosen = _below(body, below)
        arrays = read_arrays(place, wanted_by(chosen))
        verify(arrays, chosen)
    return Saved({path[len(below) + 1 :] if below else path: x for path, x in arrays.items()}, body["records"])


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """What is wrong with a checkpoint, behind which one it is."""
    try:
        yield
    except (CorruptCheckpoint, OtherFormat) as problem:
        raise type(problem)(f"{where}: {problem}") from problem


def _all_or_none(read: Callable[[], T]) -> T:
    """What `read` gives, if it does on every process: they come to one mind about a checkpoint.

    Raises:
      CorruptCheckpoint: it was damaged here, or on another process.
      OtherFormat: another version of jnn wrote it.
    """
    found: list[T] = []
    problem: CorruptCheckpoint | OtherFormat = CorruptCheckpoint("another process could not read it")
    try:
        found.append(read())
    except (CorruptCheckpoint, OtherFormat) as own:
        problem = own
    if not all(from_all(bool(found))):
        raise problem
    return found[0]


def _below(body: Body, path: str) -> Body:
    """The manifest's body with what is below a path alone."""
    chosen = {name: entry for name, entry in body["arrays"].items() if not path or name.startswith(f"{path}/")}
    if not chosen:
        there = sorted({name.split("/")[0] for name in body["arrays"]})
        raise ValueError(f"read: expected a path that arrays are below, found {path!r}; the checkpoint holds {there}.")
    return body | {"arrays": chosen}
