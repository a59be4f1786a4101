"""Perspectives: matrices for `warp` that put the corners of an image elsewhere, and random ones.

Laws: corners at their own places are the identity; straight lines stay straight.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.data.augment._pixels import check_bound, check_images
from jnn.data.augment._warp import check_method, warp
from jnn.param import check_key

SMALLEST_TURN = 1e-6  # its sine, which rounding to float32 may leave of a straight line


def perspective_matrix(size: tuple[int, int], corners: jax.Array) -> jax.Array:
    """Perspective matrices for `warp`: they put an image's four corners at these places of the result.

    See "Fundamentals of Texture Mapping and Image Warping", Heckbert, 1989.

    Args:
      size: height and width in pixels, 2 or more.
      corners: (b, 4, 2), or (4, 2): (y, x) in pixels of the top left, top right, bottom right and bottom left corner,
        floating point; no three of them on a line.

    Returns:
      (b, 3, 3) float32, or (3, 3); NaN where three corners are on a line that values do not show: under `jit`.

    Raises:
      TypeError: corners are not floating point.
      ValueError: corners of another shape, three of them known to be on a line, or an image of a single row or column.

    >>> twice = perspective_matrix((3, 3), jnp.array([[0.0, 0.0], [0.0, 4.0], [4.0, 4.0], [4.0, 0.0]]))
    >>> bool(jnp.allclose(twice, jnp.diag(jnp.array([0.5, 0.5, 1.0]))))
    True
    """
    checks.floats("perspective_matrix", corners, ndim=2)
    if corners.shape[-2:] != (4, 2) or corners.ndim > 3 or min(size) < 2:
        raise ValueError(
            "perspective_matrix: expected corners (4, 2) or (b, 4, 2) and an image of two pixels or more a side, "
            f"found {checks.describe(corners)} and {size[0]} x {size[1]}."
        )
    if not isinstance(corners, jax.core.Tracer) and not _bent(np.asarray(corners, np.float32)).all():
        raise ValueError(
            "perspective_matrix: expected corners of which no three are on a line, found "
            f"{np.asarray(corners).tolist()}. Move one of them."
        )
    corners = corners.astype(jnp.float32)
    return jnp.where(_bent(corners)[..., None, None], _matrix(size, corners), jnp.nan)


def _bent(corners: Any) -> Any:
    """Whether no three of four corners are on a line: each side turns from the one before, by more than rounding."""
    sides = corners[..., np.array([1, 2, 3, 0]), :] - corners
    after = sides[..., np.array([1, 2, 3, 0]), :]
    turn = _det(sides, after)[..., 0]
    return (turn**2 > SMALLEST_TURN**2 * (sides**2).sum(-1) * (after**2).sum(-1)).all(-1)


def _det(a: Any, b: Any) -> Any:
    return a[..., :1] * b[..., 1:] - a[..., 1:] * b[..., :1]


def _matrix(size: tuple[int, int], corners: jax.Array) -> jax.Array:
    zero, right, opposite, down = (corners[..., i, :] for i in range(4))
    u, v, bend = right - opposite, down - opposite, zero - right + opposite - down
    along, across = _det(bend, v) / _det(u, v), _det(u, bend) / _det(u, v)
    # of the unit square: where a step down leads, a step to the right, and where its top left corner lies
    columns = [
        jnp.concatenate([down - zero + across * down, across], -1),
        jnp.concatenate([right - zero + along * right, along], -1),
        jnp.concatenate([zero, jnp.ones_like(zero[..., :1])], -1),
    ]
    # the inverse of that map: its columns' cross products over its determinant
    crossed = [jnp.cross(columns[1], columns[2]), jnp.cross(columns[2], columns[0]), jnp.cross(columns[0], columns[1])]
    volume = jnp.sum(columns[0] * crossed[0], -1, keepdims=True)
    scale = (size[0] - 1, size[1] - 1, 1)
    return jnp.stack([row / volume * n for row, n in zip(crossed, scale, strict=True)], -2)


def random_perspective(
    x: jax.Array, distortion: float, *, key: jax.Array | None, method: str = "bilinear", fill: float = 0.0
) -> jax.Array:
    """Random perspective: every image seen from aside; each corner moves inwards by an amount drawn evenly.

    Args:
      x: (b, y, x, c), floating point, or integers as for `warp`; two pixels or more a side.
      distortion: how far a corner may move towards the middle along each axis, from 0 to 0.66; beyond, images fold.
      key: a PRNG key, or None for no augmentation.
      method, fill: as for `warp`.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, a distortion out of range, or method and fill as for `warp`.

    >>> jax.jit(lambda x, key: random_perspective(x, 0.5, key=key))(jnp.ones((2, 5, 5, 1)), jax.random.key(0)).shape
    (2, 5, 5, 1)
    """
    check_images("random_perspective", x)
    check_method("random_perspective", x, method, fill)
    check_bound("random_perspective", "distortion", distortion, 0.66)
    check_key("random_perspective", key, optional=True)
    if key is None:
        return x
    size = (x.shape[1], x.shape[2])
    still = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])[None]
    moved = jax.random.uniform(key, (x.shape[0], 4, 2), maxval=distortion / 2) * (1 - 2 * still)
    corners = (still + moved) * (np.array(size) - 1).reshape(1, 1, 2)
    return warp(x, _matrix(size, corners), method=method, fill=fill)
