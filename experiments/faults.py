"""Hourly electric load with planted faults: windows that end with an hour, and from when on each is faulty.

    electricity() -> Faults        clean windows that train and validate; copies of the test, with faults in them

Law: a window's score may be known when its last hour is: nothing behind it is read. The parts follow each other in
time, as in `experiments.series`, and mean and deviation are those of what trains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.series import DAY, WEEK, series

SEED = 0
COPIES = 10  # of the test, each with faults of its own
BLOCK = 2 * WEEK  # of which each has one fault, and a week behind it that counts for nothing
LENGTHS = {"spike": 1, "stuck": DAY, "loss": DAY, "drift": 2 * DAY, "clock": 2 * DAY}  # hours
SPIKE, LOSS, DRIFT, CLOCK = 1.0, 0.85, 1.0, 3  # deviations, share that is left, deviations at its end, hours


class Fault(NamedTuple):
    """Of a kind, at hours first..first + length - 1 of a copy."""

    kind: str
    copy: int
    first: int
    length: int


class Faults(NamedTuple):
    """Windows x (hours, DAY + calendar), the newest hour first among the load's; y (hours,) standardised.

    Attributes:
      train, validation: {"x", "naive"} of clean hours.
      test: the same with one more axis in front, of copies.
      load: (copies, hours) of the test, standardised.
      faulty, counts: (copies, hours) bool: in a fault; neither in the week behind one.
      faults: all of them.
    """

    train: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    load: np.ndarray
    faulty: np.ndarray
    counts: np.ndarray
    faults: list[Fault]


def electricity(data_dir: str | None = None) -> Faults:
    """Three years of load, of which the last half tests and the half before validates."""
    data = series("electricity", data_dir)
    one, two = (int(data.origins(part)[0]) for part in ("validation", "test"))
    standard, rng = data.standard(), np.random.default_rng(SEED)
    planted = [plant(data.values[two:], copy, float(standard.deviation), rng) for copy in range(COPIES)]
    load, y = standard.apply(np.stack([damaged for damaged, _ in planted])), standard.apply(data.values)
    faults = [fault for _, own in planted for fault in own]
    faulty, counts = np.zeros(load.shape, bool), np.ones(load.shape, bool)
    for fault in faults:
        end = fault.first + fault.length
        faulty[fault.copy, fault.first : end] = True
        counts[fault.copy, end : end + WEEK] = False
    before = lambda copy: windows(np.concatenate([y[two - WEEK : two], copy]), data.calendar[two - WEEK :])
    test = [before(copy) for copy in load]
    return Faults(
        windows(y[:one], data.calendar[:one]),
        windows(y[one - WEEK : two], data.calendar[one - WEEK : two]),
        {name: np.stack([copy[name] for copy in test]) for name in test[0]},
        *(load, faulty, counts, faults),
    )


def windows(y: np.ndarray, calendar: np.ndarray) -> dict[str, np.ndarray]:
    """Of each hour with a week before it: "x", it, the hours before it and the calendar; "naive", its distance from the
    hour a week ago.

    >>> windows(np.arange(170.0), np.zeros((170, 2)))["x"][:, :3].tolist()
    [[168.0, 167.0, 166.0], [169.0, 168.0, 167.0]]
    """
    days = np.lib.stride_tricks.sliding_window_view(y, DAY)[WEEK - DAY + 1 :, ::-1]
    x = np.concatenate([days, calendar[WEEK:]], 1).astype(np.float32)
    return {"x": x, "naive": np.abs(y[WEEK:] - y[:-WEEK])}


def plant(clean: np.ndarray, copy: int, deviation: float, rng: np.random.Generator) -> tuple[np.ndarray, list[Fault]]:
    """A copy of a load (hours,) with a fault in every block, kinds in turn."""
    load, faults, kinds = clean.copy(), [], list(LENGTHS)
    for block in range(len(clean) // BLOCK):
        kind = kinds[(block + copy) % len(kinds)]
        first = block * BLOCK + int(rng.integers(DAY, BLOCK - WEEK - LENGTHS[kind]))
        load[first : first + LENGTHS[kind]] = damaged(kind, clean, first, deviation)
        faults.append(Fault(kind, copy, first, LENGTHS[kind]))
    return load, faults


def damaged(kind: str, clean: np.ndarray, first: int, deviation: float) -> np.ndarray:
    """What a meter with this fault says from an hour on.

    >>> damaged("stuck", np.arange(50.0), 2, 1.0)[:3].tolist()
    [1.0, 1.0, 1.0]
    """
    own = clean[first : first + LENGTHS[kind]]
    return {
        "spike": own + SPIKE * deviation * (1 if first % 2 else -1),
        "stuck": np.full(len(own), clean[first - 1]),
        "loss": LOSS * own,
        "drift": own + DRIFT * deviation * np.linspace(0, 1, len(own)),
        "clock": clean[first - CLOCK : first - CLOCK + len(own)],
    }[kind]
