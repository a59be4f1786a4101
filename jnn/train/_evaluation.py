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
      hooks: name -> state -> JSON value: an export, a sample, a picture. They come after the evaluation, in this order,
        and the row is written and logged after them all.
      ledger: where finished evaluations and hooks are noted, so that no later process does them again.

    Raises:
      TypeError: evaluate, or a hook, cannot be called with the state alone; the ledger is none.
      ValueError: there are hooks, and no ledger.

    >>> Evaluation(lambda state: {"accuracy": 0.5}).row(None, 10, 0)
    {'val/accuracy': 0.5}
    """

    evaluate: Callable[[Any], Metrics] | None = None
    hooks: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    ledger: Ledger | None = None

    def __post_init__(self) -> None:
        if self.ledger is not None and not isinstance(self.ledger, Ledger):
            raise TypeError(f"Evaluation: ledger must be a Ledger(folder), found {self.ledger!r}.")
        if self.evaluate is not None:
            _check_evaluate(self.evaluate)
        for name, hook in self.hooks.items():
            _check_hook(name, hook)
        if self.hooks and self.ledger is None:
            raise ValueError("Evaluation: hooks run exactly once, so they need ledger=Ledger(folder).")

    def claim(self, settings: Any) -> None:
        """Notes in the ledger whose it is; what hooks gave in a run with other settings is not this one's."""
        if self.ledger is not None:
            theirs = self.ledger.once("settings", 0, lambda: settings)
            check_settings(f"fit: {self.ledger.path}", theirs, settings)

    def check_begins(self, step: int) -> None:
        """Raises ValueError where the ledger has what a run that begins at this step has yet to do.

        No settings and no checkpoint say that it is this run's, and another's numbers would be given as its own.
        """
        if self.ledger is None:
            return
        own = tuple(f"{name}," for name in ("evaluate", *(f"hook {name}" for name in self.hooks)))
        done = [entry for entry in self.ledger.entries() if f"{entry['hook']},".startswith(own)]
        if later := sorted({entry["step"] for entry in done if entry["step"] > step}):
            listed = ", ".join([*map(str, later[:3]), *["..."] * (len(later) > 3)])
            raise ValueError(
                f"fit: {self.ledger.path} holds what a run did at step {listed}, and this one begins at step {step} "
                "with nothing that says it is the same: another run's numbers are not taken for its own. Give the "
                "checkpoints= that it resumes from, or both runs settings=..., or take another folder."
            )

    def records(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {} if self.ledger is None else {"hooks": self.ledger.entries()}

    def resume(self, records: Mapping[str, Any]) -> None:
        """What a checkpoint knows, should the ledger's file be lost."""
        if self.ledger is not None:
            self.ledger.merge(records.get("hooks", []))

    def row(self, state: Any, step: int, attempt: int) -> Row:
        """The numbers of the evaluation, which comes first, then the hooks; what the ledger knows is not done again."""
        evaluate = self.evaluate
        row = {} if evaluate is None else self._once("evaluate", step, attempt, lambda: row_of("val", evaluate(state)))
        for name, hook in self.hooks.items():
            self._once(f"hook {name}", step, attempt, partial(hook, state))
        return row

    def _once(self, name: str, step: int, attempt: int, act: Callable[[], Any]) -> Any:
        if self.ledger is None:
            return act()
        return self.ledger.once(f"{name}, {attempt} calls left out" if attempt else name, step, act)


def _check_evaluate(evaluate: Any) -> None:
    """Raises TypeError, before anything is trained, for what cannot be called as evaluate(state)."""
    if isinstance(evaluate, Ledger):
        raise TypeError("fit: evaluate is a Ledger, expected a function of the state. Say Evaluation(f, ledger=...).")
    if not callable(evaluate):
        raise TypeError(f"fit: evaluate must be a function of the state, or an Evaluation(...), found {evaluate!r}.")
    if not _takes_state(evaluate):
        raise TypeError(
            "fit: evaluate is called as evaluate(state), found one of other arguments. Say of which batches: "
            "functools.partial(evaluate_on, evaluate, batches)."
        )


def _check_hook(name: str, hook: Any) -> None:
    """Raises TypeError, before anything is trained, for what cannot be called as hook(state)."""
    if not callable(hook):
        raise TypeError(f"Evaluation: hook {name!r} must be a function of the state, found {hook!r}.")
    if not _takes_state(hook):
        raise TypeError(
            f"Evaluation: hook {name!r} is called as hook(state), found one of other arguments. Write "
            "lambda state: ..., whether it reads the state or not."
        )


def _takes_state(f: Callable[..., Any]) -> bool:
    """Whether a function can be called with the state alone, as far as it says."""
    try:
        inspect.signature(getattr(f, "part", f)).bind(None)  # a program says nothing itself
    except TypeError:
        return False
    except ValueError:  # a callable without a signature
        return True
    return True
