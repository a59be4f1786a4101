"""An iterator with a state as batches that are indexed by the step, for what no function of the step can give.

    IteratorBatches(dataset)[step] -> batch              any `grain.IterDataset` of batches
    batches.state() -> JSON, batches.restore(state)      saved and restored with the checkpoint by `fit`

Law: restored at any step, it goes on with the batches that an uninterrupted one gives, and goes back as far as the
first of the states that it remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from jnn.data.pipeline._source_batches import stacked

KNOWN = 16  # states that are remembered: a run goes back to one of its last checkpoints


class Stateful(Protocol):
    """An iterator such as Grain's, whose state is a JSON value."""

    def __iter__(self) -> Iterator[Any]: ...

    def __next__(self) -> Any: ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: dict[str, Any]) -> None: ...


class IteratorBatches:
    """Batches of an iterator, by the number of the step.

    It remembers its state at the beginning, and whenever `state` was asked for, which is at every checkpoint: a run
    that goes back finds its batches by going on from there.

    Args:
      dataset: gives a new iterator by `iter`, as a `grain.IterDataset` does. Of several processes, each gives its own
        rows of the batch.

    Raises:
      TypeError: an iterator without a state, such as a generator.
      IndexError, when a batch is read: the iterator has ended, or the step lies before all known states.

    >>> import grain, numpy as np
    >>> stream = grain.MapDataset.range(100).to_iter_dataset().map(lambda i: {"x": np.full(2, i)})
    >>> batches = IteratorBatches(stream)
    >>> [int(batches[step]["x"][0]) for step in (0, 1, 2, 1)]
    [0, 1, 2, 1]
    >>> again = IteratorBatches(stream)
    >>> again.restore(batches.state())
    >>> int(again[2]["x"][0])
    2
    """

    def __init__(self, dataset: Any) -> None:
        iterator: Any = iter(dataset) if isinstance(dataset, Iterable) else dataset
        if not hasattr(iterator, "get_state") or not hasattr(iterator, "set_state"):
            raise TypeError(
                "IteratorBatches: expected a dataset whose iterator has get_state and set_state, such as a "
                f"grain.IterDataset, found {type(dataset).__name__}. A list of batches is indexed by the step as it is."
            )
        self._iterator: Stateful = iterator
        self._next = 0
        self._known: dict[int, dict[str, Any]] = {0: self._iterator.get_state()}

    def __getitem__(self, step: int) -> Any:
        """The batch of a step, counted from 0; the next one is the cheap one."""
        if step < self._next:
            self._go_back(step)
        for _ in range(step - self._next):
            self._take()
        return self._take()

    def stack(self, step: int, k: int) -> Any:
        """The batches of steps `step` to `step + k - 1` along a new leading axis."""
        return stacked([self[s] for s in range(step, step + k)])

    def state(self) -> dict[str, Any]:
        """Where it stands: a JSON value."""
        self._known[self._next] = self._iterator.get_state()
        while len(self._known) > KNOWN:
            del self._known[min(self._known)]
        return {"next": self._next, "iterator": self._known[self._next]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes where `state` says."""
        self._known[state["next"]] = dict(state["iterator"])
        self._go_back(state["next"])

    def _go_back(self, step: int) -> None:
        before = [known for known in self._known if known <= step]
        if not before:
            raise IndexError(f"IteratorBatches: step {step} lies before all known states, at {sorted(self._known)}.")
        self._next = max(before)
        self._iterator.set_state(self._known[self._next])

    def _take(self) -> Any:
        try:
            batch = next(self._iterator)
        except StopIteration:
            raise IndexError(
                f"IteratorBatches: the iterator has ended after {self._next} batches. Repeat the dataset."
            ) from None
        self._next += 1
        return batch
