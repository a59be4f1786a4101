"""U-Net for segmentation: down to a small image and up again, each level joined by what it was on the way down.

Laws: the output is as large as the image, which the levels halve without rest; as many levels as p holds; given the
statistics that a batch had, the output is the same, whatever else is in the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import conv, conv_spec, conv_transpose, conv_transpose_spec, max_pool
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.param import Params, Spec


def unet_spec(widths: Sequence[int], classes: int, *, channels: int = 3, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a U-Net; the paper's has widths (64, 128, 256, 512, 1024).

    Args:
      widths: channels of each level, from the whole image to the smallest.
      classes: how many logits a pixel has.
      channels: of the images.
      dtype: of all.

    Returns:
      {"down1": {"unit1": {"conv", "norm"}, "unit2"}, ..., "up1": {"enlarge": {"w", "b"}, "unit1", "unit2"}, ...,
      "out": {"w", "b"}}; "down..." has one level more than "up...".

    >>> unet_spec((64, 128), 2)["up1"]["unit1"]["conv"]["w"].shape
    (3, 3, 128, 64)
    """

    def pair(c_in: int, c_out: int) -> Spec:
        return {"unit1": conv_norm_spec(c_in, c_out, dtype=dtype), "unit2": conv_norm_spec(c_out, c_out, dtype=dtype)}

    spec: Spec = {f"down{i}": pair(a, b) for i, (a, b) in enumerate(zip((channels, *widths), widths, strict=False), 1)}
    for i, (c, below) in enumerate(itertools.pairwise(widths), 1):
        spec[f"up{i}"] = {"enlarge": conv_transpose_spec(below, c, (2, 2), dtype=dtype), **pair(2 * c, c)}
    return spec | {"out": conv_spec(widths[0], classes, (1, 1), dtype=dtype)}


def unet(
    p: Params, x: jax.Array, stats: Stats | None = None, *, weight: jax.Array | None = None
) -> tuple[jax.Array, Stats]:
    """U-Net: logits of every pixel, from convolutions on an image that is halved and enlarged again.

    See "U-Net: Convolutional Networks for Biomedical Image Segmentation", Ronneberger, Fischer and Brox, 2015; here
    borders are padded, so that nothing is cut off, and batch norm stands behind each convolution.

    Args:
      p: as `unet_spec` declares.
      x: (..., y, x, c), floating point; y and x divide by 2 for each level but the first.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., y, x, classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is not to be halved so often.

    >>> from jnn.param import abstract
    >>> p = abstract(unet_spec((64, 128, 256, 512, 1024), 21))
    >>> jax.eval_shape(unet, p, jax.ShapeDtypeStruct((2, 256, 256, 3), jnp.float32))[0].shape
    (2, 256, 256, 21)
    """
    checks.params("unet", p, "down1", "out")
    checks.floats("unet", x, ndim=3)
    levels = sum(name.startswith("down") for name in p)
    check_halved("unet", x, levels - 1)
    beside, seen = [], {}
    for i in range(1, levels + 1):
        x = x if i == 1 else max_pool(x, (2, 2))
        x, seen[f"down{i}"] = _pair(p, f"down{i}", x, stats, weight)
        beside.append(x)
    for i in range(levels - 1, 0, -1):
        name = f"up{i}"
        enlarged = conv_transpose(gather(p[name]["enlarge"], f"{name}/enlarge"), x, stride=2)
        x, seen[name] = _pair(p, name, jnp.concatenate([beside[i - 1], enlarged], axis=-1), stats, weight)
    return conv(gather(p["out"], "out"), x), seen


def check_halved(where: str, x: jax.Array, times: int) -> None:
    """Raises unless an image's height and width divide by 2 so often."""
    if any(n % 2**times for n in x.shape[-3:-1]):
        raise ValueError(
            f"{where}: {times} halvings need a height and width of multiples of {2**times}, found "
            f"{checks.describe(x)}. Pad the images."
        )


def _pair(p: Params, name: str, x: jax.Array, stats: Stats | None, weight: jax.Array | None) -> tuple[jax.Array, Stats]:
    """Two convolutions with batch norm and ReLU."""
    seen: Stats = {}
    for unit in ("unit1", "unit2"):
        layer, given = gather(p[name][unit], f"{name}/{unit}"), stats and stats[name][unit]
        x, seen[unit] = conv_norm(layer, x, given, weight=weight)
        x = constrain(jax.nn.relu(x), "y", "x", "channels")
    return x, seen
