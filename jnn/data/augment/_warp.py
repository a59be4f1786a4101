"""Affine and projective maps of images: each pixel of the result is read from where a matrix points in the input.

    affine_matrix(size, ...) -> matrices (b, 2, 3)     rotate, translate, scale, shear about the centre
    warp(x, matrices) -> images                        (y, x) of the input = matrix @ (y, x, 1) of the result
    read_at(x, at_y, at_x) -> images                   the same, of places given one by one

Laws: the identity matrix is the identity, bit for bit; a rotation by 90 degrees is `rot90`; a pixel
read from outside is `fill`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.data.augment._pixels import Amount, check_blendable, check_fill, check_images, restore


def affine_matrix(
    size: tuple[int, int],
    *,
    degrees: Amount = 0.0,
    translate: tuple[Amount, Amount] = (0.0, 0.0),
    scale: Amount = 1.0,
    shear: tuple[Amount, Amount] = (0.0, 0.0),
) -> jax.Array:
    """Affine matrices for `warp`: they scale, shear and rotate an image about its centre, then move it.

    Each amount is one number, or one for each image (b,).

    Args:
      size: height and width in pixels.
      degrees: counter-clockwise.
      translate: pixels down and to the right.
      scale: greater than 1 enlarges what is seen.
      shear: pixels down per pixel to the right, and to the right per pixel down.

    Returns:
      (b, 2, 3) float32, or (2, 3) where every amount is one number.

    Raises:
      ValueError: a scale that is not positive, or shears with a product of 1 or more (a mirror image).

    >>> affine_matrix((3, 3), translate=(1.0, 0.0)).tolist()
    [[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    """
    angle, scale, down, right = (jnp.asarray(a, jnp.float32) for a in (degrees, scale, *shear))
    cos, sin = jnp.cos(jnp.deg2rad(angle)), jnp.sin(jnp.deg2rad(angle))
    area = 1 - down * right
    _check_invertible(scale, area)
    # the input's place of a pixel: the inverse of scale * rotation @ shear, entry by entry in (y, x)
    inverse = [[cos + sin * down, sin - cos * down], [0 - sin - cos * right, cos - sin * right]]
    shape = jnp.broadcast_shapes(*(jnp.shape(a) for a in (angle, scale, down, right, *translate)))
    center = [(n - 1) / 2 for n in size]
    rows = []
    for entries, middle in zip(inverse, center, strict=True):
        y, x = (entry / (area * scale) for entry in entries)
        offset = middle - y * (center[0] + translate[0]) - x * (center[1] + translate[1])
        rows.append(jnp.stack([jnp.broadcast_to(a, shape) for a in (y, x, offset)], -1))
    return jnp.stack(rows, -2)


def warp(x: jax.Array, matrices: jax.Array, *, method: str = "bilinear", fill: float = 0.0) -> jax.Array:
    """Affine or projective warp: images read at affine places of other images, or at those of a perspective.

    Args:
      x: (b, y, x, c), floating point, or integers: of 8 or 16 bits where bilinear, any where nearest.
      matrices: (b, 2, 3), or (2, 3) for all images: (y, x) of the input is matrix @ (y, x, 1) of the result. Or
        (b, 3, 3) or (3, 3), where a third row is what both are divided by; what it makes 0 or less lies outside.
      method: "bilinear", or "nearest" (which invents no value: for masks).
      fill: what lies outside of the images, in their units.

    Returns:
      x's shape and dtype; integers are rounded.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, other matrices or method, a fill that x cannot hold.

    >>> x = jnp.arange(4, dtype=jnp.uint8).reshape(1, 2, 2, 1)
    >>> warp(x, affine_matrix((2, 2), degrees=90)).ravel().tolist()
    [1, 3, 0, 2]
    """
    check_images("warp", x)
    check_method("warp", x, method, fill)
    b, height, width, _ = x.shape
    rows = matrices.shape[-2] if matrices.ndim > 1 else 0
    if rows not in (2, 3) or matrices.shape not in [(rows, 3), (b, rows, 3)]:
        raise ValueError(
            f"warp: expected matrices (2, 3) or ({b}, 2, 3), found {checks.describe(matrices)}. A perspective has "
            "three rows of 3."
        )
    m = jnp.broadcast_to(matrices.astype(jnp.float32), (b, rows, 3))[..., None, None]
    down, right = jnp.arange(height, dtype=jnp.float32)[:, None], jnp.arange(width, dtype=jnp.float32)[None, :]
    # products, not an einsum: an accelerator would round the places to bfloat16
    places = [m[:, i, 0] * down[None] + m[:, i, 1] * right[None] + m[:, i, 2] for i in range(rows)]
    if rows == 3:
        *places, depth = places
        seen = depth > 0
        places = [jnp.where(seen, place / jnp.where(seen, depth, 1), -1) for place in places]
    return read_at(x, *places, method=method, fill=fill)


def read_at(x: jax.Array, at_y: jax.Array, at_x: jax.Array, *, method: str, fill: float) -> jax.Array:
    """Images read at places (b, y, x) of other images; what lies outside of these is `fill`."""
    # a frame of `fill` stands for all that lies outside: places are clipped to it
    at_y, at_x = jnp.clip(at_y, -1, x.shape[1]), jnp.clip(at_x, -1, x.shape[2])
    read = _reader(x, fill)
    if method == "nearest":
        # not `round`, which sends neighbouring halves to the same even pixel
        return read(jnp.floor(at_y + 0.5), jnp.floor(at_x + 0.5))
    top, left = jnp.floor(at_y), jnp.floor(at_x)
    down, right = (at_y - top)[..., None], (at_x - left)[..., None]
    upper = read(top, left) * (1 - right) + read(top, left + 1) * right
    lower = read(top + 1, left) * (1 - right) + read(top + 1, left + 1) * right
    return restore(upper * (1 - down) + lower * down, x)


def check_method(name: str, x: jax.Array, method: str, fill: float) -> None:
    """Raises unless images can be interpolated so."""
    if method not in ("bilinear", "nearest"):
        raise ValueError(f"{name}: method is 'bilinear' or 'nearest', found {method!r}.")
    if method == "bilinear":
        check_blendable(name, x, ", or method='nearest'")
    elif not jnp.issubdtype(x.dtype, jnp.integer) and not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected integers or floating point, found {checks.describe(x)}.")
    check_fill(name, x, fill)


def _reader(x: jax.Array, fill: float) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """`read(y, x)`: the pixels at whole places (b, y, x), from -1 to one beyond the size."""
    b, height, width, c = x.shape
    framed = jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)), constant_values=np.asarray(fill, x.dtype))
    flat = framed.reshape(b, (height + 3) * (width + 3), c)

    def read(y: jax.Array, x: jax.Array) -> jax.Array:
        index = (y.astype(jnp.int32) + 1) * (width + 3) + x.astype(jnp.int32) + 1
        return jax.vmap(lambda image, at: image.at[at].get(mode="clip"))(flat, index)

    return read


def _check_invertible(scale: jax.Array, area: jax.Array) -> None:
    """Raises for concrete amounts that fold the image flat. Under `jit` values are unknown."""
    for a in (scale, area):
        if not isinstance(a, jax.core.Tracer) and not (np.asarray(a) > 0).all():
            raise ValueError(
                "affine_matrix: expected a positive scale, and shears with a product below 1; "
                f"found scale {np.asarray(scale)}, 1 - product {np.asarray(area)}."
            )
