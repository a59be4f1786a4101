"""Rectangles by area and shape, and intervals as masks: what cropping, erasing and masking share."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

_TRIES = 10  # of a window that fits, as in the reference implementations of Inception's crop


def interval(start: jax.Array, stop: jax.Array, n: int) -> jax.Array:
    """True at positions start..stop-1 of 0..n-1: from (...) to (..., n)."""
    place = jnp.arange(n).reshape((1,) * start.ndim + (n,))
    return (place >= start[..., None]) & (place < stop[..., None])


def rectangle(top: jax.Array, bottom: jax.Array, left: jax.Array, right: jax.Array, size: tuple[int, int]) -> jax.Array:
    """True within each image's rectangle: from (b,) to (b, y, x, 1)."""
    rows, columns = interval(top, bottom, size[0]), interval(left, right, size[1])
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def draw_window(
    key: jax.Array, b: int, size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float]
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Top, left, height and width of b windows, float32 (b,).

    A share of the area is drawn evenly, the ratio of width to height evenly in its logarithm, ten
    times, and the first pair that fits into the image is taken. Where none fits, the window is the
    central one that is as large as the nearest permitted ratio lets it be.
    """
    keys = jax.random.split(key, 4)
    share = jax.random.uniform(keys[0], (b, _TRIES), minval=area[0], maxval=area[1]) * size[0] * size[1]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = jnp.exp(jax.random.uniform(keys[1], (b, _TRIES), minval=low, maxval=high))
    heights, widths = jnp.sqrt(share / aspect), jnp.sqrt(share * aspect)
    fits = (heights <= size[0]) & (widths <= size[1])
    nearest = min(max(size[1] / size[0], ratio[0]), ratio[1])
    largest = (min(size[0], size[1] / nearest), min(size[1], size[0] * nearest))
    found, first = fits.any(1), fits.argmax(1)[:, None]
    take = lambda tries, other: jnp.where(found, jnp.take_along_axis(tries, first, 1)[:, 0], other)
    height, width = take(heights, largest[0]), take(widths, largest[1])
    place = lambda k, free: jnp.where(found, jax.random.uniform(k, (b,)), 0.5) * jnp.maximum(free, 0)
    return place(keys[2], size[0] - height), place(keys[3], size[1] - width), height, width
