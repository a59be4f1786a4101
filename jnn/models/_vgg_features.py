"""The convolutions of VGG, as features of images: what style transfer and perceptual distances read.

Laws: as many stages and convolutions as p holds, their kernels and channels read off the weights; leading axes are
free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import conv, conv_spec, max_pool
from jnn.param import Params, Spec


def vgg_features_spec(stages: Sequence[Sequence[int]], *, channels: int = 3, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares the convolutions of a VGG network: `vgg_spec` without its dense layers.

    Args:
      stages: of each, the channels of its convolutions; those of published networks are in `VGGS`.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stage1": {"conv1": {"w", "b"}, ...}, ...}

    >>> from jnn.models import VGGS
    >>> vgg_features_spec(VGGS["vgg16"])["stage5"]["conv3"]["w"].shape
    (3, 3, 512, 512)
    """
    spec: Spec = {}
    c_in = channels
    for i, widths in enumerate(stages, 1):
        spec[f"stage{i}"] = {
            f"conv{j}": conv_spec(a, b, (3, 3), dtype=dtype)
            for j, (a, b) in enumerate(zip((c_in, *widths), widths, strict=False), 1)
        }
        c_in = widths[-1]
    return spec


def vgg_features(
    p: Params, x: jax.Array, *, pool: Callable[[jax.Array, tuple[int, int]], jax.Array] = max_pool
) -> list[jax.Array]:
    """VGG features: what each stage of convolutions with ReLU ends with, before it is pooled.

    See "Very Deep Convolutional Networks for Large-Scale Image Recognition", Simonyan and Zisserman, 2015.

    Args:
      p: as `vgg_features_spec` or `vgg_spec` declares; of fewer stages, the features of these.
      x: (..., y, x, c), floating point.
      pool: between stages, with a window of (2, 2); `avg_pool` in "Image Style Transfer Using Convolutional Neural
        Networks", Gatys, Ecker and Bethge, 2016.

    Returns:
      (..., y, x, channels) of each stage, half as high and wide as of the one before; in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty, or too small to be halved so often.

    >>> from jnn.param import abstract
    >>> p, images = abstract(vgg_features_spec(((4,), (8, 8)))), jax.ShapeDtypeStruct((2, 16, 12, 3), jnp.float32)
    >>> [features.shape for features in jax.eval_shape(vgg_features, p, images)]
    [(2, 16, 12, 4), (2, 8, 6, 8)]
    """
    checks.params("vgg_features", p, "stage1")
    checks.floats("vgg_features", x, ndim=3)
    found: list[jax.Array] = []
    for i in range(1, 1 + sum(name.startswith("stage") for name in p)):
        x = constrain(pool(found[-1], (2, 2)), "y", "x", "channels") if found else x
        stage = gather(p[f"stage{i}"], f"stage{i}")
        for j in range(1, len(stage) + 1):
            x = jax.nn.relu(conv(stage[f"conv{j}"], x))
        found.append(x)
    return found
