"""DINO: a student says what its own average, the teacher, makes of another view; a running centre prevents collapse."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import asked, masked, positive
from jnn.precision import wide


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
    return -jnp.sum(targets * asked(targets, jax.nn.log_softmax(wide(student) / warm, axis=-1)), axis=-1)


def update_center(
    center: jax.Array, teacher: jax.Array, *, momentum: jax.Array | float = 0.9, mask: jax.Array | None = None
) -> jax.Array:
    """DINO's centre after a batch: an exponential moving average of the mean of the teacher's logits.

    See "Emerging Properties in Self-Supervised Vision Transformers", Caron et al., 2021.

    Args:
      center: (k,), in float32 at least.
      teacher: (..., k), logits of all views of a batch.
      momentum: the share of the old centre, in [0, 1].
      mask: (...), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding is in the mean. Of no
        rows the centre is as it was.

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
    there = masked("update_center", mask, teacher.shape[:-1])
    axes, count = tuple(range(teacher.ndim - 1)), jnp.sum(there)
    mean = jnp.sum(jnp.where(there[..., None], wide(teacher), 0), axis=axes) / jnp.maximum(count, 1)
    after = momentum * wide(center) + (1 - momentum) * mean
    return jax.lax.stop_gradient(jnp.where(count > 0, after, wide(center)))


def _check_center(name: str, teacher: jax.Array, center: jax.Array) -> None:
    checks.array(name, center, "center")
    if center.shape != teacher.shape[-1:]:
        raise ValueError(f"{name}: expected a center {teacher.shape[-1:]}, found {checks.describe(center)}.")
