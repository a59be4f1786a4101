"""Distillation: a student learns what a teacher says, or what it sees. No gradient goes to the teacher.

distillation_loss(student, teacher)          logits: softened distributions
hint_loss(student, teacher)                  features of one layer
attention_transfer_loss(student, teacher)    where in an image features are active
relation_distillation_loss(student, teacher) how alike the tokens of a sequence are
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._divergence import categorical_kl
from jnn.losses._inputs import masked, positive
from jnn.losses._regression import squared_error
from jnn.precision import wide
from jnn.vectors import unit


def distillation_loss(student: jax.Array, teacher: jax.Array, *, temperature: jax.Array | float = 2.0) -> jax.Array:
    """Knowledge distillation: the divergence KL(teacher || student) of softened distributions, times temperature^2.

    The factor keeps gradients as large as those of labels, beside which it is usually trained: `alpha * distillation +
    (1 - alpha) * cross_entropy`. See "Distilling the Knowledge in a Neural Network", Hinton, Vinyals and Dean, 2015.

    Args:
      student: (..., classes), logits, floating point.
      teacher: the same shape.
      temperature: what logits are divided by.

    Returns:
      (...): one number per example, 0 where the two agree.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes differ, or temperature <= 0.

    >>> distillation_loss(jnp.array([[0.0, 0.0]]), jnp.array([[100.0, 0.0]]), temperature=1.0)
    Array([0.6931472], dtype=float32)
    """
    _check("distillation_loss", student, teacher, 1)
    temperature = positive("distillation_loss", "temperature", temperature, wide(student))
    soft = jax.lax.stop_gradient(wide(teacher) / temperature)
    # a class masked by -inf costs nothing: on both sides, for 0 * inf is nan
    return temperature**2 * categorical_kl(soft, wide(student) / temperature)


def hint_loss(student: jax.Array, teacher: jax.Array) -> jax.Array:
    """Hint loss, feature distillation: the mean squared error of the student's features, mapped to the teacher's size.

    See "FitNets: Hints for Thin Deep Nets", Romero et al., 2015.

    Args:
      student: (..., features), floating point.
      teacher: the same shape.

    Returns:
      (...): the mean over features.

    Raises:
      TypeError: features are not floating point.
      ValueError: shapes differ.

    >>> hint_loss(jnp.array([[1.0, 2.0]]), jnp.zeros((1, 2)))
    Array([2.5], dtype=float32)
    """
    _check("hint_loss", student, teacher, 1)
    return squared_error(student, jax.lax.stop_gradient(teacher))


def attention_transfer_loss(student: jax.Array, teacher: jax.Array) -> jax.Array:
    """Attention transfer: the mean squared difference of normalized maps of activity, the mean square over channels.

    See "Paying More Attention to Attention: Improving the Performance of Convolutional Neural Networks via Attention
    Transfer", Zagoruyko and Komodakis, 2017; the mean over places as in the authors' code.

    Args:
      student: (..., y, x, channels), floating point.
      teacher: (..., y, x, other channels).

    Returns:
      (...): one number per image.

    Raises:
      TypeError: features are not floating point.
      ValueError: sizes of images differ.

    >>> attention_transfer_loss(jnp.ones((1, 1, 2, 3)), jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)).round(4)
    Array([0.2929], dtype=float32)
    """
    _check("attention_transfer_loss", student, teacher, 3)
    gap = _activity(student) - jax.lax.stop_gradient(_activity(teacher))
    return jnp.mean(jnp.square(gap), axis=-1)


def relation_distillation_loss(student: jax.Array, teacher: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Relation distillation: KL(teacher || student) of what each token attends to, of queries, keys or values alone.

    A relation is `softmax(x @ x.T / sqrt(size))` of each head; the loss of MiniLM is the sum of three: of queries, of
    keys and of values of one layer. Widths may differ, heads may not: cut both into as many. See "MiniLMv2: Multi-Head
    Self-Attention Relation Distillation for Compressing Pretrained Transformers", Wang et al., 2021.

    Args:
      student: (..., time, heads, size), floating point.
      teacher: (..., time, heads, other size).
      mask: (..., time), true or not 0 for tokens that are there; all by default.

    Returns:
      (..., time): the mean over heads, one number per token; 0 where masked.

    Raises:
      TypeError: features are not floating point.
      ValueError: times or heads differ, or the mask's shape.

    >>> relation_distillation_loss(jnp.ones((2, 1, 3)), 2 * jnp.ones((2, 1, 5)))
    Array([0., 0.], dtype=float32)
    """
    name = "relation_distillation_loss"
    checks.floats(name, student, ndim=3)
    checks.floats(name, teacher, ndim=3)
    if student.shape[:-1] != teacher.shape[:-1]:
        found = f"{checks.describe(student)} and {checks.describe(teacher)}"
        raise ValueError(f"{name}: expected as many tokens and heads of both, whatever their sizes, found {found}.")
    there = jnp.ones(student.shape[:-2], bool) if mask is None else masked(name, mask, student.shape[:-2])
    clean = lambda x: jnp.where(there[..., None, None], x, 0)  # whatever a token that is not there holds
    of = lambda x: jnp.where(there[..., None, None, :], _relations(clean(x)), -1e9)  # (..., h, t, s)
    values = categorical_kl(jax.lax.stop_gradient(of(teacher)), of(student)).mean(-2)
    return jnp.where(there, values, 0)


def _relations(x: jax.Array) -> jax.Array:
    """(..., t, h, k) -> (..., h, t, s)."""
    return jnp.einsum("...thk,...shk->...hts", wide(x), wide(x)) / math.sqrt(x.shape[-1])


def _activity(x: jax.Array) -> jax.Array:
    """(..., y, x, c) -> (..., y x), of length 1."""
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(wide(x)), axis=(-3, -2, -1), keepdims=True))  # so that squares fit
    active = jnp.mean(jnp.square(wide(x) / jnp.where(size > 0, size, 1)), axis=-1)
    return unit(active.reshape(*x.shape[:-3], -1))


def _check(name: str, student: jax.Array, teacher: jax.Array, ndim: int) -> None:
    checks.floats(name, student, ndim=ndim)
    checks.floats(name, teacher, ndim=ndim)
    if ndim == 1:
        checks.same_shape(name, student=student, teacher=teacher)
    elif student.shape[:-1] != teacher.shape[:-1]:
        found = f"{checks.describe(student)} and {checks.describe(teacher)}"
        raise ValueError(f"{name}: expected images of one size, whatever their channels, found {found}.")
