"""What metrics ask of predictions and targets that stand side by side."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide_dtype


def pair(name: str, predictions: jax.Array, targets: jax.Array, *, ndim: int = 0) -> tuple[jax.Array, jax.Array]:
    """Predictions and targets of one shape, in one dtype: float32, or one that keeps more digits of either.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ, are empty, or of a lower rank.
    """
    checks.floats(name, predictions, ndim=ndim)
    checks.same_shape(name, predictions=predictions, targets=targets)
    dtype = jnp.promote_types(wide_dtype(predictions), targets.dtype)
    return predictions.astype(dtype), targets.astype(dtype)
