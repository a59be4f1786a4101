"""Distances between what a model generates and what is real, from features of any function.

feature_moments(features)                   sums that merge, for frechet_distance(real, generated)
inception_score(logits)                     sums that merge
kernel_distance(real, generated)            exact, from all features at once, on the host
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._sums import entropy, ratio, spread, total
from jnn.precision import wide

BLOCK = 2**11  # rows whose kernel with all others is held at once


class FeatureMoments(NamedTuple):
    """Moments of features: sums of 1, of x - shift (..., d), and of its outer product (..., d, d)."""

    weight: Any
    first: Any
    second: Any

    def mean(self) -> Any:
        """The mean of the features, less the shift: (..., d)."""
        return ratio(self.first, self.weight[..., None])

    def covariance(self) -> Any:
        """The unbiased covariance: (..., d, d)."""
        mean = self.mean()
        sums = self.second - self.weight[..., None, None] * mean[..., :, None] * mean[..., None, :]
        return ratio(sums, self.weight[..., None, None] - 1)

    def value(self) -> Any:
        """The mean variance of a feature; the moments are for `frechet_distance`."""
        return self.covariance().diagonal(0, -2, -1).mean(-1)


def feature_moments(
    features: jax.Array, weight: jax.Array | None = None, *, shift: jax.Array | float = 0.0
) -> FeatureMoments:
    """Feature moments as sums, of real or of generated examples, for the Fréchet distance.

    See "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", Heusel et al., 2017.

    Args:
      features: (..., d), floating point, of any function, such as a classifier's layer before the last.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.
      shift: a number near the features' mean, or (d,): the same for all that is merged or compared. It cancels in the
        distance but not in its rounding, as in `r_squared`.

    Raises:
      TypeError: features are not floating point.
      ValueError: features are empty, or weight is not of their leading axes.

    >>> feature_moments(jnp.array([[0.0], [2.0]])).covariance().tolist()
    [[2.0]]
    """
    checks.floats("feature_moments", features)
    weight = spread("feature_moments", weight, features[..., 0]).ravel()
    x = wide(features).reshape(-1, features.shape[-1])
    x = x - jnp.broadcast_to(jnp.asarray(shift, x.dtype), x.shape)
    x = jnp.where(weight[:, None] == 0, 0.0, x)
    scaled = x * weight[:, None]
    second = jnp.einsum("ni,nj->ij", scaled, x, precision="highest")
    return FeatureMoments(jnp.sum(weight), jnp.sum(scaled, 0), second)


def frechet_distance(real: FeatureMoments, generated: FeatureMoments) -> float:
    """Fréchet distance of two normal distributions with these moments (FID where the features are Inception's).

    See "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", Heusel et al., 2017.

    Args:
      real, generated: of `feature_moments`, with one shift; merged ones are in float64.

    Returns:
      The distance, squared as is usual, computed on the host in float64; NaN of fewer than two examples.

    Raises:
      TypeError: real or generated are no moments.
      ValueError: they are of features of different widths.

    >>> a, b = (feature_moments(jnp.array([[0.0], [2.0]]) + shift) for shift in (0.0, 3.0))
    >>> round(frechet_distance(a, b), 6)
    9.0
    """
    for one in (real, generated):
        if not isinstance(one, FeatureMoments):
            raise TypeError(
                f"frechet_distance: expected moments, found {checks.describe(one)}. Give feature_moments(features)."
            )
    widths = [one.first.shape[-1] for one in (real, generated)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"frechet_distance: expected features of one width, found {widths[0]} of the real and {widths[1]} of the "
            "generated. Take both from the same layer."
        )
    real, generated = (FeatureMoments(*(np.asarray(x, np.float64) for x in one)) for one in (real, generated))
    apart = np.sum((real.mean() - generated.mean()) ** 2)
    a, b = real.covariance(), generated.covariance()
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    variances, axes = np.linalg.eigh(a)
    root = axes * np.sqrt(np.maximum(variances, 0))  # a = root root', so a b has the spectrum of root' b root
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root.T @ b @ root), 0)).sum()
    return float(max(apart + np.trace(a) + np.trace(b) - 2 * overlap, 0.0))


def kernel_distance(real: jax.Array, generated: jax.Array) -> float:
    """Kernel distance of whole arrays: the unbiased squared maximum mean discrepancy (KID, of Inception's features).

    The kernel is (x·y / d + 1)³. See "Demystifying MMD GANs", Bińkowski et al., 2018, and "A Kernel Two-Sample Test",
    Gretton et al., 2012.

    Args:
      real: (n, d), floating point, n >= 2: the features of all examples, as `concatenation` gives them.
      generated: (m, d), m >= 2.

    Returns:
      The distance in float64, computed on the host; about 0, and below as often as above, where both are alike.

    Raises:
      TypeError: features are not floating point.
      ValueError: shapes do not fit.

    >>> kernel_distance(jnp.zeros((2, 1)), jnp.ones((2, 1)))
    7.0
    """
    for x in (real, generated):
        checks.floats("kernel_distance", x, ndim=2)
    if (
        not (real.ndim == generated.ndim == 2 and real.shape[1] == generated.shape[1])
        or min(map(len, (real, generated))) < 2
    ):
        raise ValueError(
            "kernel_distance: expected features (n, d) and (m, d), of two examples at least, found "
            f"{checks.describe(real)} and {checks.describe(generated)}."
        )
    a, b = (np.asarray(x, np.float64) for x in (real, generated))
    own = lambda x: _kernel_sum(x, x) - np.sum(((x * x).mean(-1) + 1) ** 3)  # less that of each row with itself
    within = [own(x) / (len(x) * (len(x) - 1)) for x in (a, b)]
    return float(sum(within) - 2 * _kernel_sum(a, b) / (len(a) * len(b)))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    parts = (x[i : i + BLOCK] for i in range(0, len(x), BLOCK))
    return float(sum(np.sum((part @ y.T / x.shape[1] + 1) ** 3) for part in parts))


class InceptionScore(NamedTuple):
    """Inception score as sums: of p log p, of p (..., classes), and of weights.

    >>> sums = InceptionScore(jnp.array(0.0), jnp.array([1.0, 1.0]), jnp.array(2.0))
    >>> round(float(sums.value()), 4)
    2.0
    """

    certainty: Any
    classes: Any
    weight: Any

    def value(self) -> Any:
        """exp of the mean divergence of p from its mean: from 1 to the number of classes."""
        xp: Any = jnp if isinstance(self.classes, jax.Array) else np
        mean = ratio(self.classes, self.weight[..., None])
        return xp.exp(ratio(self.certainty, self.weight) + entropy(mean))


def inception_score(logits: jax.Array, weight: jax.Array | None = None) -> InceptionScore:
    """Inception score: how sure a classifier is of each generated example, and how various they are.

    See "Improved Techniques for Training GANs", Salimans et al., 2016. Theirs is the mean over ten parts.

    Args:
      logits: (..., classes), floating point, of any classifier. NaN gives NaN.
      weight: (...) or its leading axes; 0 for padding, None for 1 each.

    Raises:
      TypeError: logits are not floating point.
      ValueError: logits are empty, or weight is not of their leading axes.

    >>> round(float(inception_score(jnp.array([[100.0, 0.0], [0.0, 100.0]])).value()), 4)
    2.0
    """
    checks.floats("inception_score", logits)
    weight = spread("inception_score", weight, logits[..., 0])
    log_p = jax.nn.log_softmax(wide(logits))
    p = jnp.exp(log_p)
    axes = tuple(range(weight.ndim))
    certainty = jnp.sum(jnp.where(p == 0, 0.0, p * log_p), -1)
    every = jnp.broadcast_to(weight[..., None], p.shape)
    return InceptionScore(total(certainty, weight), total(p, every, axes), jnp.sum(weight))
