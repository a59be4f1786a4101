"""Who sees every step of a process without a part in it: a launcher's pulse, a check of resuming.

watch(watcher) -> end        watcher(step, batch) is called before every update, in whatever thread, until end()
tell(step, batch)            what `fit` says; a loop of one's own may say it, too

It is no argument of `fit`, because who watches and who calls `fit` do not know each other: the one is the machinery
that started the process, the other a program that trains alone in the same way. Where the program had to hand it on,
one that forgets would be watched by nobody, and nothing would say so.
"""

from __future__ import annotations

from collections.abc import Callable

from jnn.train._context import Batch

Watcher = Callable[[int, Batch], None]
_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> Callable[[], None]:
    """Watcher of steps: a function called with the number and the batch of every step, before the update.

    Returns:
      What ends it.

    >>> end = watch(lambda step, batch: print("step", step))
    >>> tell(3, {})
    step 3
    >>> end()
    """
    _watchers.append(watcher)
    return lambda: _watchers.remove(watcher)


def tell(step: int, batch: Batch) -> None:
    """Step of a loop of one's own: to be said before each update, as `fit` does, for all that watch.

    >>> tell(0, {"x": [1.0]})
    """
    for watcher in tuple(_watchers):
        watcher(step, batch)
