"""The synthetic sets of the introductory literature: functions of a sum of features.

Law: the same arguments give the same arrays.
"""

from __future__ import annotations

import numpy as np

from jnn.data._checked import check_seed


def sum_above_half(rows: int = 1000, features: int = 10, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Two classes: whether the sum of uniform features is above its mean, half their number.

    Returns:
      `{"x": (rows, features) float32 in [0, 1), "y": (rows, 1) float32, 0 or 1}`.

    >>> data = sum_above_half(4, 10)
    >>> bool(((data["x"].sum(1) > 5) == data["y"][:, 0]).all())
    True
    """
    check_seed("sum_above_half", seed)
    x = np.random.default_rng(seed).random((rows, features), np.float32)
    return {"x": x, "y": (x.sum(1, keepdims=True) > features / 2).astype(np.float32)}


def noisy_sum(rows: int = 1000, features: int = 20, *, noise: float = 0.1, seed: int = 0) -> dict[str, np.ndarray]:
    """A regression: the sum of standard normal features, plus normal noise of this deviation.

    Returns:
      `{"x": (rows, features) float32, "y": (rows, 1) float32}`.

    >>> data = noisy_sum(4, 20, noise=0.0)
    >>> bool(np.allclose(data["x"].sum(1), data["y"][:, 0]))
    True
    """
    check_seed("noisy_sum", seed)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features), np.float32)
    return {"x": x, "y": x.sum(1, keepdims=True) + noise * rng.standard_normal((rows, 1), np.float32)}
