"""RandAugment: a few random operations on every image, all of one magnitude.

Law: an image on which one operation falls is what that operation alone makes of it.

Each image gets operations of its own, yet nothing branches: every operation runs on the whole batch
with an amount that is neutral wherever another one was drawn, so that a round is one `warp` (the
five geometric operations share it), a few element-wise passes and one histogram. A `lax.switch`
under `vmap` would compute as much and gather five times; one under `lax.map` would walk through the
images one by one, which leaves an accelerator idle; one operation for the whole batch would be
cheap, but all images of a step would change alike.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jnn.data.augment._blur import adjust_sharpness
from jnn.data.augment._color import adjust_brightness, adjust_contrast, adjust_saturation
from jnn.data.augment._pixels import Amount, check_bound, check_colors, check_fill, white
from jnn.data.augment._tone import autocontrast, equalize, posterize, solarize
from jnn.data.augment._warp import affine_matrix, check_method, warp
from jnn.param import check_key

OPS = (
    "identity",
    "autocontrast",
    "equalize",
    "rotate",
    "solarize",
    "saturation",
    "posterize",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)

# the greatest amounts, at magnitude 10: table 6 of "AutoAugment", Cubuk et al., 2019
_DEGREES, _SHEAR, _SHIFT, _FACTOR, _BITS = 30.0, 0.3, 150 / 331, 0.9, 4

_BLENDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "sharpness": adjust_sharpness,
}


def rand_augment(
    x: jax.Array,
    *,
    key: jax.Array | None,
    n: int = 2,
    magnitude: float = 9.0,
    method: str = "bilinear",
    fill: float = 0.0,
) -> jax.Array:
    """RandAugment: `n` operations on every image, each drawn evenly from fourteen (`OPS`), one after another.

    See "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space", Cubuk et al.,
    2020. Rotations, shears, moves and the four factors go either way with equal probability.

    Args:
      x: (b, y, x, c), uint8 or floating point in [0, 1], grey or RGB.
      key: a PRNG key, or None for no augmentation.
      n: how many operations, 0 or more.
      magnitude: of all of them, from 0 to 10.
      method, fill: as for `warp`.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: images of another dtype.
      ValueError: x is not a batch of images, floats outside [0, 1], or n, magnitude, method or fill out of range.

    >>> rand_augment(jnp.zeros((2, 8, 8, 3), jnp.uint8), key=jax.random.key(0)).shape
    (2, 8, 8, 3)
    """
    check_colors("rand_augment", x, rgb=True)
    check_method("rand_augment", x, method, fill)
    check_fill("rand_augment", x, fill)
    check_bound("rand_augment", "magnitude", magnitude, 10)
    if n < 0:
        raise ValueError(f"rand_augment: n is 0 or more operations, found {n}.")
    check_key("rand_augment", key, optional=True)
    if key is None:
        return x
    for round_key in jax.random.split(key, n):
        which, way = jax.random.split(round_key)
        ops = jax.random.randint(which, (x.shape[0],), 0, len(OPS))
        signs = jnp.where(jax.random.bernoulli(way, 0.5, (x.shape[0],)), 1.0, -1.0)
        x = apply_ops(x, ops, signs, magnitude / 10, method=method, fill=fill)
    return x


def apply_ops(
    x: jax.Array, ops: jax.Array, signs: jax.Array, strength: Amount, *, method: str, fill: float
) -> jax.Array:
    """Operation `ops[i]` of `OPS` on image i, with its `strength` from 0 to 1 and the way `signs[i]`, 1 or -1."""
    chosen = {name: ops == i for i, name in enumerate(OPS)}
    amount = lambda name, most: jnp.where(chosen[name], signs * strength * most, 0.0)  # 0 is neutral
    size = (x.shape[1], x.shape[2])
    matrices = affine_matrix(
        size,
        degrees=amount("rotate", _DEGREES),
        translate=(amount("translate_y", _SHIFT * size[0]), amount("translate_x", _SHIFT * size[1])),
        shear=(amount("shear_y", _SHEAR), amount("shear_x", _SHEAR)),
    )
    x = warp(x, matrices, method=method, fill=fill)
    for name, adjust in _BLENDS.items():
        x = adjust(x, 1 + amount(name, _FACTOR))
    only = lambda name, changed: jnp.where(chosen[name].reshape(-1, 1, 1, 1), changed, x)
    x = only("solarize", solarize(x, (1 - strength) * white(x)))
    x = only("posterize", posterize(x, 8 - jnp.round(_BITS * strength)))
    x = only("autocontrast", autocontrast(x))
    return only("equalize", equalize(x))
