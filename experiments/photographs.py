"""Photographs that ship with scikit-learn and scikit-image, which need not be fetched.

photograph(name) -> (y, x, 3) uint8
square(name, size) -> (size, size, 3) in 0..1       the middle of one
luminance(pixels) -> (..., y, x, 1)                 what super-resolution is measured by
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import numpy as np

from jnn.optional import optional

OF_SCIKIT_LEARN = Literal["china", "flower"]
GREY = Literal["brick", "camera", "coins", "grass", "gravel"]
COLOUR = Literal["astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket"]
Photograph = Literal[OF_SCIKIT_LEARN, GREY, COLOUR, "stereo_motorcycle"]
LUMINANCE = np.float32([65.481, 128.553, 24.966])  # of 255, beside 16: ITU-R BT.601


def photograph(name: Photograph) -> np.ndarray:
    """A photograph's pixels (y, x, 3) uint8; grey ones in three equal colours, of two for both eyes the left one."""
    if name not in get_args(Photograph):
        raise ValueError(f"photograph: expected one of {', '.join(get_args(Photograph))}; found {name!r}.")
    if name in get_args(OF_SCIKIT_LEARN):
        return optional("sklearn.datasets", "experiments").load_sample_image(f"{name}.jpg")
    found = getattr(optional("skimage.data", "photographs"), name)()
    pixels = found[0] if isinstance(found, tuple) else found
    return np.repeat(pixels[..., None], 3, -1) if pixels.ndim == 2 else pixels


def square(name: Photograph, size: int) -> np.ndarray:
    """The middle of a photograph, scaled (bicubic, antialiased) to (size, size, 3), in 0..1."""
    pixels = photograph(name)
    side = min(pixels.shape[:2])
    top, left = ((n - side) // 2 for n in pixels.shape[:2])
    middle = pixels[top : top + side, left : left + side].astype(np.float32) / 255
    return np.clip(jax.image.resize(middle, (size, size, 3), "cubic"), 0, 1)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """The Y of YCbCr: from black at 16 to white at 235 of 255, as super-resolution's papers measure it.

    Args:
      pixels: (..., y, x, 3) uint8.

    Returns:
      (..., y, x, 1) float32, in 0..1.

    >>> [round(float(255 * level)) for level in luminance(np.uint8([[[0, 0, 0], [255, 255, 255]]]))[0, :, 0]]
    [16, 235]
    """
    return ((16 + pixels.astype(np.float32) / 255 @ LUMINANCE) / 255)[..., None].astype(np.float32)
