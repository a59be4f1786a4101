"""Photographs made small and large again: what super-resolution trains on, how it is measured and shown.

resized(x, factor), shrunk(x, scale)            bicubic interpolation
tiles(names, scale, side, apart)                small tiles, and the same as they are to become
enlarged(name, scale, enlarge) -> Enlarged      a whole photograph, small and by each way large again
mean_qualities(photographs)                     PSNR and SSIM of each way
crops(photographs, places)                      parts of them, side by side
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.image_quality import qualities, side_by_side
from experiments.photographs import Photograph, luminance, photograph

CROP = 96  # pixels of what is shown
GREY = 255 / 219  # of colours, for one of luminance, whose black is 16 and whose white is 235


class Enlarged(NamedTuple):
    """A photograph (y, x, 3) and its luminance (y, x, 1), and what was made of a small one, in 0..1."""

    scale: int
    pixels: np.ndarray
    colours: np.ndarray  # by bicubic interpolation
    luminance: np.ndarray
    made: dict[str, np.ndarray]  # the luminance, by what made it; "bicubic" is one


def resized(x: Any, factor: float) -> jax.Array:
    """Images (..., y, x, c) by bicubic interpolation, antialiased where they shrink."""
    *leading, rows, columns, channels = x.shape
    return jax.image.resize(x, (*leading, round(rows * factor), round(columns * factor), channels), "cubic")


def shrunk(x: np.ndarray, scale: int) -> np.ndarray:
    """Images in 0..1 as small ones, in 256 levels."""
    return np.round(np.clip(resized(x, 1 / scale), 0, 1) * 255) / np.float32(255)


def cropped(name: Photograph, scale: int) -> np.ndarray:
    """A photograph, cropped to a multiple of the scale."""
    pixels = photograph(name)
    rows, columns = (n // scale * scale for n in pixels.shape[:2])
    return pixels[:rows, :columns]


def tiles(names: Sequence[Photograph], scale: int, side: int, apart: int) -> dict[str, np.ndarray]:
    """Luminance of small tiles x (n, side, side, 1), so many small pixels apart, and what they are to become, y."""
    parts = {"x": [], "y": []}
    for name in names:
        large = luminance(cropped(name, scale))
        parts["x"].append(_cut(shrunk(large, scale), side, apart))
        parts["y"].append(_cut(large, scale * side, scale * apart))
    return {name: np.concatenate(own) for name, own in parts.items()}


def _cut(image: np.ndarray, side: int, apart: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(image[..., 0], (side, side))
    return windows[::apart, ::apart].reshape(-1, side, side, 1)


def enlarged(name: Photograph, scale: int, enlarge: Mapping[str, Callable[[jax.Array], jax.Array]]) -> Enlarged:
    """A photograph made small, and large again by each of these, of luminance (b, y, x, 1)."""
    pixels = cropped(name, scale)
    true = luminance(pixels)
    small = shrunk(true, scale)[None]
    made = {way: np.clip(one(small)[0], 0, 1) for way, one in enlarge.items()}
    colours = resized(shrunk(pixels.astype(np.float32) / 255, scale), scale)
    return Enlarged(scale, pixels, np.asarray(colours), true, made)


def mean_qualities(photographs: Sequence[Enlarged]) -> dict[str, float]:
    """PSNR and SSIM of luminance by each way, mean over photographs; as in the papers, borders do not count."""
    inner = lambda image, border: image[None, border:-border, border:-border]
    each = [
        qualities({way: inner(x, one.scale) for way, x in one.made.items()}, inner(one.luminance, one.scale))
        for one in photographs
    ]
    return {name: float(np.mean([own[name] for own in each])) for name in each[0]}


def crops(photographs: Mapping[Photograph, Enlarged], places: Mapping[Photograph, tuple[int, int]]) -> Figure:
    """A row for each photograph: its part at this place, and what was made of that.

    Colours are those of bicubic interpolation, with the luminance that was made.
    """
    columns: dict[str, list[np.ndarray]] = {}
    for name, one in photographs.items():
        top, left = places[name]
        grey = {way: GREY * (found - one.made["bicubic"]) for way, found in one.made.items()}
        views = {"original": one.pixels / 255} | {way: one.colours + more for way, more in grey.items()}
        for way, view in views.items():
            columns.setdefault(way, []).append(view[top : top + CROP, left : left + CROP])
    return side_by_side({way: np.stack(own) for way, own in columns.items()}, range(len(photographs)), width=2.4)
