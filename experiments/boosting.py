"""What networks of tables are measured against: gradient boosting, by scikit-learn, and least squares."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

TREES = 300  # of which so many are kept as validates best


def boosted(
    parts: dict[str, dict[str, np.ndarray]], rate: float, numbers: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of what validates and of what tests, by as many trees as validate best.

    See "Greedy Function Approximation: A Gradient Boosting Machine", Friedman, 2001; "LightGBM: A Highly Efficient
    Gradient Boosting Decision Tree", Ke et al., 2017.

    Args:
      parts: of `for_trees`.
      rate: what each tree adds of itself.
      numbers: how many columns are numbers; those behind them are categories.
      seed: of the bins' edges.
    """
    x = parts["train"]["x"]
    options = {"categorical_features": np.arange(x.shape[1]) >= numbers, "early_stopping": False}
    model = HistGradientBoostingRegressor(learning_rate=rate, max_iter=TREES, random_state=seed, **options)
    with threadpool_limits(1, "openmp"):  # of tables as small as these, threads do little but wait for each other
        model.fit(x, parts["train"]["y"])
    validated = list(model.staged_predict(parts["validation"]["x"]))
    trees = int(np.argmin([np.square(found - parts["validation"]["y"]).mean() for found in validated]))
    tested = next(found for i, found in enumerate(model.staged_predict(parts["test"]["x"])) if i == trees)
    return validated[trees], tested


def least_squares(parts: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Predictions of what tests, linear in each number and with a constant for each category.

    Args:
      parts: of `for_networks`.
    """
    size = 1 + max(int(part["ids"].max()) for part in parts.values())

    def columns(part: dict[str, np.ndarray]) -> np.ndarray:
        x = np.zeros((len(part["y"]), size))
        np.put_along_axis(x, part["ids"], part["values"].astype(float), 1)
        return np.concatenate([x, np.ones((len(x), 1))], 1)

    weights = np.linalg.lstsq(columns(parts["train"]), parts["train"]["y"], rcond=None)[0]
    return columns(parts["test"]) @ weights
