"""Several processes write one capsule: all bring what they hold, the first one writes.

    on_host(tree) -> tree                  whole arrays, whatever process holds their shards
    first_writes(write) -> path            `write()` of process 0, whose path all get, or whose failure

With one process these do nothing. Every process has to call them, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils

from jnn.param import is_key
from jnn.processes import from_first


def on_host(tree: Any) -> Any:
    """The tree, with every array whole; those that this process can read by itself stay as they are.

    >>> import numpy as np
    >>> on_host({"x": np.ones(2)})
    {'x': array([1., 1.])}
    """
    return tree if jax.process_count() == 1 else jax.tree.map(_whole, tree)


def first_writes(write: Callable[[], Path]) -> Path:
    """The path that `write` gives in process 0; it is called in no other.

    Raises:
      OSError: process 0 could not write; there, whatever `write` raised.

    >>> first_writes(lambda: Path("step-7")).name
    'step-7'
    """
    path = ""
    try:
        if jax.process_index() == 0:
            path = str(write())
    finally:  # the others wait for this, whatever happened
        path = from_first(path)
    if not path:
        raise OSError("write_capsule: process 0 could not write the capsule; its own error says why.")
    return Path(path)


def _whole(x: Any) -> Any:
    if not isinstance(x, jax.Array) or x.is_fully_addressable:
        return x
    if is_key(x):
        return jax.random.wrap_key_data(_whole(jax.random.key_data(x)), impl=jax.random.key_impl(x))
    return multihost_utils.process_allgather(x, tiled=True)
