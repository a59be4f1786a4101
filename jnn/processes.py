"""What the processes of one job tell each other, and do together; with one process, these do nothing.

    from_first(value) -> value       what process 0 was called with
    from_all(value) -> [value, ...]  what each was called with, by number
    by_first(act, failed) -> value   what `act()` gave to process 0, which alone calls it, or its failure for all
    on_host(tree) -> tree            whole arrays, whatever process holds their shards

Values are JSON values. Every process must call, in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jnn.param import is_key


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


def by_first(act: Callable[[], Any], failed: str) -> Any:
    """What `act` gives in process 0; it is called in no other.

    Raises:
      OSError: `failed`, where process 0 could not; there, whatever `act` raised.

    >>> by_first(lambda: "step-7", "the first process could not write")
    'step-7'
    """
    done = None
    try:
        if jax.process_index() == 0:
            done = [act()]
    finally:  # the others wait for this, whatever happened
        done = from_first(done)
    if done is None:
        raise OSError(failed)
    return done[0]


def on_host(tree: Any) -> Any:
    """The tree, with every array whole; those that this process can read by itself stay as they are.

    >>> on_host({"x": np.ones(2)})
    {'x': array([1., 1.])}
    """
    return tree if jax.process_count() == 1 else jax.tree.map(_whole, tree)


def _whole(x: Any) -> Any:
    if not isinstance(x, jax.Array) or x.is_fully_addressable:
        return x
    if is_key(x):
        return jax.random.wrap_key_data(_whole(jax.random.key_data(x)), impl=jax.random.key_impl(x))
    return multihost_utils.process_allgather(x, tiled=True)
