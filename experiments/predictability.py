"""What the past alone says of the next day, without a network; and what is better than that, by more than chance.

past_forecasts(data, "volatility") -> {"mean": ..., "average": ..., "har": ...}   (n,) of every row
measured(found, data) -> metrics                                                     of the years that test
"""

from __future__ import annotations

import numpy as np

from experiments.prices import TEST, VALIDATION, Days, year_by_year
from jnn.metrics import diebold_mariano, pesaran_timmermann

WEEK = 5
DECAYS = (0.6, 0.7, 0.8, 0.9, 0.94, 0.97)  # of yesterday's average, of which one is chosen where networks' options are
PLAIN = {"return": "walk", "volatility": "mean"}  # what knows nothing


def past_forecasts(data: Days, target: str) -> dict[str, np.ndarray]:
    """Forecasts (n,) of a target, each of what was measured before its row's next day."""
    y = data.targets[target]
    if target == "return":
        linear = least_squares(data.x[..., 0].astype(np.float64), y, data.year)
        return {"walk": np.zeros(len(y)), "mean": past_mean(y), "linear": linear}
    rows = data.part(VALIDATION)
    averages = [average(data.x[..., 1], decay) for decay in DECAYS]
    best = min(averages, key=lambda found: np.square(found - y)[rows].mean())
    return {"mean": past_mean(y), "average": best, "har": heterogeneous(data)}


def past_mean(y: np.ndarray) -> np.ndarray:
    """The mean of all before each, and 0 of none.

    >>> past_mean(np.array([1.0, 3.0, 9.0])).tolist()
    [0.0, 1.0, 2.0]
    """
    return np.concatenate([[0.0], np.cumsum(y)[:-1] / np.arange(1, len(y))])


def average(window: np.ndarray, decay: float) -> np.ndarray:
    """The exponentially weighted mean of windows (n, t), whose last is the newest.

    >>> average(np.array([[0.0, 3.0]]), 0.5).tolist()
    [2.0]
    """
    weight = decay ** np.arange(window.shape[1] - 1, -1, -1)
    return window @ (weight / weight.sum())


def heterogeneous(data: Days) -> np.ndarray:
    """HAR: least squares of a day, a week and a month, fitted anew for each year to all before it."""
    logs = data.x[..., 1].astype(np.float64)
    x = np.stack([logs[:, -1], logs[:, -WEEK:].mean(1), logs.mean(1)], 1)
    return least_squares(x, data.targets["volatility"], data.year)


def least_squares(x: np.ndarray, y: np.ndarray, year: np.ndarray) -> np.ndarray:
    """Linear forecasts (n,) from x (n, features), a fit for each year to all before it; 0 of years before the first."""
    ones = np.concatenate([x, np.ones((len(x), 1))], 1)
    fit = lambda learnt: np.linalg.lstsq(ones[learnt], y[learnt], rcond=None)[0]
    return year_by_year(year, lambda learnt, asked: ones[asked] @ fit(learnt))


def explained(found: np.ndarray, y: np.ndarray, plain: np.ndarray | float = 0.0) -> float:
    """R² out of sample: one less squared errors over those of a plain forecast.

    See "Predicting Excess Stock Returns Out of Sample: Can Anything Beat the Historical Average?", Campbell and
    Thompson, 2008.

    >>> explained(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    0.9
    """
    return 1 - float(np.square(found - y).sum() / np.square(plain - y).sum())


def measured(found: dict[str, dict[str, np.ndarray]], data: Days) -> dict[str, float]:
    """R² against what knows nothing, with p; directions with p; volatility's p against HAR: of the years that test.

    R² of those that validate stands beside it: what was found there need not be there again.
    """
    rows, metrics = data.part(TEST), {}
    for target, methods in found.items():
        y, plain = data.targets[target], methods[PLAIN[target]]
        errors = {name: np.square(method - y)[rows] for name, method in methods.items()}
        for name in [name for name in methods if name != PLAIN[target]]:
            for years, of in ((TEST, ""), (VALIDATION, "_validation")):
                asked = data.part(years)
                metrics[f"{name}_{target}_r2{of}"] = explained(methods[name][asked], y[asked], plain[asked])
            metrics[f"{name}_{target}_p"] = diebold_mariano(errors[name], errors[PLAIN[target]]).p_value
        if target == "volatility":
            metrics["lstm_volatility_p_har"] = diebold_mariano(errors["lstm"], errors["har"]).p_value
    y = data.targets["return"][rows]
    for name in ("linear", "lstm"):
        forecast = found["return"][name][rows]
        metrics[f"{name}_right"] = float(np.mean((forecast > 0) == (y > 0)))
        metrics[f"{name}_right_p"] = pesaran_timmermann(forecast, y).p_value
    return metrics | {"up": float(np.mean(y > 0))}
