"""What stays of the whole checkpoints: the newest ones, and the best by a metric.

Keep(newest=2, best=None)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

Best = tuple[str, Literal["min", "max"], int]  # a metric, which way is better, how many stay
Metrics = Mapping[str, float]


@dataclasses.dataclass
class Keep:
    """The newest `newest` checkpoints and the `best` ones; a policy in Orbax's sense.

    Args:
      newest: how many of the newest stay, 1 or more.
      best: a metric, "min" or "max", and how many of the best stay; None for none.
      metrics: of each step, as far as there are any. NaN is never among the best.
      pinned: a step that stays whatever comes.

    Raises:
      ValueError: counts below 1, or an unknown direction.

    >>> metrics = {1: {"loss": 0.5}, 2: {"loss": 0.1}, 3: {"loss": 0.4}, 4: {"loss": 0.3}}
    >>> sorted(Keep(1, ("loss", "min", 1), metrics).among([1, 2, 3, 4]))
    [2, 4]
    """

    newest: int
    best: Best | None = None
    metrics: dict[int, Metrics] = dataclasses.field(default_factory=dict)
    pinned: int | None = None

    def __post_init__(self) -> None:
        _, mode, count = self.best or ("", "min", 1)
        if not all(isinstance(n, int) and n >= 1 for n in (self.newest, count)) or mode not in ("min", "max"):
            raise ValueError(
                f'Checkpoints: expected keep >= 1 and best=(metric, "min" or "max", count >= 1), found '
                f"keep={self.newest!r} and best={self.best!r}."
            )

    def check(self, metrics: Metrics) -> None:
        """Raises if there are metrics, but not the one that tells the best.

        Raises:
          ValueError: names it, and those that there are.
        """
        if metrics and self.best is not None and self.best[0] not in metrics:
            raise ValueError(f"Checkpoints.save: best needs {self.best[0]!r}, found metrics {sorted(metrics)}.")

    def among(self, steps: Collection[int]) -> set[int]:
        """The steps of these that stay; of two equally good ones the older."""
        kept = {step for step in steps if step == self.pinned} | {*sorted(steps)[-self.newest :]}
        if self.best is not None:
            name, mode, count = self.best
            value = lambda step: self.metrics.get(step, {}).get(name, math.nan) * (1 if mode == "min" else -1)
            kept |= set(
                sorted((step for step in steps if value(step) == value(step)), key=lambda s: (value(s), s))[:count]
            )
        return kept

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """Orbax's question; it deletes the others once the newest one is whole."""
        kept = self.among([info.step for info in checkpoints])
        return [info.step in kept for info in checkpoints]
