"""Checkpoints: the state and the history of a run as one atomic unit, through Orbax.

Orbax writes in the background and makes a step visible only when it is whole, so a run killed at
any instant finds its last finished step. The state is copied before it is handed over: the next
step donates its buffers.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp

from jnn.param import flatten
from jnn.train.state import TrainState

History = list[dict[str, float]]


class Checkpoints:
    """A folder of checkpoints, numbered by step.

    Args:
      folder: created if missing.
      keep: how many of the newest steps stay.

    >>> import jax.numpy as jnp, optax, tempfile
    >>> from jnn.train.state import create_state
    >>> state = create_state({"w": jnp.ones(3)}, optax.sgd(0.1))
    >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
    ...     checkpoints.save(state, [{"step": 0, "train/loss": 1.5}])
    ...     restored, history = checkpoints.restore(state)
    >>> history
    [{'step': 0, 'train/loss': 1.5}]
    """

    def __init__(self, folder: str | Path, *, keep: int = 2) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(Path(folder).absolute(), options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._manager.close()  # waits for the last save

    def save(self, state: TrainState, history: History) -> None:
        """Starts to save; returns before the files are written."""
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(jax.device_put(state, may_alias=False)), history=ocp.args.JsonSave(history)
        )
        self._manager.save(int(state.step), args=items)

    def restore(self, like: TrainState) -> tuple[TrainState, History] | None:
        """The newest state and history, in the shapes, dtypes and shardings of `like`; None if there is none."""
        self._manager.wait_until_finished()
        if (step := self._manager.latest_step()) is None:
            return None
        target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(target), history=ocp.args.JsonRestore())
        found = self._manager.restore(step, args=items)
        return found["state"], found["history"]


def digest(tree: Any) -> str:
    """A SHA-256 over the paths, dtypes, shapes and bytes of a tree of arrays: equal iff bit-equal.

    >>> digest({"w": jax.numpy.ones(2)}) == digest({"w": np.ones(2, np.float32)})
    True
    """
    sha = hashlib.sha256()
    for path, leaf in sorted(flatten(tree).items()):
        array = np.asarray(leaf)
        sha.update(f"{path} {array.dtype} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
