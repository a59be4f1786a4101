"""Queries, keys and values for the kernels of attention, its answer and gradients."""

import functools

import jax
import jax.numpy as jnp

from jnn.layers import dot_product_attention


def normal(t, s, h, g, size, *leading, dtype=jnp.float32):
    shapes = [(*leading, t, h, size), (*leading, s, g, size), (*leading, s, g, size)]
    return [jax.random.normal(jax.random.key(i), shape, dtype) for i, shape in enumerate(shapes)]


def value_and_gradients(*args, **how):
    """The answer, and gradients of something uneven in it."""
    y, back = jax.vjp(functools.partial(dot_product_attention, **how), *args)
    return y, *back(jnp.cos(3 * y))


S = jax.ShapeDtypeStruct
Q, K = S((2, 256, 4, 64), jnp.bfloat16), S((2, 256, 2, 64), jnp.bfloat16)
