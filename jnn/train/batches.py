"""What the loop asks of batches, and of a step: nothing that a list and a function have not, or can be given.

batches[step], batches.stack(step, count)        a function of the step's number
batches.state(), batches.restore(state)          of those that have a state of their own, too
step(state, batch) -> (state, metrics)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jnn.train.objective import Batch, Metrics
from jnn.train.state import TrainState


class StepBatches(Protocol):
    """Batches as a function of the step's number: the order is part of no state."""

    def __getitem__(self, step: int) -> Batch: ...

    def stack(self, step: int, count: int) -> Batch: ...


@runtime_checkable
class Restorable(Protocol):
    """Batches with a state of their own, such as `IteratorBatches`."""

    def state(self) -> Any: ...

    def restore(self, state: Any) -> None: ...


Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
