"""What the loop asks of batches, and of a step: nothing that a list and a function have not, or can be given.

batches[step]                                    a function of the step's number: `Batches`, a list
batches.stack(step, count)                       those of several steps in one tree, where there is a faster way
batches.state(), batches.restore(state)          of those that have a state of their own, too
step(state, batch) -> (state, metrics)
step.steps_per_call                              of one that makes several updates a call
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.processes import from_all
from jnn.train._context import Batch, Metrics


class StepBatches(Protocol):
    """Batches as a function of the step's number: the order is part of no state."""

    def __getitem__(self, step: int) -> Batch: ...


@runtime_checkable
class Restorable(Protocol):
    """Batches with a state of their own, such as `IteratorBatches`."""

    def state(self) -> Any: ...

    def restore(self, state: Any) -> None: ...


Step = Callable[..., tuple[Any, Metrics]]  # (state, batch), and given= where there is any


def calls_of(step: Step) -> int:
    """How many updates a call of the step makes, by its own word: those of `make_step` and its like give one.

    Raises:
      ValueError: its word is no number of 1 or more.
    """
    calls = getattr(step, "steps_per_call", 1)
    checks.count("fit", "the step's attribute steps_per_call", calls)
    return int(calls)


def check_batches(where: str, batches: Any) -> None:
    """Raises TypeError for what cannot be asked for the batch of a step."""
    if isinstance(batches, Iterator) or not hasattr(batches, "__getitem__"):
        raise TypeError(
            f"{where}: batches are asked for by the step's number, as batches[3]; found a {type(batches).__name__}. "
            "Give jnn.data.Batches(arrays, batch_size, seed=0), a list, or jnn.data.IteratorBatches(iterator)."
        )
    if isinstance(batches, Mapping) and 0 not in batches:
        raise TypeError(f"{where}: expected batches by the step's number, found one batch. Give [batch] * steps, say.")


def batch_of(batches: StepBatches, step: int, calls: int) -> Batch:
    """What the call of `calls` steps that begins at a step is given.

    Raises:
      ValueError: there are not as many.

    >>> batch_of([{"x": np.zeros(3)}] * 4, 2, 2)["x"].shape
    (2, 3)
    """
    if calls > 1 and hasattr(batches, "stack"):
        found = [batches.stack(step, calls)]
    else:
        found = _one_by_one(batches, step, calls)
    for batch in found:
        checks.held_all("fit", batch)
    return found[0] if len(found) == 1 else jax.tree.map(_stack, *found)


def records_of(batches: StepBatches) -> dict[str, Any]:
    """What a checkpoint holds of the batches: the state of each process's, of those that have one."""
    return {"data": from_all(batches.state())} if isinstance(batches, Restorable) else {}


def resume_batches(batches: StepBatches, records: Mapping[str, Any]) -> None:
    """Brings batches with a state of their own to where a checkpoint was."""
    if not isinstance(batches, Restorable):
        return
    if len(data := records.get("data", [])) != jax.process_count():
        raise ValueError(
            f"fit: the checkpoint holds the batches' state of {len(data)} processes, found {jax.process_count()}. "
            "Batches that are a function of the step go on with any number."
        )
    batches.restore(data[jax.process_index()])


def _one_by_one(batches: StepBatches, step: int, calls: int) -> list[Batch]:
    try:
        return [batches[i] for i in range(step, step + calls)]
    except IndexError as error:
        raise ValueError(
            f"fit: there is no batch of step {step}: {error}. A list ends; jnn.data.Batches begins another epoch."
        ) from error


def _stack(*rows: Any) -> Any:
    return jnp.stack(rows) if isinstance(rows[0], jax.Array) else np.stack(rows)
