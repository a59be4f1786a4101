"""What all batches that are a function of the step have in common: they begin at step 0 and never end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


class Endless:
    """Batches by the number of the step: iterating gives them all, from step 0 on, without an end.

    >>> class Squares(Endless):
    ...     def __getitem__(self, step):
    ...         return step * step
    >>> list(itertools.islice(Squares(), 4))
    [0, 1, 4, 9]
    >>> len(Squares())
    Traceback (most recent call last):
    TypeError: Squares: batches have no end, and so no length. Take them by their step, batches[step]; an epoch of
    arrays or examples is batches.steps_per_epoch of them.
    """

    def __getitem__(self, step: int) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        return (self[step] for step in itertools.count())

    def __len__(self) -> int:
        raise TypeError(
            f"{type(self).__name__}: batches have no end, and so no length. Take them by their step, batches[step]; an "
            "epoch of arrays or examples is batches.steps_per_epoch of them."
        )

    def __bool__(self) -> bool:
        return True
