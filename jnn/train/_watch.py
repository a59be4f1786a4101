"""Who sees every step of a run without a part in it: a launcher's pulse, a test.

watch(watcher)               watcher(step, batch) is called before every update, from now on
tell(step, batch)            what the loop says; a loop of one's own may say it, too
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from jnn.train._context import Batch

Watcher = Callable[[int, Batch], None]
_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("jnn_train_watchers", default=())


def watch(watcher: Watcher) -> None:
    """Watcher of steps: a function called with the number and the batch of every step, before the update.

    >>> from contextvars import copy_context
    >>> copy_context().run(lambda: (watch(lambda step, batch: print("step", step)), tell(3, {}))[1])
    step 3
    """
    _watchers.set((*_watchers.get(), watcher))


def tell(step: int, batch: Batch) -> None:
    """Calls all that watch."""
    for watcher in _watchers.get():
        watcher(step, batch)
