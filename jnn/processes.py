"""What the processes of one job tell each other about their records; with one process, these do nothing.

    from_first(value) -> value       what process 0 was called with
    from_all(value) -> [value, ...]  what each was called with, by number

Values are JSON values. Every process must call, in the same order.
"""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def from_first(value: Any) -> Any:
    """What process 0 was called with.

    >>> from_first({"step": 3})
    {'step': 3}
    """
    return value if jax.process_count() == 1 else from_all(value)[0]


def from_all(value: Any) -> list[Any]:
    """What each process was called with, by its number.

    >>> from_all({"step": 3})
    [{'step': 3}]
    """
    if jax.process_count() == 1:
        return [value]
    data = np.frombuffer(json.dumps(value).encode(), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(data.size))
    rows = multihost_utils.process_allgather(np.pad(data, (0, int(sizes.max()) - data.size)))
    return [json.loads(bytes(row[:size])) for row, size in zip(rows, sizes, strict=True)]
