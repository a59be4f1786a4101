"""Rearrangements of channels: among groups, and between channels and places. Images are (..., y, x, c).

Laws: each is a permutation of x's elements; `pixel_unshuffle` undoes `pixel_shuffle`, `space_to_depth` undoes
`depth_to_space`. The pixels of a block stand within each channel for the first two (as in torch: c y x), and each pixel
holds all channels for the other two (as in TensorFlow: y x c).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jnn import checks


def channel_shuffle(x: jax.Array, groups: int) -> jax.Array:
    """Channel shuffle: deals the channels of each group out to all groups, for the next grouped convolution to mix.

    See "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", Zhang et al., 2018.

    Args:
      x: (..., c), any dtype.
      groups: how many groups the channels fall into.

    Returns:
      x's shape and dtype.

    Raises:
      ValueError: groups do not divide the channels.

    >>> channel_shuffle(jax.numpy.arange(6), 2).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    checks.rank("channel_shuffle", x, 1)
    _divided("channel_shuffle", x, x.shape[-1], groups, "the number of groups", "channels")
    return x.reshape(*x.shape[:-1], groups, -1).swapaxes(-1, -2).reshape(x.shape)


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """Pixel shuffle, or sub-pixel convolution's second half: `scale` ** 2 channels become a block of pixels.

    See "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network",
    Shi et al., 2016.

    Args:
      x: (..., y, x, c * scale * scale), any dtype; channels in the order c, y, x.
      scale: by how much it enlarges.

    Returns:
      (..., y * scale, x * scale, c), in x's dtype.

    Raises:
      ValueError: scale ** 2 does not divide the channels; x has too few axes or is empty.

    >>> pixel_shuffle(jax.numpy.arange(4).reshape(1, 1, 4), 2).squeeze(-1).tolist()
    [[0, 1], [2, 3]]
    """
    return _to_space("pixel_shuffle", x, scale, (-1, scale, scale), (1, 2, 0))


def pixel_unshuffle(x: jax.Array, scale: int) -> jax.Array:
    """Pixel unshuffle: each block of pixels becomes `scale` ** 2 channels in the order c, y, x.

    Args:
      x: (..., y * scale, x * scale, c), any dtype.
      scale: the side of a block.

    Returns:
      (..., y, x, c * scale * scale), in x's dtype.

    Raises:
      ValueError: scale does not divide the spatial axes; x has too few axes or is empty.

    >>> pixel_unshuffle(jax.numpy.arange(4).reshape(2, 2, 1), 2).tolist()
    [[[0, 1, 2, 3]]]
    """
    return _to_depth("pixel_unshuffle", x, scale, (2, 0, 1))


def depth_to_space(x: jax.Array, scale: int) -> jax.Array:
    """Depth to space: as `pixel_shuffle`, of channels in the order y, x, c.

    Args, Returns, Raises: as `pixel_shuffle`.

    >>> depth_to_space(jax.numpy.arange(8).reshape(1, 1, 8), 2)[0, 0].tolist()
    [0, 1]
    """
    return _to_space("depth_to_space", x, scale, (scale, scale, -1), (0, 1, 2))


def space_to_depth(x: jax.Array, scale: int) -> jax.Array:
    """Space to depth: as `pixel_unshuffle`, into channels in the order y, x, c; `depth_to_space` undone.

    Args, Returns, Raises: as `pixel_unshuffle`.

    >>> space_to_depth(jax.numpy.arange(8).reshape(2, 2, 2), 2).tolist()
    [[[0, 1, 2, 3, 4, 5, 6, 7]]]
    """
    return _to_depth("space_to_depth", x, scale, (0, 1, 2))


def _to_space(layer: str, x: jax.Array, scale: int, depth: Sequence[int], order: tuple[int, int, int]) -> jax.Array:
    """Channels of this shape, in this order a block's y, x and c."""
    checks.rank(layer, x, 3)
    _divided(layer, x, x.shape[-1], scale * scale, "the size of a block", "channels")
    *leading, rows, columns, _ = x.shape
    n = len(leading)
    blocks = x.reshape(*leading, rows, columns, *depth)
    by, bx, c = (n + 2 + i for i in order)
    return blocks.transpose(*range(n), n, by, n + 1, bx, c).reshape(*leading, rows * scale, columns * scale, -1)


def _to_depth(layer: str, x: jax.Array, scale: int, order: tuple[int, int, int]) -> jax.Array:
    """A block's y, x and c in this order along the channels."""
    checks.rank(layer, x, 3)
    *leading, rows, columns, channels = x.shape
    for size in (rows, columns):
        _divided(layer, x, size, scale, "scale", "spatial axis")
    n = len(leading)
    blocks = x.reshape(*leading, rows // scale, scale, columns // scale, scale, channels)
    depth = [(n + 1, n + 3, n + 4)[i] for i in order]
    return blocks.transpose(*range(n), n, n + 2, *depth).reshape(*leading, rows // scale, columns // scale, -1)


def _divided(layer: str, x: jax.Array, size: int, by: int, what: str, of: str) -> None:
    if by < 1 or size % by:
        raise ValueError(f"{layer}: {what} {by} does not divide the {of} {size} of {checks.describe(x)}.")
