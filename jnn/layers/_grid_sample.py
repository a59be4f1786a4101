"""Reading images between their pixels, at any places or where an affine map puts them. Images are (..., y, x, c).

Laws: on the grid of the identity it is the image; outside of the image there are zeros; places have gradients too.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.layers._spatial import one_batch_axis
from jnn.precision import wide


def grid_sample(x: jax.Array, grid: jax.Array, *, align_corners: bool = False) -> jax.Array:
    """Grid sampling: an image read, by bilinear interpolation, at places that are computed, such as by `affine_grid`.

    See "Spatial Transformer Networks", Jaderberg et al., 2015.

    Args:
      x: (..., y, x, c), floating point.
      grid: (..., *out, 2), where to read, along y and then x: -1 is the image's beginning, 1 its end. (torch's grids
        name x first: give `grid[..., ::-1]`.)
      align_corners: whether the image's ends are the centres of its first and last pixels, or else their outer borders.

    Returns:
      (..., *out, c), in x's dtype; zeros outside.

    Raises:
      TypeError: x or grid is not floating point.
      ValueError: their leading axes differ, grid's last axis is not 2, or one is empty.

    >>> x = jnp.array([[[1.0], [3.0]]])
    >>> grid_sample(x, jnp.array([[0.0, 0.0], [0.0, -0.5]])).squeeze(-1).tolist()
    [2.0, 1.0]
    """
    flat, leading = one_batch_axis("grid_sample", x, 2)
    checks.floats("grid_sample", grid)
    if grid.shape[-1] != 2 or grid.shape[: len(leading)] != leading or grid.ndim == len(leading):
        raise ValueError(
            f"grid_sample: expected a grid (..., *out, 2) with the leading axes {leading} of x {checks.describe(x)}, "
            f"found {checks.describe(grid)}."
        )
    at = wide(grid).reshape(flat.shape[0], -1, 2)
    size = np.asarray(flat.shape[1:3], at.dtype).reshape(1, 1, 2)
    at = (at + 1) * ((size - 1) / 2) if align_corners else (at + 1) * (size / 2) - 0.5
    out = grid.shape[len(leading) : -1]
    return sample(flat, at).reshape(*leading, *out, x.shape[-1]).astype(x.dtype)


def affine_grid(theta: jax.Array, size: Sequence[int], *, align_corners: bool = False) -> jax.Array:
    """Affine grid: where each pixel of an output reads that an affine map moves, for `grid_sample`.

    See "Spatial Transformer Networks", Jaderberg et al., 2015.

    Args:
      theta: (..., 2, 3), floating point: `place = theta[:, :2] @ (y, x) + theta[:, 2]`, in units where an image reaches
        from -1 to 1.
      size: (y, x) of the output.
      align_corners: as in `grid_sample`.

    Returns:
      (..., *size, 2), along y and then x, in theta's dtype.

    Raises:
      TypeError: theta is not floating point.
      ValueError: theta's last axes are not (2, 3), or size is not two sizes.

    >>> affine_grid(jnp.eye(2, 3), (1, 2))[0, :, 1].tolist()
    [-0.5, 0.5]
    """
    checks.floats("affine_grid", theta, ndim=2)
    if theta.shape[-2:] != (2, 3) or len(size) != 2 or min(size) < 1:
        raise ValueError(
            f"affine_grid: expected theta (..., 2, 3) and two sizes >= 1, found {checks.describe(theta)} and "
            f"{tuple(size)}."
        )
    ends = [1.0 if align_corners else 1 - 1 / n for n in size]
    lines = [np.linspace(-end, end, n) if n > 1 else np.zeros(1) for n, end in zip(size, ends, strict=True)]
    places = np.stack([*np.meshgrid(*lines, indexing="ij"), np.ones(tuple(size))], -1)
    h = wide(theta)
    return jnp.einsum("...ij,yxj->...yxi", h, jnp.asarray(places, h.dtype), precision="highest").astype(theta.dtype)


def sample(x: jax.Array, at: jax.Array) -> jax.Array:
    """x (b, y, x, c) interpolated at places (b, n, 2), in pixels along y and x: (b, n, c), in float32 at least."""
    size = x.shape[1:3]
    pixels = wide(x).reshape(x.shape[0], -1, x.shape[-1])
    limit = np.asarray(size, at.dtype).reshape(1, 1, 2)
    at = jnp.clip(at, -1, limit)  # one pixel outside all is zero, and farther away too
    first = jnp.floor(at)
    share = at - first
    total = jnp.zeros((*at.shape[:2], x.shape[-1]), pixels.dtype)
    for corner in np.ndindex(2, 2):
        place = first.astype(jnp.int32) + np.asarray(corner, np.int32).reshape(1, 1, 2)
        weight = jnp.prod(jnp.where(np.asarray(corner, bool).reshape(1, 1, 2), share, 1 - share), -1)
        weight = jnp.where(((place >= 0) & (place < limit)).all(-1), weight, 0)
        row, column = (jnp.clip(place[..., i], 0, size[i] - 1) for i in (0, 1))
        index = (row * size[1] + column)[..., None]
        total = total + weight[..., None] * jnp.take_along_axis(pixels, index, axis=1, mode="promise_in_bounds")
    return total
