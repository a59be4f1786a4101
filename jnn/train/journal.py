"""What a run knows beside its state: the history, the row that is not finished, and the steps that were left out.

    journal.add(metrics, steps_per_call)             counts the metrics of a call of the step in
    journal.row(step) -> row                         the means since the last row
    journal.records() <-> Journal.of(records)        JSON, saved with the state as one unit

Law: however often a journal goes through its records, its rows are bit-equal: sums are float64, added up in order.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics import merge
from jnn.train.history import History, Row
from jnn.train.objective import Batch, Metrics


@dataclasses.dataclass
class Journal:
    """The bookkeeping of one run.

    Attributes:
      history: finished rows.
      sums: the leaves of the metrics since the last row, added up; empty after a row.
      skipped: the steps whose updates are left out.
    """

    history: History = dataclasses.field(default_factory=list)
    sums: list[Any] = dataclasses.field(default_factory=list)
    skipped: set[int] = dataclasses.field(default_factory=set)
    like: Metrics | None = None  # the tree that the leaves of `sums` belong to

    @classmethod
    def of(cls, records: dict[str, Any]) -> Journal:
        """The journal that was saved."""
        sums = [np.asarray(leaf, np.float64) for leaf in records["sums"]]
        return cls(records["history"], sums, set(records["skipped"]))

    def records(self) -> dict[str, Any]:
        """All of it as JSON values: Python writes a float64 with as many digits as give it back."""
        sums = [np.asarray(leaf).tolist() for leaf in self.sums]
        return {"history": list(self.history), "sums": sums, "skipped": sorted(self.skipped)}

    def add(self, metrics: Metrics, steps_per_call: int) -> None:
        """Adds the metrics of one call of the step, as fetched from the device."""
        if steps_per_call > 1:
            metrics = jax.tree.map(lambda x: np.sum(np.asarray(x, np.float64), 0), metrics)
        self.like = metrics
        before = [jax.tree.unflatten(jax.tree.structure(metrics), self.sums)] if self.sums else []
        self.sums = jax.tree.leaves(merge(*before, metrics))

    def row(self, step: int) -> Row:
        """The means since the last row, which this one then is; without steps in between, only its number."""
        means = numbers("train", jax.tree.unflatten(jax.tree.structure(self.like), self.sums)) if self.sums else {}
        self.sums = []
        return {"step": step, **means}

    def attempt(self, step: int) -> int:
        """How many updates before this step were left out: another number is another run up to there."""
        return sum(skipped < step for skipped in self.skipped)


def numbers(prefix: str, metrics: Metrics) -> Row:
    """The scalar ones: a confusion matrix belongs in a report, not in a curve."""
    values = {name: np.asarray(metric.value()) for name, metric in metrics.items()}
    return {f"{prefix}/{name}": float(value) for name, value in values.items() if value.ndim == 0}


def losses(metrics: Metrics) -> np.ndarray:
    """The mean loss of each step of one call, float64; of nothing but padding it is 0."""
    total, weight = (np.atleast_1d(np.asarray(sums, np.float64)) for sums in metrics["loss"])
    return total / np.where(weight == 0, 1, weight)


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """Whether every number of the tree is."""
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.isfinite(x).all() for x in floats])) if floats else jnp.asarray(True)


def diagnose(batch: Batch, *, step: int | None = None, loss: float | None = None, before: bool | None = None) -> str:
    """What is known of a bad step, and where to look: no cause is guessed.

    Args:
      batch: that it was given.
      step: its number; 0 has the initial parameters.
      loss: its loss; None where it is its update that is not finite.
      before: whether the parameters before it are known to be finite; None where nobody has looked.

    >>> diagnose({"x": np.array([[1.0], [np.nan]])})
    "batch['x'] is not finite in 1 of 2 values, first in row 1"
    >>> diagnose({"x": np.ones(2)}, step=7, loss=np.nan, before=True)
    'its batch and the parameters before it are finite: look in the loss for a log, division, root or exp'
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.inexact):
            with np.errstate(over="ignore"):
                bad = ~np.isfinite(array.astype(jax.dtypes.canonicalize_dtype(array.dtype)))  # as the step sees it
            if bad.any():
                name, row = f"batch{jax.tree_util.keystr(path)}", [*np.argwhere(bad)[0], 0][0]
                found.append(f"{name} is not finite in {bad.sum()} of {bad.size} values, first in row {row}")
    if found:
        return ", and ".join(found)
    if loss is not None and np.isfinite(loss):
        return "its batch is finite"
    if before is False:
        return "its batch is finite, and the parameters before it are not: look at the initial values"
    known = "its batch and the parameters before it are finite: look"
    if before is None:
        known = (
            "its batch is finite: look at the initial parameters, and"
            if step == 0
            else ("its batch is finite; whether the parameters before it were is not known without checkpoints: look")
        )
    if loss is None:
        return (
            f"{known} in the gradient, for the loss is finite: a root or a norm at 0 has none that is; for an update "
            "that is only too large, lower the learning rate or set clip_norm"
        )
    return f"{known} in the loss for a log, division, root or exp"
