"""PSNR and SSIM: how near images come to what they should be, in numbers and side by side.

quality(images, clean)           means over images of one size, in 0..1; what lies beyond is cut off first
qualities(found, clean)          the same of several methods, by name
side_by_side(columns, shown)     a row an image, a column a method, with the PSNR of each
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.chunks import in_chunks
from jnn.image_similarity import psnr, ssim


@jax.jit
def _each(images: jax.Array, clean: jax.Array) -> tuple[jax.Array, jax.Array]:
    images = jnp.clip(images, 0, 1)
    return psnr(images, clean), ssim(images, clean)


def quality(images: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """Peak signal-to-noise ratio, in decibels, and structural similarity: means over images (n, y, x, channels).

    >>> rounded = lambda found: {name: round(value, 3) for name, value in found.items()}
    >>> rounded(quality(np.full((2, 16, 16, 1), 0.6, np.float32), np.full((2, 16, 16, 1), 0.5, np.float32)))
    {'psnr': 20.0, 'ssim': 0.984}
    """
    found = in_chunks(lambda batch: _each(batch["x"], batch["y"]), {"x": images, "y": clean}, 500)
    return {name: float(np.mean(values)) for name, values in zip(("psnr", "ssim"), found, strict=True)}


def qualities(found: Mapping[str, np.ndarray], clean: np.ndarray) -> dict[str, float]:
    """`quality` of each method's images, by "<method>_psnr" and "<method>_ssim"."""
    measured = {name: quality(images, clean) for name, images in found.items()}
    return {f"{name}_{what}": value for name, own in measured.items() for what, value in own.items()}


def side_by_side(columns: Mapping[str, np.ndarray], shown: Sequence[int], width: float = 1.6) -> Figure:
    """A row for each of the images that are shown: the first column is what the others should be, images in 0..1.

    Each is so many inches wide.
    """
    clean, *_ = columns.values()
    down, across = len(shown), len(columns)
    figure = Figure(
        figsize=(width * across, down * (width * clean.shape[1] / clean.shape[2] + 0.4)), layout="constrained"
    )
    for place, (i, (name, own)) in enumerate(itertools.product(shown, columns.items()), 1):
        image = np.clip(own[i], 0, 1)
        axes = figure.add_subplot(down, across, place)
        axes.imshow(image)
        said = "" if own is clean else f"{float(psnr(image, clean[i])):.1f} dB"
        axes.set_title(f"{name}\n{said}" if place <= across else said, fontsize=8, parse_math=False)
        axes.axis("off")
    return figure
