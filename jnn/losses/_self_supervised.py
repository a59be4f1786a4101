"""Self-supervised losses without negatives: two views agree, and something keeps them from collapsing.

    negative_cosine(predictions, targets)     BYOL and SimSiam: a predictor on one side, no gradient on the other
    barlow_twins(first, second)               features of the views correlate with themselves alone
    vicreg(first, second)                     variance, invariance, covariance

Laws: `barlow_twins` and `vicreg` speak of a batch's statistics: rows see each other, so under micro-batches each part
sees its own rows only; a row that `mask` leaves out costs 0 and is in no statistic, whatever it holds. What they say of
the batch as a whole every row says, so that the mean over rows is the paper's loss. Finite, with gradients:
`negative_cosine` for embeddings of any length, the others while fourth powers are (1e9 in float32).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._embeddings import eye, rows
from jnn.losses._inputs import positive
from jnn.vectors import unit


def negative_cosine(predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Negative cosine similarity, the loss of BYOL and SimSiam: targets are taken as they are (stop-gradient).

    BYOL's 2 - 2 cosine is twice this, plus 2. Both add the same with the views exchanged.
    See "Exploring Simple Siamese Representation Learning", Chen and He, 2020; "Bootstrap Your Own Latent", Grill et
    al., 2020.

    Args:
      predictions: (..., d), floating point: of one view, behind the predictor.
      targets: the same shape: of the other view, before it. No gradient goes there.

    Returns:
      (...): from -1, of one direction, to 1; 0 where either is 0.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes differ.

    >>> negative_cosine(jnp.array([[2.0, 0.0]]), jnp.array([[3.0, 4.0]]))
    Array([-0.6], dtype=float32)
    """
    checks.floats("negative_cosine", predictions)
    checks.floats("negative_cosine", targets)
    checks.same_shape("negative_cosine", predictions=predictions, targets=targets)
    return -jnp.sum(unit(predictions) * jax.lax.stop_gradient(unit(targets)), axis=-1)


def barlow_twins(
    first: jax.Array,
    second: jax.Array,
    *,
    redundancy: jax.Array | float = 0.005,
    eps: float = 1e-5,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Barlow Twins: how far the cross-correlation of two views' features is from the identity.

    See "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", Zbontar et al., 2021.

    Args:
      first, second: (..., n, d), floating point, the two views of each row.
      redundancy: the weight of what lies off the diagonal.
      eps: added to variances.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is in the statistics
        of the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): the batch's loss, of every row; 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, or redundancy <= 0.

    >>> x = jnp.array([[1.0], [-1.0]])
    >>> barlow_twins(x, -x, eps=0.0)
    Array([4., 4.], dtype=float32)
    """
    there, a, b = rows("barlow_twins", mask, first=first, second=second)
    redundancy = positive("barlow_twins", "redundancy", redundancy, a)
    count = jnp.maximum(jnp.sum(there, axis=-1), 1).astype(a.dtype)[..., None, None]
    a, b = (_centred(x, there, count) for x in (a, b))
    a, b = (x / jnp.sqrt(jnp.sum(jnp.square(x), axis=-2, keepdims=True) / count + eps) for x in (a, b))
    correlation = jnp.einsum("...nd,...ne->...de", a, b) / count
    costs = jnp.where(eye(correlation), jnp.square(1 - correlation), redundancy * jnp.square(correlation))
    return jnp.where(there, jnp.sum(costs, axis=(-2, -1))[..., None], 0)


def vicreg(
    first: jax.Array,
    second: jax.Array,
    *,
    invariance: jax.Array | float = 25.0,
    variance: jax.Array | float = 25.0,
    covariance: jax.Array | float = 1.0,
    eps: float = 1e-4,
    mask: jax.Array | None = None,
) -> jax.Array:
    """VICReg: views agree, features vary by 1 at least, and do not covary.

    See "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning", Bardes, Ponce and LeCun,
    2022; as in its authors' code, the variance term is the mean of the two views', the covariance term their sum.

    Args:
      first, second: (..., n, d), floating point, the two views of each row.
      invariance, variance, covariance: the weights of the three terms.
      eps: added to variances.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is in the statistics
        of the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): a row's own squared error, plus what the batch as a whole pays; 0 where masked.

    Raises:
      TypeError: embeddings are not floating point.
      ValueError: shapes do not fit, or a weight <= 0.

    >>> x = jnp.array([[1.0], [-1.0]])
    >>> vicreg(x, x)
    Array([0., 0.], dtype=float32)
    """
    there, a, b = rows("vicreg", mask, first=first, second=second)
    weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
    invariance, variance, covariance = (positive("vicreg", name, w, a) for name, w in weights.items())
    of_batch = sum(
        variance * spread / 2 + covariance * shared for spread, shared in (_spread(x, there, eps) for x in (a, b))
    )
    values = invariance * jnp.mean(jnp.square(a - b), axis=-1) + jnp.expand_dims(of_batch, -1)
    return jnp.where(there, values, 0)


def _spread(x: jax.Array, there: jax.Array, eps: float) -> tuple[jax.Array, jax.Array]:
    """By how much deviations are below 1, and the squared covariances of features, each a mean over features."""
    count = jnp.sum(there, axis=-1).astype(x.dtype)[..., None, None]
    x = _centred(x, there, jnp.maximum(count, 1))
    covariance = jnp.einsum("...nd,...ne->...de", x, x) / jnp.maximum(count - 1, 1)
    deviation = jnp.sqrt(jnp.diagonal(covariance, axis1=-2, axis2=-1) + eps)
    shared = jnp.sum(jnp.where(eye(covariance), 0, jnp.square(covariance)), axis=(-2, -1)) / x.shape[-1]
    return jnp.mean(jax.nn.relu(1 - deviation), axis=-1), shared


def _centred(x: jax.Array, there: jax.Array, count: jax.Array) -> jax.Array:
    """x minus its mean over the rows that are there; the others, which are 0, stay so."""
    return jnp.where(there[..., None], x - jnp.sum(x, axis=-2, keepdims=True) / count, 0)
