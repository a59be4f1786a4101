"""How predictions and targets vary together: explained variance, Pearson's and concordance correlation."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.metrics._sums import floored, ratio, spread, total


class Pearson(NamedTuple):
    """Pearson correlation as sums, per output: (..., outputs) each, of x - shift and y - shift.

    Attributes:
      weight: of 1.
      x, y: of predictions and of targets.
      xx, yy, xy: of their squares and their product.
    """

    weight: Any
    x: Any
    y: Any
    xx: Any
    yy: Any
    xy: Any

    def value(self) -> Any:
        """The mean over outputs, NaN where one does not vary, as far as the shift lets that be seen."""
        x, y, xy = self.covariance()
        return ratio(xy, (x * y) ** 0.5).mean(-1)

    def covariance(self) -> tuple[Any, Any, Any]:
        """The variances of predictions and targets and their covariance, 0 at least: (..., outputs) each."""
        mean_of = lambda sums: ratio(sums, self.weight)
        centred = lambda xy, x, y: mean_of(xy) - mean_of(x) * mean_of(y)
        x, y = centred(self.xx, self.x, self.x), centred(self.yy, self.y, self.y)
        return floored(x), floored(y), centred(self.xy, self.x, self.y)


class Concordance(NamedTuple):
    """Concordance correlation as sums, per output: those of `Pearson`."""

    sums: Pearson

    def value(self) -> Any:
        """The mean over outputs, NaN where nothing varies and means are equal."""
        x, y, xy = self.sums.covariance()
        apart = ratio(self.sums.x - self.sums.y, self.sums.weight)
        return ratio(2 * xy, x + y + apart**2).mean(-1)


class ExplainedVariance(NamedTuple):
    """Explained variance as sums, per output: those of `Pearson`, with errors for predictions."""

    sums: Pearson

    def value(self) -> Any:
        """1 - variance of errors / variance of targets, the mean over outputs; NaN where targets do not vary."""
        errors, targets, _ = self.sums.covariance()
        return (1 - ratio(errors, targets)).mean(-1)


def pearson_correlation(
    predictions: jax.Array,
    targets: jax.Array,
    weight: jax.Array | None = None,
    *,
    shift: jax.Array | float = 0.0,
) -> Pearson:
    """Pearson correlation of predictions and targets: their covariance over their standard deviations.

    See "Note on Regression and Inheritance in the Case of Two Parents", Pearson, 1895.

    Args:
      predictions: (..., outputs), floating point, of rank >= 2.
      targets: the same shape.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      shift: a number near the mean of both, or one per output (outputs,): the same for all batches that are merged.
        It cancels in the value but not in its rounding, as in `r_squared`: so of what does not vary, and is not the
        shift, the value may be anything instead of NaN. Of what does not vary, and is the shift, it is NaN.

    Raises:
      TypeError: predictions are not floating point.
      ValueError: shapes differ (nothing broadcasts), or are empty.

    >>> float(pearson_correlation(jnp.array([[1.0], [3.0]]), jnp.array([[5.0], [9.0]])).value())
    1.0
    """
    return _sums("pearson_correlation", predictions, targets, weight, shift, shift)


def concordance_correlation(
    predictions: jax.Array,
    targets: jax.Array,
    weight: jax.Array | None = None,
    *,
    shift: jax.Array | float = 0.0,
) -> Concordance:
    """Concordance correlation (CCC): 1 only where predictions are the targets, not just in line with them.

    See "A Concordance Correlation Coefficient to Evaluate Reproducibility", Lin, 1989. Args and Raises as of
    `pearson_correlation`.

    >>> float(concordance_correlation(jnp.array([[0.0], [2.0]]), jnp.array([[0.0], [2.0]])).value())
    1.0
    """
    return Concordance(_sums("concordance_correlation", predictions, targets, weight, shift, shift))


def explained_variance(
    predictions: jax.Array,
    targets: jax.Array,
    weight: jax.Array | None = None,
    *,
    shift: jax.Array | float = 0.0,
) -> ExplainedVariance:
    """Explained variance: R² that forgives a constant error. Args and Raises as of `pearson_correlation`.

    >>> float(explained_variance(jnp.array([[1.0], [3.0]]), jnp.array([[0.0], [2.0]])).value())
    1.0
    """
    p, y = checks.pair("explained_variance", predictions, targets, ndim=2)
    errors = y - p
    return ExplainedVariance(_sums("explained_variance", errors, targets, weight, 0.0, shift))


def _sums(name: str, x: jax.Array, y: jax.Array, weight: jax.Array | None, *shifts: jax.Array | float) -> Pearson:
    x, y = checks.pair(name, x, y, ndim=2)
    weights = spread(name, weight, x)
    x, y = (a - jnp.broadcast_to(jnp.asarray(shift, a.dtype), a.shape) for a, shift in zip((x, y), shifts, strict=True))
    axes = tuple(range(x.ndim - 1))
    return Pearson(jnp.sum(weights, axes), *(total(each, weights, axes) for each in (x, y, x * x, y * y, x * y)))
