"""Lovasz losses of segmentation: the convex extension of the Jaccard loss, which is that of sets of wrong pixels.

    lovasz_hinge(logits, targets)       one region
    lovasz_softmax(logits, labels)      the mean over the classes of an image

Images are (..., *spatial), with `spatial` axes, as for `dice_loss`; one number per image. An image costs a sort of its
pixels. What is out of range is an error where known, and NaN under `jit`.
See "The Lovasz-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in
neural networks", Berman et al., 2018.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._inputs import one_of, pixels, scored, yes_no


def lovasz_hinge(
    logits: jax.Array, targets: jax.Array, *, mask: jax.Array | None = None, spatial: int = 2
) -> jax.Array:
    """Lovasz hinge: the convex extension of the Jaccard loss of one region, by the hinge losses of its pixels.

    See "The Lovasz-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in
    neural networks", Berman et al., 2018.

    Args:
      logits: (..., *spatial), floating point: positive where the region is.
      targets: the same shape; 0 and 1, of any dtype.
      mask: the same shape, or None.
      spatial: how many spatial axes there are.

    Returns:
      (...): one number per image.

    Raises:
      TypeError: logits are not floating point.
      ValueError: shapes differ, or targets known to be neither 0 nor 1.

    >>> lovasz_hinge(jnp.array([3.0, -2.0, 0.5]), jnp.array([1, 0, 0]), spatial=1)
    Array(0.75, dtype=float32)
    """
    checks.pair("lovasz_hinge", logits, targets)
    there = pixels("lovasz_hinge", mask, logits, spatial)
    logits, signs = yes_no("lovasz_hinge", logits, jnp.where(there, targets, 0))
    errors = jnp.where(there, 1 - logits * signs, 0.0)
    flat = lambda x: x.reshape(*x.shape[: x.ndim - spatial], -1)
    return _lovasz(flat(jax.nn.relu(errors)), flat(there & (signs > 0)))


def lovasz_softmax(
    logits: jax.Array, labels: jax.Array, *, mask: jax.Array | None = None, spatial: int = 2
) -> jax.Array:
    """Lovasz-softmax: the convex extension of the Jaccard loss of each class, by the errors of its probabilities.

    See "The Lovasz-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in
    neural networks", Berman et al., 2018.

    Args:
      logits: (..., *spatial, classes), floating point.
      labels: (..., *spatial), integers in 0..classes-1; anything where the mask is 0.
      mask: (..., *spatial), or None.
      spatial: how many spatial axes there are.

    Returns:
      (...): the mean over the classes that the image has.

    Raises:
      TypeError: logits are not floating point, or labels not integers.
      ValueError: shapes do not fit, or labels known to be out of range.

    >>> lovasz_softmax(jnp.zeros((2, 2)), jnp.array([0, 0]), spatial=1)
    Array(0.5, dtype=float32)
    """
    scored("lovasz_softmax", logits, labels)
    there = pixels("lovasz_softmax", mask, labels, spatial)
    logits, own = one_of("lovasz_softmax", logits, jnp.where(there, labels, 0).astype(labels.dtype))
    known = jnp.any(own, axis=-1, keepdims=True)
    errors = jnp.where(known, jnp.abs(own - jax.nn.softmax(logits, axis=-1)), jnp.nan)
    columns = lambda x: jnp.moveaxis(x.reshape(*x.shape[: x.ndim - spatial - 1], -1, x.shape[-1]), -1, -2)
    errors, own = (columns(jnp.where(there[..., None], x, 0)) for x in (errors, own))
    present = jnp.any(own, axis=-1)
    values = jnp.where(present, _lovasz(errors, own != 0), 0.0)
    return jnp.sum(values, axis=-1) / jnp.maximum(jnp.sum(present, axis=-1), 1)


def _lovasz(errors: jax.Array, true: jax.Array) -> jax.Array:
    """The Lovasz extension of the Jaccard loss of a set of wrong pixels, at errors (..., pixels) >= 0."""
    order = jnp.argsort(-jax.lax.stop_gradient(errors), axis=-1)
    errors, hit = (jnp.take_along_axis(x, order, axis=-1) for x in (errors, true.astype(errors.dtype)))
    total = jnp.sum(hit, axis=-1, keepdims=True)
    # after the first i errors: what is left of the region, and its union with what is falsely predicted
    intersection, union = total - jnp.cumsum(hit, axis=-1), total + jnp.cumsum(1 - hit, axis=-1)
    loss = 1 - intersection / jnp.maximum(union, 1)
    steps = jnp.diff(loss, axis=-1, prepend=jnp.zeros_like(loss[..., :1]))
    return jnp.sum(errors * steps, axis=-1)
