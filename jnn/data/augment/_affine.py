"""Random rotations and affine maps: amounts drawn evenly for every image, then one `warp`."""

from __future__ import annotations

import jax

from jnn.data.augment._pixels import check_bound, check_images, check_range
from jnn.data.augment._warp import affine_matrix, check_method, warp
from jnn.param import check_key


def random_rotate(
    x: jax.Array, degrees: float, *, key: jax.Array | None, method: str = "bilinear", fill: float = 0.0
) -> jax.Array:
    """Random rotation of every image about its centre by up to `degrees` either way.

    See "Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis", Simard
    et al., 2003.

    Args:
      x: (b, y, x, c), floating point, or integers as for `warp`.
      degrees: the greatest rotation, either way.
      key: a PRNG key, or None for no augmentation.
      method: "nearest" or "bilinear".
      fill: the value outside of the image, in x's units.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, degrees out of range, an unknown method, or a fill that x cannot hold.

    >>> random_rotate(jax.numpy.ones((2, 5, 5, 1)), 15, key=jax.random.key(0)).shape
    (2, 5, 5, 1)
    """
    return _random_affine("random_rotate", x, degrees, 0.0, (1.0, 1.0), 0.0, key, method, fill)


def random_affine(
    x: jax.Array,
    *,
    key: jax.Array | None,
    degrees: float = 0.0,
    translate: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shear: float = 0.0,
    method: str = "bilinear",
    fill: float = 0.0,
) -> jax.Array:
    """Random affine maps: rotates, moves, scales and shears every image; each amount is drawn evenly from its range.

    See "Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis", Simard
    et al., 2003.

    Args:
      x: (b, y, x, c), floating point, or integers as for `warp`.
      key: a PRNG key, or None for no augmentation.
      degrees: the greatest rotation, either way.
      translate: the greatest move along each axis, as a share of the image's size.
      scale: the least and the greatest scale; above 1 enlarges.
      shear: the greatest slope along each axis, below 1.
      method, fill: as for `warp`.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, amounts out of range, or method and fill as for `warp`.

    >>> x = jax.numpy.ones((2, 5, 5, 1), "uint8")
    >>> random_affine(x, degrees=10, translate=0.1, scale=(0.9, 1.1), key=jax.random.key(0)).dtype
    dtype('uint8')
    """
    return _random_affine("random_affine", x, degrees, translate, scale, shear, key, method, fill)


def _random_affine(
    name: str,
    x: jax.Array,
    degrees: float,
    translate: float,
    scale: tuple[float, float],
    shear: float,
    key: jax.Array | None,
    method: str,
    fill: float,
) -> jax.Array:
    check_images(name, x)
    check_method(name, x, method, fill)
    check_bound(name, "degrees", degrees, 360)
    check_bound(name, "translate", translate, 1)
    check_bound(name, "shear", shear, 0.99)
    check_range(name, "scale", scale, 1e-3)
    check_key(name, key, optional=True)
    if key is None:
        return x
    size, keys = (x.shape[1], x.shape[2]), jax.random.split(key, 6)
    draw = lambda i, low, high: jax.random.uniform(keys[i], (x.shape[0],), minval=low, maxval=high)
    matrices = affine_matrix(
        size,
        degrees=draw(0, -degrees, degrees),
        translate=(draw(1, -translate, translate) * size[0], draw(2, -translate, translate) * size[1]),
        scale=draw(3, *scale),
        shear=(draw(4, -shear, shear), draw(5, -shear, shear)),
    )
    return warp(x, matrices, method=method, fill=fill)
