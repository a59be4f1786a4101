"""The writing side: a state goes to Orbax, which makes a step visible only when it is whole.

    writer = Writer(folder, keep)
    writer.start(arrays, body)        copies, and returns before the files are written
    writer.wait()                     until they are; `OSError` says why they could not be
    check_storable(where, arrays)     whether they can be stored as they are

The next step donates the arrays' buffers, so they are in the host's memory before `start` returns. Orbax sees to that,
except on a CPU, where it would read the buffers themselves: there they are copied first. So until a save is written it
takes as much of the host's memory as the state, and what is on the way to the disk; of an accelerator's, that of the
arrays that have to grow (`_chunked`), which are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jnn.train.checkpoint.folder import metrics, steps
from jnn.train.checkpoint.keep import Keep
from jnn.train.checkpoint.manifest import Body, in_one_line, seal
from jnn.train.checkpoint.stored import CHUNK_BYTES, check_names, divisible, is_divisible, is_key, stored_name, words
from jnn.train.state import own_copy

FILE_BYTES = 2**28  # of a data file, which TensorStore gathers in memory before it writes; its own default is 2 GiB


class Writer:
    """Orbax's manager of a folder, made for the first save: it would write into a folder that is only read.

    Args:
      folder: of the run.
      keep: which steps stay.

    Attributes:
      forbidden: why nothing can be written there, if that is known.
    """

    def __init__(self, folder: Path, keep: Keep) -> None:
        self._folder = folder
        self._keep = keep
        self.forbidden: OSError | None = None
        self._manager: ocp.CheckpointManager | None = None

    def start(self, arrays: Mapping[str, Any], body: Body) -> None:
        """Starts to write the arrays and the manifest, as one unit; the arrays may be donated when this returns.

        What was started before must be written: `wait()`.

        Raises:
          OSError: they could not be written.
        """
        stored, chunks = {}, {}
        for path, x in arrays.items():
            if x.size:  # Orbax refuses arrays without elements: they are in the manifest alone
                stored[stored_name(path)], chunks[stored_name(path)] = _chunked(x)
        args = ocp.args.Composite(
            state=ocp.args.PyTreeSave(stored, save_args=chunks, ocdbt_target_data_file_size=FILE_BYTES),
            manifest=ocp.args.JsonSave(seal(body)),
        )
        try:
            self._open().save(body["step"], args=args, force=True)
        except Exception as error:  # Orbax's and TensorStore's are of every kind
            raise self._unwritten(error) from error
        self._keep.metrics[body["step"]] = body["metrics"]

    def wait(self) -> None:
        """Returns when everything is written.

        Raises:
          OSError: it could not be.
        """
        if self._manager is not None:
            try:
                self._manager.wait_until_finished()
            except Exception as error:  # Orbax's and TensorStore's are of every kind
                raise self._unwritten(error) from error

    def look_again(self) -> None:
        """To be called when steps were moved away."""
        if self._manager is not None:
            self._manager.reload()

    def close(self) -> None:
        """Lets go of Orbax's threads; the next save would begin anew."""
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def _open(self) -> ocp.CheckpointManager:
        if self.forbidden is not None:
            raise self.forbidden
        if self._manager is None:
            for step in steps(self._folder):
                self._keep.metrics[step] = metrics(self._folder / str(step))
            options = ocp.CheckpointManagerOptions(preservation_policy=self._keep, create=False)
            self._manager = ocp.CheckpointManager(self._folder, options=options)
        return self._manager

    def _unwritten(self, error: Exception) -> OSError:
        """The one error for all that can go wrong while writing; the next save begins with a new manager."""
        self._manager = None
        ended = "" if jax.process_count() == 1 else ", or see whether another process of this job has ended"
        return OSError(
            f"Checkpoints: could not write to {self._folder}: {in_one_line(error)}. Make room or get the "
            f"permission to write there{ended}; the checkpoints before this one are whole."
        )


def check_storable(where: str, arrays: Mapping[str, Any]) -> None:
    """Raises unless the arrays can be stored as they are, each in a place of its own.

    Raises:
      ValueError: two paths would be stored in one place.
      TypeError: JAX would change a dtype.
    """
    check_names(where, arrays)
    if cut := [
        f"{path} ({x.dtype})"
        for path, x in arrays.items()
        if not is_key(x) and jax.dtypes.canonicalize_dtype(x.dtype) != x.dtype
    ]:
        raise TypeError(f"{where}: 64-bit arrays need jax.config.update('jax_enable_x64', True): {', '.join(cut)}.")


def _chunked(x: Any) -> tuple[jax.Array, ocp.SaveArgs]:
    """An array that no step can change, and how it is cut into chunks: so that it can be read piece by piece.

    One that is on no mesh grows until its axes can be cut; of one that is, a shard that cannot is a chunk.
    """
    x = words(x)
    part = x.sharding.shard_shape(x.shape) if isinstance(x, jax.Array) else x.shape
    if x.nbytes > CHUNK_BYTES and part == x.shape and not is_divisible(part):
        grown = [(0, new - old) for old, new in zip(x.shape, divisible(x.shape), strict=True)]
        return jnp.pad(x, grown), ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES)
    kept = own_copy(x) if _in_host_memory(x) else x
    return kept, ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES if is_divisible(part) else None)


def _in_host_memory(x: Any) -> bool:
    """Whether the host reads the buffer itself, and no copy of it."""
    return not isinstance(x, jax.Array) or next(iter(x.devices())).platform == "cpu"
