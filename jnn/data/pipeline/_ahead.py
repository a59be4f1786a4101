"""Batches that are made ahead of the step that needs them, by threads or by worker processes.

    ReadAhead(batches, threads=2, depth=4)[step]         the same batches, sooner
    ReadAhead(batches, workers=4)[step]                  decoded in four processes

Laws: `ReadAhead(batches)[step]` is `batches[step]`, or its exception, whatever the number of threads and workers; a
worker that was killed is replaced, and no batch is lost, repeated or moved.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from jnn.data._checked import check_step
from jnn.data._endless import Endless
from jnn.data.pipeline._failure import Failure, Indexed, InWorker, Make
from jnn.data.pipeline._source_batches import stacked
from jnn.optional import optional
from jnn.terminal import say

Report = Callable[[str], object]


class ReadAhead(Endless):
    """Prefetched batches: step-indexed ones, read ahead by Grain while they are asked for one after another.

    Whoever asks for another step than the next one (a run that resumes, or goes back) waits until reading has begun
    again there. Close it, or use it as a context, to end its threads and processes.

    Args:
      batches: for workers, something that can be pickled. A program that uses workers starts with
        `if __name__ == "__main__":`, since each of them imports it.
      threads: how many make batches in this process, or in each worker.
      workers: how many processes make batches; 0 for none. Each one starts in a second or two, and holds `batches`.
      depth: how many batches wait at most, in this process or in each worker.
      restarts: how often in a row workers that died are replaced before that is an error.
      report: called with a line for each time that workers are replaced.

    Raises:
      ValueError: fewer than one thread or batch of depth, a negative number of workers, or batches with a state of
        their own, such as `IteratorBatches`.
      TypeError: no batches by their step, or, from `[step]`, batches that cannot be sent to workers.
      RuntimeError, from `[step]`: workers died more than `restarts` times without a batch between. (Whatever
        `batches[step]` raises, comes where its batch would have come, with the worker's traceback as a note; what no
        worker can send, and what would end it, comes as a RuntimeError.)

    >>> import numpy as np
    >>> with ReadAhead([{"x": np.full(2, i)} for i in range(9)]) as batches:
    ...     [int(batches[step]["x"][0]) for step in (3, 4, 0)]
    [3, 4, 0]
    """

    def __init__(
        self,
        batches: Indexed,
        *,
        threads: int = 1,
        workers: int = 0,
        depth: int = 2,
        restarts: int = 3,
        report: Report = say,
    ) -> None:
        if threads < 1 or depth < 1 or workers < 0:
            raise ValueError(
                "ReadAhead: expected threads and depth of at least 1 and workers of at least 0; found "
                f"threads={threads}, depth={depth}, workers={workers}."
            )
        if not hasattr(batches, "__getitem__"):
            raise TypeError(
                f"ReadAhead: expected batches by their step, batches[0], found {type(batches).__name__}. "
                "An iterator is for IteratorBatches."
            )
        if hasattr(batches, "restore"):
            raise ValueError(
                f"ReadAhead: {type(batches).__name__} has a state of its own, which is saved with checkpoints and read "
                "in order by one reader. Give it to fit as it is, and let its iterator read ahead."
            )
        self._grain = optional("grain", "pipelines")
        self.batches, self.threads, self.workers, self.depth = batches, threads, workers, depth
        self._restarts, self._report = restarts, report
        self._iterator: Any = None  # Grain's, which can be closed
        self._next = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads and processes; asked for a batch again, it begins anew."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None

    def __getitem__(self, step: int) -> Any:
        """The batch of a step, counted from 0."""
        check_step("ReadAhead", step)
        left = self._restarts
        while True:
            if self._iterator is None or step != self._next:
                self._begin(step)
            try:
                batch = next(self._iterator)
                break
            except BaseException as error:
                self.close()
                if not left or not _died(error):
                    raise
                left -= 1
                self._report(f"ReadAhead: {error}; batch {step} is made again, by new workers")
        self._next += 1
        if isinstance(batch, Failure):  # the worker itself is well, and goes on
            raise batch.error()
        return batch

    def stack(self, step: int, k: int) -> Any:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        check_step("ReadAhead", step, k)
        return stacked([self[s] for s in range(step, step + k)])

    def _begin(self, step: int) -> None:
        """A new iterator over the batches from this step on."""
        self.close()
        grain, make = self._grain, InWorker(self.batches) if self.workers else Make(self.batches)
        options = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=self.depth)
        batches = grain.MapDataset.range(step, sys.maxsize).map(make).to_iter_dataset(options)
        if self.workers:
            batches = self._in_workers(batches)
        self._iterator, self._next = iter(batches), step

    def _in_workers(self, batches: Any) -> Any:
        """The same dataset, made by processes."""
        flags = optional("absl.flags", "pipelines").FLAGS
        if not flags.is_parsed():
            flags.mark_as_parsed()  # Grain asks a flag of absl's, which only absl's own main function parses
        workers = self._grain.MultiprocessingOptions(num_workers=self.workers, per_worker_buffer_size=self.depth)
        return batches.mp_prefetch(workers, worker_init_fn=_end_with_parent)


def _died(error: BaseException) -> bool:
    """Whether this is what Grain says of a worker that was killed."""
    return isinstance(error, RuntimeError) and "Worker process was terminated" in str(error)


def _end_with_parent(index: int, count: int) -> None:
    """In a worker: ends it when the process that started it is gone, however that was ended."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
