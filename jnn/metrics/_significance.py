"""Tests of forecasts, of whole series, on the host: whether one is better than another, or knows a direction at all.

    diebold_mariano(losses, others)            is the mean loss of two forecasts the same?
    pesaran_timmermann(predictions, targets)   are signs right more often than by chance?

Both ask of steps in the order of time, none of them left out; NaN among them makes the answer NaN.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks


class Significance(NamedTuple):
    """A statistic of a test, and how likely one as extreme is where there is nothing to find.

    statistic: float64.
    p_value: in 0..1.
    """

    statistic: float
    p_value: float


def diebold_mariano(losses: jax.Array, others: jax.Array, *, horizon: int = 1) -> Significance:
    """Diebold-Mariano test that two forecasts have the same mean loss, corrected for small samples; two-sided.

    See "Comparing Predictive Accuracy", Diebold and Mariano, 1995; "Testing the Equality of Prediction Mean Squared
    Errors", Harvey, Leybourne and Newbold, 1997.

    Args:
      losses: (time,), floating point, of one forecast of each step: squared errors, or any others.
      others: (time,), of the other forecast.
      horizon: steps ahead; losses of forecasts that overlap go together, up to horizon - 1 steps apart.

    Returns:
      The statistic, less than 0 where the first forecast is the better one, and its p by Student's t of time - 1
      degrees. Both are NaN where losses differ by the same everywhere, but for the rounding of the coarser dtype, or
      their variance is not positive, as that of a short series may be.

    Raises:
      TypeError: losses are not floating point.
      ValueError: shapes differ, are not (time,), or have no more than `horizon` steps; the horizon is less than 1.

    >>> found = diebold_mariano(np.array([1.0, 2.0, 1.5, 1.0]), np.array([2.0, 3.5, 2.0, 2.5]))
    >>> round(found.statistic, 2), round(found.p_value, 3)
    (-4.7, 0.018)
    """
    from scipy import special  # takes a fifth of a second, which no training step should wait for

    checks.count("diebold_mariano", "horizon", horizon)
    less, more = _series("diebold_mariano", losses=losses, others=others)
    n = len(less)
    if n <= horizon:
        raise ValueError(f"diebold_mariano: expected more steps than the horizon of {horizon}, found {n}.")
    nothing = Significance(math.nan, math.nan)
    gain = less / 2 - more / 2  # no difference of halves overflows
    rounding = _rounding(losses, others) * (np.abs(less) / 2 + np.abs(more) / 2)
    if not np.isfinite(gain).all() or not (gain - rounding).max() > (gain + rounding).min():
        return nothing
    gain /= np.abs(gain).max()
    rest = gain - gain.mean()
    apart = [rest[lag:] @ rest[: n - lag] / n for lag in range(horizon)]
    variance = (apart[0] + 2 * sum(apart[1:])) / n
    if not variance > np.finfo(float).eps * apart[0]:
        return nothing
    small = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    statistic = float(gain.mean() * math.sqrt(small / variance))
    return Significance(statistic, float(2 * special.stdtr(n - 1, -abs(statistic))))


def pesaran_timmermann(predictions: jax.Array, targets: jax.Array) -> Significance:
    """Pesaran-Timmermann test that signs of forecasts know nothing of those of targets; one-sided.

    See "A Simple Nonparametric Test of Predictive Performance", Pesaran and Timmermann, 1992.

    A forecast that says "up" of all steps of a market that rises is right more often than not, and knows nothing: what
    counts is how much more often than by as many ups and downs in another order.

    Args:
      predictions: (time,), floating point: up where more than 0.
      targets: (time,), of one step ahead, so that they do not overlap.

    Returns:
      The statistic, of the standard normal distribution, and the chance of a greater one. Both are NaN where
      predictions or targets have one sign alone.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, or are not (time,).

    >>> found = pesaran_timmermann(np.array([1.0, -1.0, 2.0, -3.0]), np.array([0.1, -0.2, 0.1, 0.3]))
    >>> round(found.statistic, 2), round(found.p_value, 2)
    (1.33, 0.09)
    """
    found, true = _series("pesaran_timmermann", predictions=predictions, targets=targets)
    if (np.isnan(found) | np.isnan(true)).any():
        return Significance(math.nan, math.nan)
    n, x, y = len(found), float(np.mean(found > 0)), float(np.mean(true > 0))
    right, chance = float(np.mean((found > 0) == (true > 0))), x * y + (1 - x) * (1 - y)
    of_chance = (2 * y - 1) ** 2 * x * (1 - x) + (2 * x - 1) ** 2 * y * (1 - y) + 4 * x * y * (1 - x) * (1 - y) / n
    variance = (chance * (1 - chance) - of_chance) / n
    if not variance > 0 or x in (0, 1) or y in (0, 1):
        return Significance(math.nan, math.nan)
    statistic = (right - chance) / math.sqrt(variance)
    return Significance(statistic, math.erfc(statistic / math.sqrt(2)) / 2)


def _rounding(*arrays: jax.Array) -> float:
    """A unit in the last place of 1, in the coarsest dtype."""
    return max(float(jnp.finfo(x.dtype).eps) for x in arrays if jnp.issubdtype(x.dtype, jnp.floating))


def _series(name: str, **arrays: jax.Array) -> list[np.ndarray]:
    """Two series of one length, in float64."""
    checks.floats(name, next(iter(arrays.values())))
    checks.same_shape(name, **arrays)
    if any(array.ndim != 1 for array in arrays.values()):
        found = ", ".join(f"{key} {checks.describe(array)}" for key, array in arrays.items())
        raise ValueError(f"{name}: expected one series (time,), found {found}.")
    return [np.asarray(array, np.float64) for array in arrays.values()]
