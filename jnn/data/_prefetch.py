"""The next batches are made and put on the device while the current one is used.

Laws: the same batches in the same order; at most `depth` of them wait; an exception of the source
is raised where its batch would have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax

from jnn import checks
from jnn.data._checked import check_count


def prefetch(batches: Iterable[Any], *, depth: int = 2, sharding: jax.sharding.Sharding | None = None) -> Iterator[Any]:
    """Prefetching: iterates over batches that one thread makes ahead and puts on the device.

    Args:
      batches: trees of arrays, such as `(source[step] for step in range(start, stop))`.
      depth: how many batches may wait.
      sharding: where they go; None is the default device.

    Returns:
      An iterator of the same trees of jax arrays. Closing it ends the thread.

    Raises:
      TypeError: one batch, or what cannot be iterated.
      ValueError: depth below 1.

    >>> import numpy as np
    >>> [int(batch["x"].sum()) for batch in prefetch({"x": np.full(2, i)} for i in range(3))]
    [0, 2, 4]
    """
    check_count("prefetch", "depth", depth)
    if isinstance(batches, Mapping) or not isinstance(batches, Iterable):
        raise TypeError(
            f"prefetch: expected an iterable of batches, found {type(batches).__name__}. Several steps of a source: "
            "prefetch(source[step] for step in range(start, stop))."
        )
    return _run(iter(batches), depth, sharding)


def _run(source: Iterator[Any], depth: int, sharding: jax.sharding.Sharding | None) -> Iterator[Any]:
    end = object()

    def produce() -> Any:
        batch = next(source, end)
        if batch is end:
            return end
        checks.held_all("prefetch", batch)
        return jax.device_put(batch, sharding)

    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        waiting = deque(pool.submit(produce) for _ in range(depth))
        while (batch := waiting.popleft().result()) is not end:
            yield batch
            waiting.append(pool.submit(produce))
    finally:
        pool.shutdown(cancel_futures=True)
