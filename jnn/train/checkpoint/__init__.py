"""Checkpoints: the state and the records of a run as one atomic unit, through Orbax.

    Checkpoints(folder, keep=2, best=None)        .save(state, records)   .restore(like) -> Saved(state, records) | None
    read(folder) -> Saved({path: array}, records)         without the code of the run that saved it; `below="params"`
    diff(a, b) -> [Difference, ...]                       `python -m jnn.train.checkpoint A B` prints it as a table
    relayout(arrays, rules), rename, stack, unstack       old layouts
    checksums(tree), digest(tree)                         on the devices; on the host

Laws: a run that is killed at any instant finds the last checkpoint that was whole; what `restore` gives has the bits
that were saved, on whatever mesh, or it says why not; nothing is cast. When `wait` returns, what was saved can be read,
whatever its folder, its paths and its dtypes are. The newest of what is damaged stay (`_keep`).
What another version of jnn wrote is named (`OtherFormat`), and neither moved nor gone around.
"""

from jnn.train.checkpoint._digest import checksum, checksums, diff, digest, table
from jnn.train.checkpoint._layout import relayout, rename, stack, unstack
from jnn.train.checkpoint._manifest import CorruptCheckpoint, OtherFormat
from jnn.train.checkpoint._read import Saved, read
from jnn.train.checkpoint._store import Checkpoints

__all__ = [
    "Checkpoints",
    "CorruptCheckpoint",
    "OtherFormat",
    "Saved",
    "checksum",
    "checksums",
    "diff",
    "digest",
    "read",
    "relayout",
    "rename",
    "stack",
    "table",
    "unstack",
]
