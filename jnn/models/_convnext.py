"""ConvNeXt: a convolutional network with the proportions of a transformer, and layer scale.

Blocks of a stage are stacked and scanned, so that compile time grows with the number of stages alone.
Laws: leading axes are free; where all layer scales are 0, blocks pass x on as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import truncated_normal
from jnn.layers import (
    conv_spec,
    convnext_block,
    convnext_block_spec,
    drop_path_rates,
    global_avg_pool,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
    scan_layers,
)
from jnn.models._patches import patches
from jnn.models._residual_stages import stage_names
from jnn.models._stochastic_depth import depth_of, scanned_rates
from jnn.param import Params, Spec, check_key, path_key, stack
from jnn.remat import Remat

SMALL = truncated_normal(0.02)
EPSILON = 1e-6  # of all its norms
CONVNEXTS: dict[str, dict[str, Any]] = {  # sizes for `convnext_spec`
    "convnext_tiny": {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768)},
    "convnext_small": {"depths": (3, 3, 27, 3), "widths": (96, 192, 384, 768)},
    "convnext_base": {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)},
    "convnext_large": {"depths": (3, 3, 27, 3), "widths": (192, 384, 768, 1536)},
}


def convnext_spec(
    depths: Sequence[int],
    widths: Sequence[int],
    classes: int,
    *,
    patch: int = 4,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a ConvNeXt; the sizes of published ones are in `CONVNEXTS`.

    Args:
      depths: how many blocks each stage has.
      widths: how many channels each stage has.
      classes: how many logits.
      patch: the kernel and stride of the stem.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stage1": {"down": {"conv", "norm"}, "blocks": {"depthwise", "norm", "up", "down", "layer_scale"} (stacked)},
      ..., "norm", "out"}; from the second stage on the norm of "down" stands before its convolution.

    Raises:
      ValueError: depths and widths are not one of each stage.

    >>> convnext_spec(**CONVNEXTS["convnext_tiny"], classes=1000)["stage1"]["blocks"]["up"]["w"].shape
    (3, 96, 384)
    """
    if len(depths) != len(widths) or min(depths, default=0) < 1:
        raise ValueError(
            f"convnext_spec: expected a depth of 1 or more and a width for each stage, found depths={tuple(depths)}, "
            f"widths={tuple(widths)}."
        )
    norm = lambda c: layer_norm_spec(c, axes=("channels",), dtype=dtype)

    spec: Spec = {}
    for i, (depth, c_in, c_out) in enumerate(zip(depths, (channels, *widths[:-1]), widths, strict=True)):
        size = patch if i == 0 else 2
        down = {"conv": conv_spec(c_in, c_out, (size, size), init=SMALL, dtype=dtype)}
        down["norm"] = norm(c_out if i == 0 else c_in)
        spec[f"stage{i + 1}"] = {"down": down, "blocks": stack(convnext_block_spec(c_out, dtype=dtype), depth)}
    out = linear_spec(widths[-1], classes, axes=("channels", "classes"), init=SMALL, dtype=dtype)
    return spec | {"norm": norm(widths[-1]), "out": out}


def convnext(
    p: Params, x: jax.Array, *, key: jax.Array | None, drop_path: float = 0.0, remat: Remat = None
) -> jax.Array:
    """ConvNeXt: stages of depthwise 7x7 convolutions with an MLP over channels, the residual branch scaled.

    See "A ConvNet for the 2020s", Liu et al., 2022; for layer scale "Going Deeper with Image Transformers", Touvron et
    al., 2021.

    Args:
      p: as `convnext_spec` declares.
      x: (..., y, x, c), floating point.
      key: noise for stochastic depth, None for none.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`; 0.1 (tiny) to 0.5 (base) in the paper.
      remat: what the backward pass remembers of each block, as in `jnn.remat`.

    Returns:
      (..., classes) logits, in x's dtype; features (..., widths[-1]) where p has no "out".

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, is too small, or empty.

    >>> from jnn.param import abstract
    >>> p = abstract(convnext_spec(**CONVNEXTS["convnext_tiny"], classes=1000))
    >>> images = jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: convnext(p, x, key=None), p, images).shape
    (8, 1000)
    """
    checks.params("convnext", p, "stage1", "norm")
    checks.floats("convnext", x, ndim=3)
    check_key("convnext", key, optional=True)
    names = stage_names(p)
    depths = [depth_of(p[name]["blocks"]) for name in names]
    rates = iter(drop_path_rates(sum(depths), drop_path))
    for name, depth in zip(names, depths, strict=True):
        x = _down(gather(p[name]["down"], f"{name}/down"), x, first=name == "stage1")
        own = None if key is None else path_key(key, name)
        stacked = p[name]["blocks"], scanned_rates([*islice(rates, depth)], own)
        x = scan_layers(partial(_block, f"{name}/blocks"), stacked, x, "y", "x", "channels", key=own, remat=remat)
    x = layer_norm(gather(p["norm"], "norm"), global_avg_pool(x), epsilon=EPSILON)
    return linear(gather(p["out"], "out"), x) if "out" in p else x


def _block(path: str, one: tuple[Params, dict[str, Any]], x: jax.Array, key: jax.Array | None, _: Any) -> jax.Array:
    p, rate = one
    return convnext_block(gather(p, path), x, key=key, **rate)


def _down(p: Params, x: jax.Array, *, first: bool) -> jax.Array:
    """Patches without overlap; normalized behind the stem, and before the others."""
    norm = lambda x: layer_norm(p["norm"], x, epsilon=EPSILON)
    x = norm(patches(p["conv"], x)) if first else patches(p["conv"], norm(x))
    return constrain(x, "y", "x", "channels")
