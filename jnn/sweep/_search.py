"""Hyperparameter search: a plan and a sampler over the members of a sweep, saved after its turns.

    search(sweep, space, plan, sampler, validation, folder=...) -> Found

    ask who begins -> begin -> train -> evaluate -> log, save -> the plan says who goes on -> tell who ended

Law: killed at any instant and started again, it ends with the bits of the one that was not. What a checkpoint holds are
members and the log; plan and sampler are led through the log once more, and must say what they said.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jnn.sweep._found import Found, Mode, sign
from jnn.sweep._log import Log, Plan, Row, Turn
from jnn.sweep._samplers import Sampler
from jnn.sweep._space import Space, Values, check_space, searched, spelled
from jnn.sweep._store import Make, Store
from jnn.terminal import say
from jnn.train import Checkpoints, check_settings
from jnn.train.checkpoint import read


def search(
    sweep: Make,
    space: Space,
    plan: Plan,
    sampler: Sampler,
    validation: Mapping[str, Any],
    *,
    metric: str = "loss",
    mode: Mode = "min",
    seed: int = 0,
    folder: str | Path | None = None,
    save_seconds: float = 10.0,
    tell: Callable[[str], object] = say,
) -> Found:
    """Hyperparameter search: trains what a sampler asks for, as far as a plan lets it come.

    Args:
      sweep: a `Sweep`; where the space has `Structure`, a function of that by name, which gives one.
      space: name -> what may be chosen.
      plan: `SuccessiveHalving`, `Asha`, `Population`, or anything with `steps` and `next(log)`.
      sampler: new, as it is before it was asked for anything.
      validation: arrays, of which the metric is taken after every turn.
      metric, mode: of the loss's metrics which one, and whether "min" or "max" is better.
      seed: member i has the seed behind it by i.
      folder: for checkpoints; the same search, started again, goes on from the last.
      save_seconds: what a killed search may have to do again; a turn is done whole.
      tell: called with one line for each member that broke down.

    Returns:
      The log, all members, and which are best.

    Raises:
      TypeError: the space is none, or there is structure and no function of it.
      KeyError: the loss has no such metric; told before anything is trained.
      ValueError: nothing reads a hyperparameter of the space, told before anything is trained; the sampler is of
        another space, the folder is of another search, or plan and sampler do not say again what they said.
      CorruptCheckpoint: the newest checkpoint is not what was saved; without it the one before is used.
    """
    check_space("search", space)
    sign(mode)  # which refuses what is no mode, before anything is trained
    running = _Search(Log(space), plan, sampler, Store(sweep, space), validation, metric, mode, seed)
    if folder is None:
        while (turn := running.next()) is not None:
            running.turn(turn, tell)
    else:
        with Checkpoints(Path(folder), save_seconds=save_seconds) as checkpoints:
            _saved(running, checkpoints, tell)
    return Found(running.log, plan, running.store, metric, mode)


@dataclasses.dataclass
class _Search:
    """A search between two turns."""

    log: Log
    plan: Plan
    sampler: Sampler
    store: Store
    validation: Mapping[str, Any]
    metric: str
    mode: Mode
    seed: int
    asked: dict[int, Values] = dataclasses.field(default_factory=dict)  # of all who began, as they began
    told: dict[int, tuple[int, bool]] = dataclasses.field(default_factory=dict)  # where, and whether alive

    def next(self) -> Turn | None:
        """The turn that is due; tells the sampler who has come further and does not go on, and asks for who begins."""
        turn = self.plan.next(self.log)
        going = set(turn.numbers) if turn else set()
        for number, step in self.log.steps().items():
            now = step, self.log.alive(number)
            if number not in going and self.told.get(number) != now:
                self.sampler.tell(number, self.log.score(number), step, step >= self.plan.steps)
                self.told[number] = now
        if turn and (new := [number for number in turn.numbers if number not in self.asked]):
            self.asked |= dict(zip(new, self._points(len(new)), strict=True))
        return turn

    def _points(self, n: int) -> list[Values]:
        """What the sampler says is to be tried next."""
        points = self.sampler.ask(n)
        names = sorted(self.log.space)
        if strange := [sorted(point) for point in points if sorted(point) != names]:
            raise ValueError(
                f"search: expected points of {names}, which the space has, found one of {strange[0]}. Make the sampler "
                "of the same space."
            )
        return points

    def turn(self, turn: Turn, tell: Callable[[str], object]) -> None:
        """Begins, trains and evaluates, and adds a row to the log."""
        begun = {number: self.asked[number] for number in turn.numbers if number not in self.log.steps()}
        if begun:
            self._begin(begun)
        if not self.log.rows:
            self._check_metric(self.store.metric_names(self.validation))
        if turn.copies:
            self.store.copy(turn.copies, turn.values)
        at, train, validation = self.store.turn(turn.numbers, turn.steps, self.validation)
        scores = [self._score(validation[number]) for number in turn.numbers]
        values = {str(number): own for number, own in {**begun, **turn.values}.items()}
        row = {"numbers": list(turn.numbers), "steps": [at[number] for number in turn.numbers], "scores": scores}
        self.log.add(row | {"values": values, "train": _columns(turn, train), "validation": _columns(turn, validation)})
        for number, score in zip(turn.numbers, scores, strict=True):
            if math.isnan(score):
                told = spelled(self.log.values(number))
                tell(f"search: member {number} ({told}) broke down after step {at[number]}; the others go on.")

    def _begin(self, begun: dict[int, Values]) -> None:
        """Begins members; raises, once there is one of every structure, where none reads what is searched."""
        known = len(self.store.groups)
        self.store.begin(begun, self.seed)
        if len(self.store.groups) > known and (vain := sorted(self.store.unread() & searched(self.log.space))):
            raise ValueError(
                f"search: nothing reads the hyperparameter {vain[0]!r}, which would be searched in vain. Read it in "
                f"the loss, ctx.given[{vain[0]!r}], in the optimizer or its schedule, h[{vain[0]!r}], or leave it out "
                "of the space."
            )

    def replay(self, row: Row) -> None:
        """Leads plan and sampler through a turn that was saved.

        Raises:
          ValueError: they do not say what they said.
        """
        turn = self.next()
        if turn is None or list(turn.numbers) != row["numbers"] or self._began(row) != self._asked(row):
            raise ValueError(
                f"search: after turn {len(self.log.rows)} the checkpoint goes on with members {row['numbers']} and "
                f"{self._began(row)}; plan and sampler say {turn and list(turn.numbers)} and {self._asked(row)}. Give "
                "those that it began with, new ones, in the same versions; or another folder."
            )
        self.log.add(row)

    def _began(self, row: Row) -> dict[str, Values]:
        known = self.log.steps()
        return {number: values for number, values in row["values"].items() if int(number) not in known}

    def _asked(self, row: Row) -> dict[str, Values]:
        return {number: self.asked.get(int(number), {}) for number in self._began(row)}

    def _check_metric(self, names: Iterable[str]) -> None:
        if self.metric not in names:
            raise KeyError(f"search: the loss has the metrics {', '.join(sorted(names))}, no {self.metric!r}.")

    def _score(self, metrics: Mapping[str, float]) -> float:
        self._check_metric(metrics)  # without those that are no number
        score = sign(self.mode) * metrics[self.metric]
        return score if math.isfinite(score) else math.nan


def _saved(running: _Search, checkpoints: Checkpoints, tell: Callable[[str], object]) -> None:
    """The search from its newest checkpoint on, with one when a turn is over and the last is long enough ago."""
    settings = {
        "space": str(dict(running.log.space)),
        "plan": str(running.plan),
        "sampler": type(running.sampler).__name__,
        "metric": running.metric,
        "mode": running.mode,
        "seed": str(running.seed),
    }
    if checkpoints.steps:
        saved = read(checkpoints.folder)
        check_settings(f"search: {checkpoints.folder}", saved.records["settings"], settings)
        for row in saved.records["rows"]:
            running.replay(row)
        running.store.restore(running.asked, saved.state)
    last = time.monotonic()
    while (turn := running.next()) is not None:
        running.turn(turn, tell)
        if time.monotonic() - last >= checkpoints.save_seconds:
            _save(running, checkpoints, settings)
            last = time.monotonic()
    _save(running, checkpoints, settings)


def _save(running: _Search, checkpoints: Checkpoints, settings: dict[str, str]) -> None:
    state = {"step": jnp.int32(len(running.log.rows)), "members": running.store.arrays()}
    checkpoints.save(state, {"settings": settings, "rows": running.log.rows})


def _columns(turn: Turn, metrics: Mapping[int, Mapping[str, float]]) -> dict[str, list[float]]:
    """Metrics of a turn's members by name, each a list in their order."""
    return {name: [metrics[number][name] for number in turn.numbers] for name in metrics[turn.numbers[0]]}
