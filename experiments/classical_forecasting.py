"""Forecasts without a network: seasonal naive, exponential smoothing (ETS) and ARIMA, at rolling origins.

    classical("naive", series, "test") -> quantiles (origins, horizon, levels)

ETS and ARIMA are statsmodels' (the extra `forecasting`). Each is fitted once, to the last steps before the part's
first origin; at every origin its states, and no parameters, are those of as many steps before it. Of an hourly series,
ETS has a level and a season of a week, and ARIMA is (1, 0, 1)(1, 0, 0) by days on what differs from a week before;
of a daily one, ETS has a level alone, and ARIMA is (2, 1, 1). Of hourly values both read log(1 + x), which validated
better in three cases of four; a damped trend, a season of a day and other orders did not.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import stats

from experiments.forecasting import LEVELS
from experiments.series import DAY, WEEK, Series
from jnn.optional import optional

FITTED = {"h": 8 * WEEK, "D": 2 * 365}  # steps, and a season before them


def classical(method: str, series: Series, part: str) -> np.ndarray:
    """Quantiles (origins, horizon, levels) of "naive", "ets" or "arima" at the origins of a part."""
    origins = series.origins(part)
    if method == "naive":
        return np.stack([seasonal_naive(series, int(origin)) for origin in origins])
    size, begin = FITTED[series.kind.step] + series.kind.season, {"ets": _Ets, "arima": _Arima}[method]
    into, back = (np.log1p, np.expm1) if series.kind.step == "h" else (np.asarray, np.asarray)
    values = into(series.values)
    fitted = begin(values[origins[0] - size : origins[0]], series)
    return back(np.stack([fitted(values[at - size : at]) for at in origins]))


def seasonal_naive(series: Series, origin: int) -> np.ndarray:
    """What was a season ago, and around it how far seasons have differed in training."""
    season, horizon = series.kind.season, series.kind.horizon
    training = series.history(int(series.origins("validation")[0]))
    differences = np.quantile(training[season:] - training[:-season], LEVELS)
    at = origin - season + np.arange(horizon)
    return series.values[at][:, None] + differences


class _Ets:
    """Exponential smoothing."""

    def __init__(self, history: np.ndarray, series: Series) -> None:
        self.horizon = series.kind.horizon
        self.options: dict[str, Any] = {"error": "add", "initialization_method": "heuristic"}
        if series.kind.step == "h":
            self.options |= {"seasonal": "add", "seasonal_periods": series.kind.season}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an optimizer that is content before it has converged
            self.params = self._model(history).fit(disp=False, maxiter=100).params

    def _model(self, history: np.ndarray) -> Any:
        rows = optional("pandas", "forecasting").Series(history)  # its predictions ask for an index
        return optional("statsmodels.tsa.exponential_smoothing.ets", "forecasting").ETSModel(rows, **self.options)

    def __call__(self, history: np.ndarray) -> np.ndarray:
        steps = {"start": len(history), "end": len(history) + self.horizon - 1}
        found = self._model(history).smooth(self.params).get_prediction(**steps)
        return _normal(np.asarray(found.predicted_mean), np.asarray(found.forecast_variance))


class _Arima:
    """ARIMA of what differs from a season before, where there is one of a week."""

    def __init__(self, history: np.ndarray, series: Series) -> None:
        self.horizon, self.season = series.kind.horizon, series.kind.season if series.kind.step == "h" else None
        self.order = {"order": (1, 0, 1), "seasonal_order": (1, 0, 0, DAY)} if self.season else {"order": (2, 1, 1)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.fitted = self._model(history).fit(disp=False, maxiter=100)

    def _model(self, history: np.ndarray) -> Any:
        return optional("statsmodels.tsa.statespace.sarimax", "forecasting").SARIMAX(self._part(history), **self.order)

    def _part(self, history: np.ndarray) -> np.ndarray:
        return history[self.season :] - history[: -self.season] if self.season else history

    def __call__(self, history: np.ndarray) -> np.ndarray:
        found = self.fitted.apply(self._part(history)).get_forecast(self.horizon)
        before = history[-self.season :][: self.horizon] if self.season else 0.0
        return _normal(found.predicted_mean + before, found.var_pred_mean)


def _normal(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Quantiles (horizon, levels) of normal distributions."""
    return mean[:, None] + np.sqrt(variance)[:, None] * stats.norm.ppf(LEVELS)
