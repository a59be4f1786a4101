"""Random features, and least squares on them: networks whose first layer is drawn and stays so.

relu_features(x, width, seed) -> (n, width)         the first k of them are those of width k
least_squares(features, targets, penalty=0) -> (width, k)
"""

from __future__ import annotations

import numpy as np


def relu_features(x: np.ndarray, width: int, *, seed: int) -> np.ndarray:
    """Random ReLU features of rows (n, d), with a bias, in float64.

    See "Random Features for Large-Scale Kernel Machines", Rahimi and Recht, 2007.

    >>> x = np.array([[1.0, -2.0]])
    >>> bool((relu_features(x, 5, seed=0)[:, :3] == relu_features(x, 3, seed=0)).all())
    True
    """
    directions = np.random.default_rng(seed).normal(size=(width, x.shape[1] + 1))
    rows = np.concatenate([x, np.ones((len(x), 1))], 1)
    return np.maximum(rows @ directions.T / np.sqrt(x.shape[1]), 0)


def least_squares(features: np.ndarray, targets: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Weights of least squares, of all such those of smallest norm; with a penalty, of their squared norm a row.

    >>> least_squares(np.array([[1.0, 1.0]]), np.array([[2.0]])).round(6).tolist()
    [[1.0], [1.0]]
    """
    if penalty == 0:
        return np.linalg.lstsq(features, targets, rcond=None)[0]
    n, width = features.shape
    if width <= n:
        return np.linalg.solve(features.T @ features + n * penalty * np.eye(width), features.T @ targets)
    return features.T @ np.linalg.solve(features @ features.T + n * penalty * np.eye(n), targets)
