"""Adaptive equalization: each place gets an even histogram of its surroundings, as far as a limit lets it."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jnn.data.augment._pixels import check_colors, from_unit
from jnn.data.augment._tone import levels_of


def clahe(x: jax.Array, *, tiles: tuple[int, int] = (8, 8), clip_limit: float = 4.0) -> jax.Array:
    """Contrast-limited adaptive histogram equalization (CLAHE): of each channel, tile by tile, blended between tiles.

    A tile's curve sends a colour to the share of its pixels that are no brighter, once what exceeds the limit has been
    spread over all colours. A pixel gets the blend of the four nearest tiles' curves. See "Contrast Limited Adaptive
    Histogram Equalization", Zuiderveld, 1994.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], for the histogram as the nearest of 256 colours.
      tiles: how many, down and to the right; images are mirrored at their lower right until tiles are of one size.
      clip_limit: the most pixels of one colour, as a multiple of the mean over 256 colours; positive.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], more tiles than pixels, or a limit out of range.

    >>> x = jnp.array([0, 50, 50, 51], jnp.uint8).reshape(1, 2, 2, 1)
    >>> jax.jit(partial(clahe, tiles=(1, 1), clip_limit=256))(x).ravel().tolist()
    [64, 191, 191, 255]
    """
    check_colors("clahe", x)
    b, height, width, c = x.shape
    if not (1 <= tiles[0] <= height and 1 <= tiles[1] <= width and 0 < clip_limit < np.inf):
        raise ValueError(
            f"clahe: expected from 1 to {height} x {width} tiles and a positive limit, found {tiles} and {clip_limit}."
        )
    levels = jnp.moveaxis(levels_of(x), -1, 1).reshape(b * c, height, width)
    even = jax.vmap(partial(_equalized, tiles=tiles, limit=clip_limit))(levels)
    return from_unit(jnp.moveaxis(even.reshape(b, c, height, width), 1, -1), x)


def _equalized(levels: jax.Array, *, tiles: tuple[int, int], limit: float) -> jax.Array:
    """One channel (y, x) of 256 colours, as shares from 0 to 1."""
    (height, width), (down, right) = levels.shape, tiles
    sides = -(-height // down), -(-width // right)
    pads = [(0, side * n - size) for side, n, size in zip(sides, tiles, levels.shape, strict=True)]
    cut = jnp.pad(levels, pads, mode="reflect").reshape(down, sides[0], right, sides[1])
    curves = jax.vmap(jax.vmap(partial(_curve, limit=limit)))(jnp.moveaxis(cut, 1, 2).reshape(down, right, -1))
    upper, lower, below = (a[:, None] for a in _between(height, sides[0], down))
    left, after, beside = (a[None, :] for a in _between(width, sides[1], right))
    of = lambda i, j: curves[i, j, levels]
    above = of(upper, left) * (1 - beside) + of(upper, after) * beside
    under = of(lower, left) * (1 - beside) + of(lower, after) * beside
    return above * (1 - below) + under * below


def _curve(levels: jax.Array, *, limit: float) -> jax.Array:
    """The new colour of each of 256, from the pixels (n,) of a tile."""
    counts = jnp.zeros(256).at[levels].add(1)
    clipped = jnp.minimum(counts, limit * levels.size / 256)
    return jnp.cumsum(clipped + (levels.size - clipped.sum()) / 256) / levels.size


def _between(size: int, side: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of an axis the tiles whose middles it lies between, and how far from the first it is."""
    at = np.clip((np.arange(size) + 0.5) / side - 0.5, 0, n - 1)
    first = np.floor(at).astype(np.int32)
    return first, np.minimum(first + 1, n - 1), (at - first).astype(np.float32)
