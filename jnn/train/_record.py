"""What a run knows beside its state: the history, the row that is not finished, and the steps that were left out.

    record.add(metrics, steps_per_call)             counts the metrics of a call of the step in
    record.row(step) -> row                         the numbers since the last row
    record.records() <-> RunRecord.of(records)      JSON, saved with the state as one unit

Law: however often a record goes through its records, its rows are bit-equal: sums are float64, added up in order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.metrics import Concatenation, Mean, adds_up, fold, merge
from jnn.train._context import Metrics
from jnn.train._history import History, Row

LONGEST = 32  # numbers of one metric that a row holds


@dataclasses.dataclass
class RunRecord:
    """The bookkeeping of one run.

    Attributes:
      history: finished rows.
      sums: the metrics since the last row, combined, by name; empty after a row.
      skipped: the steps at which calls begin that are left out.
      recoveries: how often that happened: one rollback leaves out many calls.
    """

    history: History = dataclasses.field(default_factory=list)
    sums: dict[str, Any] = dataclasses.field(default_factory=dict)
    skipped: set[int] = dataclasses.field(default_factory=set)
    recoveries: int = 0
    saved: dict[str, list[Any]] = dataclasses.field(default_factory=dict)  # sums of a checkpoint, as yet of no kind

    @classmethod
    def of(cls, records: dict[str, Any]) -> RunRecord:
        """The record that was saved."""
        skipped, recoveries = set(records["skipped"]), records["recoveries"]
        return cls(records["history"], {}, skipped, recoveries, dict(records["sums"]))

    def records(self) -> dict[str, Any]:
        """All of it as JSON values: Python writes a float64 with as many digits as give it back."""
        leaves = lambda metric: [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(metric)]
        sums = self.saved or {name: leaves(metric) for name, metric in self.sums.items()}
        skipped = sorted(self.skipped)
        return {"history": list(self.history), "sums": sums, "skipped": skipped, "recoveries": self.recoveries}

    def add(self, metrics: Metrics, steps_per_call: int) -> None:
        """Combines the metrics of one call of the step, as fetched from the device, with those since the last row.

        Raises:
          ValueError: they are others than before.
        """
        metrics = {name: metric for name, metric in metrics.items() if not isinstance(metric, Concatenation)}
        if steps_per_call > 1:
            metrics = {name: _of_all_steps(metric) for name, metric in metrics.items()}
        if (before := self.saved or self.sums) and before.keys() != metrics.keys():
            raise ValueError(
                f"fit: the step's metrics are {sorted(metrics)}, and were {sorted(before)} since the last row. A run "
                "goes on with the metrics that it began its row with."
            )
        if self.saved:
            self.sums, self.saved = {name: _as(metrics[name], self.saved[name]) for name in metrics}, {}
        self.sums = merge(self.sums, metrics) if self.sums else merge(metrics)

    def row(self, step: int) -> Row:
        """The numbers since the last row, which this one then is; without steps in between, only its own."""
        row = row_of("train", self.sums)
        self.sums, self.saved = {}, {}
        return {"step": step, **row}

    def attempt(self, step: int) -> int:
        """How many calls before this step were left out: another number is another run up to there."""
        return sum(skipped < step for skipped in self.skipped)


def row_of(prefix: str, metrics: Metrics) -> Row:
    """What a row holds of metrics: a number by its name, a vector of up to 32 by its name and an index.

    What has more, or more axes, is left out: a confusion matrix belongs in a report, not in a curve.

    >>> from jnn.metrics import Last
    >>> row_of("val", {"accuracy": 0.5, "recall": Last(np.array([0.25, 0.75]))})
    {'val/accuracy': 0.5, 'val/recall/0': 0.25, 'val/recall/1': 0.75}
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(f"fit: expected metrics or numbers by name, found a {type(metrics).__name__}. Give a dict.")
    row: Row = {}
    for name, metric in metrics.items():
        value = np.asarray(metric.value() if hasattr(metric, "value") else metric)
        if not any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_)):
            raise TypeError(f"fit: {prefix} {name!r} is a {type(metric).__name__}, expected a metric or a number.")
        if value.ndim == 0:
            row[f"{prefix}/{name}"] = float(value)
        elif value.ndim == 1 and value.size <= LONGEST and not isinstance(metric, Concatenation):
            row |= {f"{prefix}/{name}/{i}": float(x) for i, x in enumerate(value)}
    return row


def values_of(metric: Any) -> np.ndarray:
    """The metric's values, float64; a mean of nothing but padding is 0, and no sign of anything bad."""
    if isinstance(metric, Mean):
        total, weight = (np.asarray(sums, np.float64) for sums in metric)
        return np.asarray(total / np.where(weight == 0, 1, weight))
    return np.asarray(metric.value(), np.float64)


def _of_all_steps(metric: Any) -> Any:
    """One metric of those of all steps of a call; sums in float64."""
    return jax.tree.map(lambda x: np.sum(np.asarray(x, np.float64), 0), metric) if adds_up(metric) else fold(metric)


def _as(metric: Any, leaves: list[Any]) -> Any:
    """Saved leaves as the kind of metric that they are of."""
    return jax.tree.unflatten(jax.tree.structure(metric), [np.asarray(leaf, np.float64) for leaf in leaves])
