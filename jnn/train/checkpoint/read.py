"""A checkpoint without the code of the run that saved it: its arrays by path, and its records."""

from __future__ import annotations

from pathlib import Path

from jnn.train.checkpoint import files
from jnn.train.checkpoint.manifest import Damaged
from jnn.train.checkpoint.store import Saved


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
    place = Path(folder)
    if not (place.is_dir() and (place.name.isdecimal() or files.steps(place))):
        raise FileNotFoundError(
            f"read: expected the folder of a checkpoint, or of a run that saved some, found {place}."
        )
    if not place.name.isdecimal():
        place /= str(files.steps(place)[-1])
    try:
        body = files.read_body(place)
        arrays = files.read_arrays(place, files.wanted_by(body))
        files.verify(arrays, body)
    except Damaged as damage:
        raise Damaged(f"checkpoint {place}: {damage}") from damage
    return Saved(arrays, body["records"])
