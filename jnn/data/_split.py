"""Splitting and standardising, so that nothing is learnt from what is held out.

    split(arrays, fraction, seed) -> (kept, held out)      rows stay together, each in one part
    fit_standard(x) -> Standard                            fitted on the training part only

Laws: the parts are disjoint and together hold every row; the same seed gives the same parts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jnn.data._checked import Arrays, check_arrays, check_seed


def split(arrays: Arrays, fraction: float, *, seed: int) -> tuple[Arrays, Arrays]:
    """Train and test split: holds out a random fraction of the rows.

    Args:
      arrays: name -> (n, ...).
      fraction: the part to hold out, in (0, 1); rounded to a whole number of rows.
      seed: of the permutation, 0 or more.

    Returns:
      (kept, held out), each with the names of `arrays`.

    Raises:
      TypeError: what is not a dict of arrays.
      ValueError: arrays of unequal lengths, a negative seed, or a fraction that leaves one part empty.

    >>> kept, held = split({"x": np.arange(10.0)}, 0.2, seed=0)
    >>> len(kept["x"]), len(held["x"])
    (8, 2)
    """
    n = check_arrays("split", arrays)
    check_seed("split", seed)
    count = round(n * fraction) if 0 < fraction < 1 else 0
    if not 0 < count < n:
        raise ValueError(
            f"split: fraction {fraction} of {n} rows leaves a part empty; give one in (0, 1), of at least a row."
        )
    order = np.random.default_rng(seed).permutation(n)
    take = lambda rows: {name: array[rows] for name, array in arrays.items()}
    return take(np.sort(order[count:])), take(np.sort(order[:count]))


class Standard(NamedTuple):
    """Standardization: the mean and deviation of each feature, float64.

    They stay in 64 bits, and so does what is computed with them: a mean that is rounded to 32 would shift features that
    lie far from zero, such as seconds since 1970, by many deviations.

    >>> standard = fit_standard(np.array([[0.0, 5.0], [2.0, 5.0]], np.float32))
    >>> standard.apply(np.array([[3.0, 5.0]], np.float32))
    array([[2., 0.]], dtype=float32)
    """

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """x in units of the deviation, around the mean, float32."""
        return ((x - self.mean) / self.deviation).astype(np.float32)

    def undo(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `apply`, float64: float32 might not hold the original values."""
        return x * self.deviation + self.mean


def fit_standard(x: np.ndarray) -> Standard:
    """Standardization to fit: every feature's mean and deviation over the first axis; a constant one keeps deviation 1.

    Args:
      x: (n, ...) the *training* rows, of any numeric dtype.

    Raises:
      TypeError: x is no NumPy array.
      ValueError: no rows, or a value that is not finite.
    """
    check_arrays("fit_standard", {"x": x})
    deviation = np.std(x, 0, np.float64)
    # the deviation of equal floats is rounding error, not zero; that of floats next to zero may be zero
    constant = (x == x[:1]).all(0) | (deviation == 0)
    return Standard(np.asarray(np.mean(x, 0, np.float64)), np.where(constant, 1.0, deviation))
