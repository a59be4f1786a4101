"""One checkpoint, verified: as a state, or without the code of the run that saved it.

read_like(folder, like) -> Saved(state, records)
read(folder) -> Saved({path: array}, records)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jnn.train.checkpoint.agree import all_or_none
from jnn.train.checkpoint.folder import read_body, steps
from jnn.train.checkpoint.load import read_arrays, verify, wanted_by
from jnn.train.checkpoint.manifest import Damaged, Records, by_path, check_fit


class Saved(NamedTuple):
    """A state, and the records that were saved with it."""

    state: Any
    records: Records


def read_like(folder: Path, like: Any) -> Saved:
    """The checkpoint in the folder of a step, on the shardings of `like`; every process of a job takes part.

    Raises:
      ValueError: it has other paths, shapes or dtypes than `like`.
      Damaged: it is not what was saved, as this process or another one found.
    """
    where = f"checkpoint {folder.name} in {folder.parent}"
    wanted = by_path("Checkpoints.restore", like)
    try:
        body = all_or_none(lambda: read_body(folder))
        check_fit(where, body["arrays"], wanted)
        arrays = all_or_none(lambda: read_arrays(folder, wanted))
        verify(arrays, body)
    except Damaged as damage:
        raise Damaged(f"{where}: {damage}") from damage
    return Saved(jax.tree.unflatten(jax.tree.structure(like), arrays.values()), body["records"])


def read(folder: str | Path) -> Saved:
    """The arrays of a checkpoint by path, on the host, verified; no lock is taken and nothing is written.

    Args:
      folder: of one step, such as `run/checkpoints/2000`; or of a run, whose newest step is read.

    Returns:
      `Saved({path: array}, records)`: paths read `params/fc/w`. Bring them into another layout with `relayout`, and
      into parameters with `jnn.load`.

    Raises:
      FileNotFoundError: there is no checkpoint.
      Damaged: it is not what was saved.
      ValueError: it holds 64-bit arrays, and `jax_enable_x64` is not set.

    >>> import jax.numpy as jnp, optax, tempfile
    >>> from jnn.train import Checkpoints, create_state
    >>> folder = tempfile.mkdtemp()
    >>> with Checkpoints(folder) as checkpoints:
    ...     checkpoints.save(create_state({"w": jnp.ones(3)}, optax.sgd(0.1)), {"seed": 0})
    >>> arrays, records = read(folder)
    >>> sorted(arrays), records
    (['params/w', 'step'], {'seed': 0})
    """
    place = Path(os.path.realpath(folder))
    held = steps(place) if place.is_dir() else []
    if held:
        place /= str(held[-1])
    elif not ((place / "manifest").exists() or (place / "state").exists()):  # not even a damaged one
        raise FileNotFoundError(
            f"read: expected the folder of a checkpoint, or of a run that saved some, found {place}."
        )
    try:
        body = read_body(place)
        arrays = read_arrays(place, wanted_by(body))
        verify(arrays, body)
    except Damaged as damage:
        raise Damaged(f"checkpoint {place}: {damage}") from damage
    return Saved(arrays, body["records"])
