"""What happens beside the training, once a row, and by a ledger once in the life of a run: an evaluation, and hooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jnn.train._context import Metrics
from jnn.train._history import Row
from jnn.train._ledger import Ledger
from jnn.train._record import row_of


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What happens beside the training, once a row: an evaluation, and hooks."""

    evaluate: Callable[[Any], Metrics] | None
    hooks: Mapping[str, Callable[[Any], Any]]
    ledger: Ledger | None

    def __call__(self, state: Any, step: int, attempt: int) -> Row:
        """The numbers of the evaluation, after all hooks; what the ledger knows is not done again."""
        evaluate = self.evaluate
        row = {} if evaluate is None else self._once("evaluate", step, attempt, lambda: row_of("val", evaluate(state)))
        for name, hook in self.hooks.items():
            self._once(f"hook {name}", step, attempt, partial(hook, state))
        return row

    def _once(self, name: str, step: int, attempt: int, act: Callable[[], Any]) -> Any:
        if self.ledger is None:
            return act()
        return self.ledger.once(f"{name}, {attempt} calls left out" if attempt else name, step, act)
