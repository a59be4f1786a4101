"""Records of single processes to one table of ratios.

A ratio is a framework's cost divided by jnn's in the same round, so that both saw the same weather:
above 1, jnn is better by that factor. Shown are its median over the rounds and (least-most).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

Record = dict[str, Any]  # what a worker printed, and its "round"
COSTS = {"step_ms": "step ms", "first_step_s": "first step s", "peak_mb": "peak MB"}
BASES = ("jnn", "jnn x16")


class Ratio(NamedTuple):
    """A ratio over the rounds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"


def ratio(records: Iterable[Record], workload: str, framework: str, base: str, cost: str) -> Ratio | None:
    """The cost of a framework divided by that of `base`, round by round; None where no round has both.

    >>> record = {"workload": "mlp", "round": 0}
    >>> records = [record | {"framework": "jnn", "step_ms": 2.0}, record | {"framework": "jax", "step_ms": 3.0}]
    >>> print(ratio(records, "mlp", "jax", "jnn", "step_ms"))
    1.50 (1.50-1.50)
    """
    costs = {(r["framework"], r["round"]): r[cost] for r in records if r["workload"] == workload}
    rounds = [i for name, i in costs if name == framework and (base, i) in costs]
    ratios = [costs[framework, i] / costs[base, i] for i in rounds]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def summarize(records: Sequence[Record]) -> list[Record]:
    """One row per workload and framework: the least of each cost over the rounds, and its ratios to jnn's."""
    rows = []
    for workload, framework in dict.fromkeys((r["workload"], r["framework"]) for r in records):
        mine = [r for r in records if (r["workload"], r["framework"]) == (workload, framework)]
        row = {"workload": workload, "framework": framework, "rounds": len(mine), "parameters": mine[0]["parameters"]}
        row |= {cost: min(r[cost] for r in mine) for cost in COSTS}
        row["median_ms"] = statistics.median(r["median_ms"] for r in mine)
        row["step_ms / jnn x16"] = ratio(records, workload, framework, "jnn x16", "step_ms")
        row |= {f"{cost} / jnn": ratio(records, workload, framework, "jnn", cost) for cost in COSTS}
        rows.append(row)
    return rows


def check_parameters(records: Sequence[Record]) -> None:
    """Raises ValueError unless all frameworks train equally many numbers in a workload."""
    for workload in {r["workload"] for r in records}:
        counts = {r["framework"]: r["parameters"] for r in records if r["workload"] == workload}
        if len(set(counts.values())) > 1:
            raise ValueError(f"{workload}: the frameworks do not train the same network; parameters: {counts}.")


def table(records: Sequence[Record]) -> str:
    """The rows as text: absolute numbers beside every ratio."""
    header = ["workload", "framework", "step ms", "median", "/ jnn", "/ jnn x16"]
    header += ["first step s", "/ jnn", "peak MB", "/ jnn"]
    lines = [header]
    for row in summarize(records):
        speed = [f"{row['step_ms']:.3f}", f"{row['median_ms']:.3f}", row["step_ms / jnn"], row["step_ms / jnn x16"]]
        start = [f"{row['first_step_s']:.1f}", row["first_step_s / jnn"]]
        memory = [f"{row['peak_mb']:.0f}", row["peak_mb / jnn"]]
        cells = [row["workload"], row["framework"], *speed, *start, *memory]
        lines.append(["-" if cell is None else str(cell) for cell in cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    note = "\"/ jnn\": the row's cost divided by jnn's, median over rounds (least-most). Above 1, jnn is better."
    return "\n".join([*text, note])
