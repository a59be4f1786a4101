"""Self-supervised losses without negatives: two views agree, and something keeps them from collapsing.

    negative_cosine(predictions, targets)     BYOL and SimSiam: a predictor on one side, no gradient on the other
    barlow_twins(first, second)               features of the views correlate with themselves alone
    vicreg(first, second)                     variance, invariance, covariance
    dino_loss, update_center                  a teacher's centred and sharpened distribution

Laws: `barlow_twins` and `vicreg` speak of a batch's statistics: rows see each other, so under micro-batches each part
sees its own rows only; a row that `mask` leaves out costs 0 and is in no statistic, whatever it holds. What they say of
the batch as a whole every row says, so that the mean over rows is the paper's loss. All are finite, with gradients.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._embeddings import eye, positive, present, rows, unit
from jnn.precision import wide


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
      mask: (..., n), true or not 0 where a row is there. Micro-batches see their own rows only.

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
      mask: (..., n), true or not 0 where a row is there. Micro-batches see their own rows only.

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


def dino_loss(
    student: jax.Array,
    teacher: jax.Array,
    center: jax.Array,
    *,
    student_temperature: jax.Array | float = 0.1,
    teacher_temperature: jax.Array | float = 0.04,
) -> jax.Array:
    """DINO: cross-entropy of the student's distribution with the teacher's, which is centred and sharpened.

    See "Emerging Properties in Self-Supervised Vision Transformers", Caron et al., 2021.

    Args:
      student: (..., k), logits of one view, floating point.
      teacher: the same shape: logits of another view. No gradient goes there.
      center: (k,), the running mean of the teacher's logits: `update_center`.
      student_temperature, teacher_temperature: what logits are divided by.

    Returns:
      (...): one number per example.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes do not fit, or a temperature <= 0.

    >>> dino_loss(jnp.zeros((1, 2)), jnp.array([[3.0, 1.0]]), jnp.zeros(2))
    Array([0.6931472], dtype=float32)
    """
    checks.floats("dino_loss", student)
    checks.floats("dino_loss", teacher)
    checks.same_shape("dino_loss", student=student, teacher=teacher)
    _check_center("dino_loss", teacher, center)
    warm = positive("dino_loss", "student_temperature", student_temperature, wide(student))
    sharp = positive("dino_loss", "teacher_temperature", teacher_temperature, wide(teacher))
    centred = wide(teacher) - wide(center).reshape((1,) * (teacher.ndim - 1) + center.shape)
    targets = jax.lax.stop_gradient(jax.nn.softmax(centred / sharp, axis=-1))
    return -jnp.sum(targets * jax.nn.log_softmax(wide(student) / warm, axis=-1), axis=-1)


def update_center(
    center: jax.Array, teacher: jax.Array, *, momentum: jax.Array | float = 0.9, mask: jax.Array | None = None
) -> jax.Array:
    """DINO's centre after a batch: an exponential moving average of the mean of the teacher's logits.

    Args:
      center: (k,), in float32 at least.
      teacher: (..., k), logits of all views of a batch.
      momentum: the share of the old centre, in [0, 1].
      mask: (...), true or not 0 where a row is there. Of no rows the centre is as it was.

    Returns:
      (k,), without gradient.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes do not fit, or momentum outside [0, 1].

    >>> update_center(jnp.zeros(2), jnp.array([[1.0, 3.0], [3.0, 3.0]]), momentum=0.5)
    Array([1. , 1.5], dtype=float32)
    """
    checks.floats("update_center", teacher)
    _check_center("update_center", teacher, center)
    in_range = lambda m: (m >= 0) & (m <= 1)
    momentum = checks.number("update_center", "momentum", momentum, in_range, "in [0, 1]", like=wide(center))
    there = present("update_center", mask, teacher.shape[:-1])
    axes, count = tuple(range(teacher.ndim - 1)), jnp.sum(there)
    mean = jnp.sum(jnp.where(there[..., None], wide(teacher), 0), axis=axes) / jnp.maximum(count, 1)
    after = momentum * wide(center) + (1 - momentum) * mean
    return jax.lax.stop_gradient(jnp.where(count > 0, after, wide(center)))


def _check_center(name: str, teacher: jax.Array, center: jax.Array) -> None:
    checks.array(name, center, "center")
    if center.shape != teacher.shape[-1:]:
        raise ValueError(f"{name}: expected a center {teacher.shape[-1:]}, found {checks.describe(center)}.")
