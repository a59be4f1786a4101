"""What all image augmentations share: checks, units, one amount an image, and rounding back.

Images are `b y x c`. Where colours matter, uint8 runs from 0 to 255 and floating point from 0 to 1;
`to_unit` and `from_unit` are the way there and back.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.data.augment._given import check_input
from jnn.param import check_key
from jnn.precision import wide

Amount = float | jax.Array  # one for all images, or one an image: (b,)


def check_images(name: str, x: jax.Array) -> None:
    """Raises unless x is a non-empty batch of images."""
    check_input(name, x)
    if x.ndim != 4 or x.size == 0:
        raise ValueError(f"{name}: expected a non-empty batch of images [b,y,x,c], found {checks.describe(x)}.")


def check_colors(name: str, x: jax.Array, *, rgb: bool = False) -> None:
    """Raises unless x is a batch of images with a known black and white; `rgb`: of 1 or 3 channels."""
    check_images(name, x)
    if x.dtype != jnp.uint8 and not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"{name}: expected uint8 in 0..255 or floating point in [0, 1], found {checks.describe(x)}. "
            "Cast it: x.astype(jnp.uint8)."
        )
    if jnp.issubdtype(x.dtype, jnp.floating):
        checks.in_unit_interval(name, "floating-point images (augment before you standardise)", x)
    if rgb and x.shape[-1] not in (1, 3):
        raise ValueError(f"{name}: expected 1 channel (grey) or 3 (RGB), found {checks.describe(x)}.")


def check_range(name: str, what: str, values: tuple[float, float], low: float, high: float = np.inf) -> None:
    """Raises unless values = (least, most) is an interval within [low, high]."""
    if not low <= values[0] <= values[1] <= high or values[1] == np.inf:
        raise ValueError(f"{name}: {what} is (least, most) within [{low:g}, {high:g}], found {values}.")


def check_bound(name: str, what: str, value: float, high: float = np.inf) -> None:
    """Raises unless 0 <= value <= high, finite."""
    if not 0 <= value <= high or value == np.inf:
        raise ValueError(f"{name}: {what} lies in [0, {high:g}], found {value}.")


def check_fill(name: str, x: jax.Array, fill: float) -> None:
    """Raises unless x's dtype can hold the colour `fill`."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        info = jnp.iinfo(x.dtype)
        if not info.min <= fill <= info.max or fill != int(fill):
            raise ValueError(f"{name}: fill for {x.dtype} is an integer in {info.min}..{info.max}, found {fill}.")
    elif jnp.issubdtype(x.dtype, jnp.floating) and not abs(fill) <= jnp.finfo(x.dtype).max:
        raise ValueError(f"{name}: fill for {x.dtype} is a number that it holds, found {fill}.")


def check_blendable(name: str, x: jax.Array, instead: str = "") -> None:
    """Raises unless blends of x's elements are computed exactly: float32 holds integers of 16 bits, not of 32."""
    integer = jnp.issubdtype(x.dtype, jnp.integer)
    if not integer and not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"{name}: expected integers or floating point, found {checks.describe(x)}.")
    if integer and jnp.iinfo(x.dtype).bits > 16:
        raise TypeError(
            f"{name}: expected integers of 8 or 16 bits, which float32 blends exactly, or floating point; found "
            f"{checks.describe(x)}. Cast it: x.astype(jnp.uint8), x.astype(jnp.float32){instead}."
        )


def white(x: jax.Array) -> float:
    """The brightest value: 255 for integers, 1 for floating point."""
    return 255.0 if jnp.issubdtype(x.dtype, jnp.integer) else 1.0


def to_unit(x: jax.Array) -> jax.Array:
    """The images in floating point of 32 bits at least, from 0 (black) to 1 (white)."""
    return wide(x) / white(x)


def from_unit(y: jax.Array, like: jax.Array) -> jax.Array:
    """Colours clipped to [0, 1], in the dtype and the units of `like`."""
    return restore(jnp.clip(y, 0, 1) * white(like), like)


def restore(y: jax.Array, like: jax.Array) -> jax.Array:
    """y in the dtype of `like`; for integers rounded, and clipped to what they can hold."""
    if jnp.issubdtype(like.dtype, jnp.integer):
        info = jnp.iinfo(like.dtype)
        y = jnp.clip(jnp.round(y), info.min, info.max)
    return y.astype(like.dtype)


def per_image(name: str, amount: Amount, x: jax.Array) -> jax.Array:
    """An amount as float32 (b, 1, 1, 1).

    Raises:
      ValueError: neither one number nor one for each image.
    """
    a = jnp.asarray(amount, jnp.float32)
    if a.shape not in [(), x.shape[:1]]:
        raise ValueError(f"{name}: expected one number, or one for each of {x.shape[0]} images, found shape {a.shape}.")
    return jnp.broadcast_to(a, x.shape[:1]).reshape(-1, 1, 1, 1)


def sometimes(
    x: jax.Array,
    augment: Callable[[jax.Array, jax.Array], jax.Array],
    probability: float,
    *,
    key: jax.Array | None,
) -> jax.Array:
    """Random application: `augment(x, key)` for some rows, x itself for the others; all are computed, then chosen.

    Args:
      x: (b, ...), any batch.
      augment: `(x, key) -> x`, of the same shape and dtype.
      probability: of a row's being augmented, in [0, 1].
      key: a PRNG key, or None for no augmentation.

    Returns:
      x's shape and dtype.

    Raises:
      ValueError: a probability outside [0, 1], an empty x, or an augmentation that changes shape or dtype.

    >>> from jnn.data.augment import grayscale
    >>> x = jnp.zeros((2, 4, 4, 3))
    >>> sometimes(x, lambda x, key: grayscale(x), 0.2, key=jax.random.key(0)).shape
    (2, 4, 4, 3)
    """
    check_input("sometimes", x)
    checks.rank("sometimes", x, 1)
    check_bound("sometimes", "probability", probability, 1)
    check_key("sometimes", key, optional=True)
    if key is None:
        return x
    choose, noise = jax.random.split(key)
    changed = augment(x, noise)
    if (changed.shape, changed.dtype) != (x.shape, x.dtype):
        raise ValueError(
            f"sometimes: the augmentation must keep shape and dtype, {checks.describe(x)}; "
            f"it returned {checks.describe(changed)}."
        )
    chosen = jax.random.bernoulli(choose, float(probability), (x.shape[0],) + (1,) * (x.ndim - 1))
    return jnp.where(chosen, changed, x)
