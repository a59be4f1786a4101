"""Daily prices of an index: what is known when a day ends, what the next one brings, and who may learn from which day.

prices(name) -> Prices           open, high, low, close and volume of each trading day
days(prices) -> Days             rows: features of a month, and the next day's return and volatility
walk_forward(years) -> folds     a fold a year, that learns from all years before and forecasts this one
year_by_year(years, forecast)    what a function makes of these folds

Law: a row's features are of days up to its own, its targets of the day after; a fold learns from rows whose targets
were measured before its year begins, and whatever it scales by is of these alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from experiments.series import Kind
from jnn.data import find, read_csv

MONTH = 22  # trading days
KIND = Kind("stocks/sp500.csv", "Date", "Close", "D", 1, MONTH, 1, (), 0, "price")  # of which MONTH and 1 are read
VALIDATION, TEST = range(2005, 2009), range(2009, 2019)
YEARS = (*VALIDATION, *TEST)
TARGETS = ("return", "volatility")


class Prices(NamedTuple):
    """What was paid on each of n trading days; of `year`, whole numbers."""

    year: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray


class Days(NamedTuple):
    """Rows (n,) of days that have a month behind them and a day before them.

    Attributes:
      x: (n, MONTH, features) float32: log return, log volatility, and log volume less its mean of the month.
      targets: of the next day, (n,) float64 each: "return", in per cent, and "volatility", the log of the day's own.
      year: of the next day.
      close, next_close: prices of the day and the next.
    """

    x: np.ndarray
    targets: dict[str, np.ndarray]
    year: np.ndarray
    close: np.ndarray
    next_close: np.ndarray

    def part(self, years: range) -> np.ndarray:
        """Rows (n,) whose next day is in these years."""
        return np.isin(self.year, years)


def prices(name: str, data_dir: str | None = None) -> Prices:
    """The S&P 500 ("sp500") or the NASDAQ Composite ("nasdaq"), from its file."""
    path = find(data_dir, f"stocks/{name}.csv", how="put daily prices of the index there, as Yahoo Finance writes them")
    columns = ("Open", "High", "Low", "Close", "Volume")
    table = read_csv(path, {"Date": str} | dict.fromkeys(columns, float))
    year = np.array([int(date.rsplit("/", 1)[1]) for date in table["Date"].tolist()])
    return Prices(year, *(np.asarray(table[column], np.float64) for column in columns))


def log_returns(close: np.ndarray) -> np.ndarray:
    """Per cent of each day but the first, (n - 1,).

    >>> log_returns(np.array([100.0, 101.0, 100.0])).round(3).tolist()
    [0.995, -0.995]
    """
    return 100 * np.diff(np.log(close))


def volatility(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Of each day in per cent, by how far its prices lie apart.

    See "The Extreme Value Method for Estimating the Variance of the Rate of Return", Parkinson, 1980.
    """
    return 100 * np.log(high / low) / np.sqrt(4 * np.log(2))


def days(known: Prices) -> Days:
    """Rows of all days that have a month before them, and one after."""
    returns = log_returns(known.close)
    spread = np.log(volatility(known.high, known.low))[1:]
    volume = _log_volume(known.volume)[1:]
    windows = lambda x: np.lib.stride_tricks.sliding_window_view(x[:-1], MONTH)
    above = windows(volume) - windows(volume).mean(1, keepdims=True)
    x = np.stack([windows(returns), windows(spread), above], -1).astype(np.float32)
    targets = {"return": returns[MONTH:], "volatility": spread[MONTH:]}
    return Days(x, targets, known.year[1 + MONTH :], known.close[MONTH:-1], known.close[1 + MONTH :])


def _log_volume(volume: np.ndarray) -> np.ndarray:
    """Of days without a number, that of the day before.

    >>> np.exp(_log_volume(np.array([2.0, 0.0, 4.0]))).round().tolist()
    [2.0, 2.0, 4.0]
    """
    last = np.maximum.accumulate(np.where(volume > 0, np.arange(len(volume)), 0))
    return np.log(volume[last])


def walk_forward(year: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rows (n,) train, and where they are forecast: both (n, folds), a fold for each of `YEARS`.

    >>> train, forecast = walk_forward(np.array([2004, 2005, 2006]))
    >>> train[:, :2].tolist(), forecast[:, :2].tolist()
    ([[True, True], [False, True], [False, False]], [[False, False], [True, False], [False, True]])
    """
    return year[:, None] < np.array(YEARS), year[:, None] == np.array(YEARS)


def year_by_year(year: np.ndarray, forecast: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Forecasts (n,) by what `forecast(learnt, asked)` makes of each fold's rows; 0 of years before the first."""
    found = np.zeros(len(year))
    for learnt, asked in zip(*(part.T for part in walk_forward(year)), strict=True):
        found[asked] = forecast(learnt, asked)
    return found
