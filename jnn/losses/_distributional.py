"""Distributional reinforcement learning: what a return may be, as probabilities of atoms or as quantiles.

    categorical_projection(support, probabilities, onto)    C51's targets
    quantile_regression_loss(quantiles, targets)            QR-DQN

Targets are taken as they are: no gradient goes there. Laws: float32 at least.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import growing
from jnn.losses._regression import huberized
from jnn.precision import wide


def categorical_projection(support: jax.Array, probabilities: jax.Array, onto: jax.Array) -> jax.Array:
    """Categorical projection, C51's: a distribution over some values, shared between the nearest of other values.

    The loss is `soft_cross_entropy(logits, projection)`, with `support = r + discount * onto` of each step. See "A
    Distributional Perspective on Reinforcement Learning", Bellemare, Dabney and Munos, 2017.

    Args:
      support: (..., k), where probabilities lie; beyond the ends of `onto` they count as at these.
      probabilities: (..., k), floating point.
      onto: (m,), growing, two or more.

    Returns:
      (..., m), without gradient; it has the sum, and within the ends the mean, of the given distribution.

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit, or `onto` is known not to grow.

    >>> categorical_projection(jnp.array([0.25, 9.0]), jnp.array([0.5, 0.5]), jnp.array([0.0, 1.0, 2.0]))
    Array([0.375, 0.125, 0.5  ], dtype=float32)
    """
    for x in (support, probabilities, onto):
        checks.floats("categorical_projection", x)
    checks.same_shape("categorical_projection", support=support, probabilities=probabilities)
    if onto.ndim != 1 or onto.size < 2:
        found = checks.describe(onto)
        raise ValueError(f"categorical_projection: expected two values or more to project onto, (m,), found {found}.")
    growing("categorical_projection", "values to project onto", onto)
    atoms = wide(onto)
    places = jnp.clip(wide(support), atoms[0], atoms[-1])[..., None, :]
    column = lambda x: x.reshape((1,) * (places.ndim - 2) + (-1, 1))
    gaps = jnp.diff(atoms)
    # a hat over each atom, down to 0 at its neighbours; the ends have none on one side, and nothing lies there
    up, down = jnp.concatenate([gaps[:1], gaps]), jnp.concatenate([gaps, gaps[-1:]])
    offset = places - column(atoms)
    shares = jnp.clip(1 - jnp.where(offset < 0, -offset / column(up), offset / column(down)), 0, 1)
    return jax.lax.stop_gradient(jnp.einsum("...mk,...k->...m", shares, wide(probabilities)))


def quantile_regression_loss(quantiles: jax.Array, targets: jax.Array, *, delta: jax.Array | float = 1.0) -> jax.Array:
    """Quantile regression, QR-DQN's loss: Huberized errors, those below a quantile and above it weighed by its level.

    Quantile i of n has the level (i + 1/2) / n. The mean over targets, the sum over quantiles. See "Distributional
    Reinforcement Learning with Quantile Regression", Dabney et al., 2018.

    Args:
      quantiles: (..., n), floating point.
      targets: (..., m), samples or quantiles: `r + discount * next_quantiles`.
      delta: where errors become linear, above 0; kappa in the paper. Costs are divided by it.

    Returns:
      (...).

    Raises:
      TypeError: arrays are not floating point.
      ValueError: shapes do not fit, or delta <= 0.

    >>> quantile_regression_loss(jnp.array([[0.0]]), jnp.array([[3.0]]))
    Array([1.25], dtype=float32)
    """
    checks.floats("quantile_regression_loss", quantiles)
    checks.floats("quantile_regression_loss", targets)
    if quantiles.shape[:-1] != targets.shape[:-1]:
        found = f"{checks.describe(quantiles)} and {checks.describe(targets)}"
        raise ValueError(f"quantile_regression_loss: expected equal leading axes, found {found}.")
    error = jax.lax.stop_gradient(wide(targets))[..., None, :] - wide(quantiles)[..., :, None]
    n = quantiles.shape[-1]
    level = ((jnp.arange(n, dtype=error.dtype) + 0.5) / n).reshape((1,) * (error.ndim - 2) + (n, 1))
    weight = jnp.where(error < 0, 1 - level, level)
    costs = weight * huberized("quantile_regression_loss", error, delta) / delta
    return jnp.sum(jnp.mean(costs, axis=-1), axis=-1)
