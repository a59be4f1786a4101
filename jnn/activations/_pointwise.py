"""Activations of one number at a time: x of any shape, floating point; the result has its shape and dtype."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.activations._saturating import elementwise
from jnn.precision import wide


def heaviside(x: jax.Array) -> jax.Array:
    """Heaviside step: 1 where x > 0, else 0, as the perceptron has it. Its gradient is zero everywhere.

    See "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    Rosenblatt, 1958.

    >>> heaviside(jnp.array([-1.0, 0.0, 2.0]))
    Array([0., 0., 1.], dtype=float32)
    """
    checks.floats("heaviside", x, ndim=0)
    return (x > 0).astype(x.dtype)


def threshold(x: jax.Array, limit: float, otherwise: float) -> jax.Array:
    """Threshold: x where x > limit, else the constant `otherwise`.

    >>> threshold(jnp.array([-1.0, 0.5, 2.0]), 1.0, -3.0)
    Array([-3., -3.,  2.], dtype=float32)
    """
    checks.floats("threshold", x, ndim=0)
    return jnp.where(x > limit, x, jnp.asarray(otherwise, x.dtype))


def hard_shrink(x: jax.Array, limit: float = 0.5) -> jax.Array:
    """Hard shrinkage: x where |x| > limit, else 0.

    See "Ideal Spatial Adaptation by Wavelet Shrinkage", Donoho and Johnstone, 1994.

    >>> hard_shrink(jnp.array([-1.0, 0.3, 2.0]))
    Array([-1.,  0.,  2.], dtype=float32)
    """
    checks.floats("hard_shrink", x, ndim=0)
    return jnp.where(jnp.abs(x) > limit, x, jnp.zeros((), x.dtype))


def soft_shrink(x: jax.Array, limit: float = 0.5) -> jax.Array:
    """Soft shrinkage: x moved towards 0 by `limit`, and 0 within it: the proximal map of the L1 norm.

    See "De-Noising by Soft-Thresholding", Donoho, 1995.

    >>> soft_shrink(jnp.array([-1.0, 0.25, 2.0]))
    Array([-0.5,  0. ,  1.5], dtype=float32)
    """
    checks.floats("soft_shrink", x, ndim=0)
    return jnp.where(jnp.abs(x) > limit, x - jnp.sign(x) * jnp.asarray(limit, x.dtype), jnp.zeros((), x.dtype))


def tanh_shrink(x: jax.Array) -> jax.Array:
    """Tanh shrinkage: x - tanh(x), about x³/3 near 0.

    >>> tanh_shrink(jnp.array([0.0, 10.0]))
    Array([0., 9.], dtype=float32)
    """
    checks.floats("tanh_shrink", x, ndim=0)
    return x - jnp.tanh(x)


def quick_gelu(x: jax.Array) -> jax.Array:
    """Quick GELU: x * sigmoid(1.702 x), the cheaper of GELU's approximations, and CLIP's activation.

    See "Gaussian Error Linear Units (GELUs)", Hendrycks and Gimpel, 2016.

    >>> quick_gelu(jnp.array([-10.0, 0.0, 10.0])).round(3).tolist()
    [-0.0, 0.0, 10.0]
    """
    checks.floats("quick_gelu", x, ndim=0)
    return _quick_gelu(x)


_quick_gelu = elementwise(lambda x: x * jax.nn.sigmoid(1.702 * x))


def snake(x: jax.Array, frequency: float = 1.0) -> jax.Array:
    """Snake: x + sin²(frequency x) / frequency, monotone, and periodic about its trend.

    See "Neural Networks Fail to Learn Periodic Functions and How to Fix It", Liu, Hartwig and Ueda, 2020.

    >>> bool(jnp.allclose(snake(jnp.array([0.0, jnp.pi])), jnp.array([0.0, jnp.pi])))
    True
    """
    checks.floats("snake", x, ndim=0)
    h = wide(x)
    most = jnp.finfo(h.dtype).max
    angle = jnp.clip(frequency * h, -most, most)  # the sine of infinity is NaN
    return (h + jnp.square(jnp.sin(angle)) / frequency).astype(x.dtype)
