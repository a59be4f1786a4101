"""What happens beside the training, once a row, and by a ledger once in the life of a run: an evaluation, and hooks."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from jnn.train._context import Metrics
from jnn.train._history import Row
from jnn.train._ledger import Ledger
from jnn.train._record import row_of
from jnn.train._settings import check_settings


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Evaluation and hooks: what `fit` does beside the training, once a row.

    Args:
      evaluate: state -> metrics or numbers by name, for instance on validation data.
      hooks: name -> state -> JSON value: an export, a sample, a picture. They come before the evaluation.
      ledger: where finished evaluations and hooks are noted, so that no later process does them again.

    Raises:
      TypeError: evaluate takes more than the state.
      ValueError: there are hooks, and no ledger.

    >>> Evaluation(lambda state: {"accuracy": 0.5}).row(None, 10, 0)
    {'val/accuracy': 0.5}
    """

    evaluate: Callable[[Any], Metrics] | None = None
    hooks: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    ledger: Ledger | None = None

    def __post_init__(self) -> None:
        if self.evaluate is not None:
            _check(self.evaluate)
        if self.hooks and self.ledger is None:
            raise ValueError("Evaluation: hooks run exactly once, so they need ledger=Ledger(folder).")

    def claim(self, settings: Any) -> None:
        """Notes in the ledger whose it is; what hooks gave in a run with other settings is not this one's."""
        if self.ledger is not None:
            theirs = self.ledger.once("settings", 0, lambda: settings)
            check_settings(f"fit: {self.ledger.path}", theirs, settings)

    def records(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {} if self.ledger is None else {"hooks": self.ledger.entries()}

    def resume(self, records: Mapping[str, Any]) -> None:
        """What a checkpoint knows, should the ledger's file be lost."""
        if self.ledger is not None:
            self.ledger.merge(records.get("hooks", []))

    def row(self, state: Any, step: int, attempt: int) -> Row:
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


def _check(evaluate: Any) -> None:
    """Raises TypeError, before anything is trained, for a function of more than the state."""
    try:
        inspect.signature(getattr(evaluate, "part", evaluate)).bind(None)  # a program says nothing itself
    except TypeError:
        raise TypeError(
            "fit: evaluate is called as evaluate(state), found one of more arguments. Say of which batches: "
            "functools.partial(evaluate_on, evaluate, batches)."
        ) from None
    except ValueError:  # a callable without a signature
        return
