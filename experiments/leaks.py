"""How success is faked: four mistakes of experiments with prices, each beside the same without it.

    measured(known, data, forecast) -> {"price": Leak(fake, honest, told), ...}

All are R² of what tests. What learns is as plain as can be (least squares, nearest neighbours): not it, but what it was
shown is at fault, and a network is fooled by the same. Three of the four forecast what has not yet happened; the first
forecasts nothing, and is measured so that this looks like success.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from experiments.predictability import explained, least_squares, past_mean
from experiments.prices import MONTH, TEST, Days, Prices, log_returns, year_by_year

SMOOTHED = 5  # days
NEIGHBOURS = 3
SPLIT_SEED = 0


class Leak(NamedTuple):
    """R² with the mistake, R² without it, and what it is."""

    fake: float
    honest: float
    told: str


def measured(known: Prices, data: Days, forecast: np.ndarray) -> dict[str, Leak]:
    """The four of them; `forecast` (n,) are returns that a network has forecast."""
    return {
        "price": last_price(data, forecast),
        "smoothed": centred_average(known),
        "shuffled": shuffled_split(known),
        "scaled": scaled_by_the_future(known),
    }


def as_metrics(leaks: dict[str, Leak]) -> dict[str, float]:
    """Both numbers of each, by name."""
    return {f"{name}_{kind}_r2": getattr(leak, kind) for name, leak in leaks.items() for kind in ("fake", "honest")}


def last_price(data: Days, forecast: np.ndarray) -> Leak:
    """A network's forecast of the price, which is the last price and next to nothing beside it."""
    rows = data.part(TEST)
    close, price = data.close[rows], data.next_close[rows]
    found, y = close * np.exp(forecast[rows] / 100), data.targets["return"][rows]
    told = "forecasts of the price,\nagainst those of the return"
    return Leak(explained(found, price, price.mean()), explained(forecast[rows], y), told)


def centred_average(known: Prices) -> Leak:
    """Least squares from a month of averages of five days: two before and two after each, or four before."""
    returns = log_returns(known.close)
    around, behind = np.arange(MONTH + SMOOTHED - 2, len(returns) - 2), np.ones(SMOOTHED) / SMOOTHED
    y, year = returns[around + 1], known.year[2 + around]
    rows = np.isin(year, TEST)

    def r2(later: int) -> float:
        """Of averages that end so many days later than they are said to be known."""
        smooth = np.convolve(returns, behind)[later:]
        x = np.lib.stride_tricks.sliding_window_view(smooth, MONTH)[around - MONTH + 1]
        return explained(least_squares(x, y, year)[rows], y[rows])

    return Leak(r2(SMOOTHED // 2), r2(0), "features smoothed around a day,\nagainst up to it")


def shuffled_split(known: Prices) -> Leak:
    """The return of a month, by the three months most like the last: dealt by chance, each test lies among its own."""
    log, at, y, year = _months(known)
    x = np.lib.stride_tricks.sliding_window_view(log, MONTH)[at - MONTH + 1]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(at))
    held, others = np.split(order, [len(at) // 5])
    nearest = lambda learnt, asked: KNeighborsRegressor(NEIGHBOURS).fit(x[learnt], y[learnt]).predict(x[asked])
    fake = explained(nearest(others, held), y[held], y[others].mean())
    found, tests = year_by_year(year, nearest), np.isin(year, TEST)
    honest = explained(found[tests], y[tests], past_mean(y)[tests])
    return Leak(fake, honest, "months dealt by chance,\nagainst year after year")


def scaled_by_the_future(known: Prices) -> Leak:
    """The return of a month, by how far a price is from the trend: of all twenty years, or of those before it."""
    log, at, y, year = _months(known)
    rows = np.isin(year, TEST)
    days = np.arange(len(log))
    whole = np.polyval(np.polyfit(days, log, 1), days)
    r2 = lambda trend: explained(least_squares((log - trend)[at, None], y, year)[rows], y[rows])
    return Leak(r2(whole), r2(trend_so_far(log)), "prices scaled by the whole series,\nagainst by the past")


def trend_so_far(values: np.ndarray) -> np.ndarray:
    """At each of values (n,), the line of least squares through it and all before.

    >>> trend_so_far(np.array([1.0, 2.0, 6.0])).round(3).tolist()
    [1.0, 2.0, 5.5]
    """
    n, days = np.arange(1, len(values) + 1), np.arange(len(values))
    mean = lambda x: np.cumsum(x) / n
    together, spread = mean(days * values) - mean(days) * mean(values), mean(days**2) - mean(days) ** 2
    return mean(values) + together / np.where(spread > 0, spread, 1) * (days - mean(days))


def _months(known: Prices) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logs of prices; days with a month on either side; the return of the month after, and the year where it ends."""
    log = np.log(known.close)
    at = np.arange(MONTH, len(log) - MONTH)
    return log, at, 100 * (log[at + MONTH] - log[at]), known.year[at + MONTH]
