"""VGG and AlexNet: stages of convolutions, each halved by max pooling, and three dense layers.

Laws: as many stages and convolutions as p holds, their kernels and channels read off the weights; leading axes are
free; `key=None` is silent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import conv, conv_spec, max_pool, weight_shape
from jnn.models._dense_head import dense_head
from jnn.models._mlp import mlp_spec
from jnn.models._vgg_features import vgg_features, vgg_features_spec
from jnn.param import Params, Spec

VGGS: dict[str, tuple[tuple[int, ...], ...]] = {  # widths of the convolutions of each stage, for `vgg_spec`
    "vgg11": ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2),
    "vgg13": ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2),
    "vgg16": ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}


def vgg_spec(
    stages: Sequence[Sequence[int]],
    classes: int,
    *,
    image: Sequence[int] = (224, 224, 3),
    dense: int = 4096,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a VGG network; the stages of published ones are in `VGGS`.

    Args:
      stages: of each, the channels of its convolutions.
      classes: how many logits.
      image: (y, x, c), the shape of one image; y and x divide by 2 for each stage (or lose a border).
      dense: width of the two hidden dense layers.
      dtype: of all.

    Returns:
      {"stage1": {"conv1": {"w", "b"}, ...}, ..., "head": as `mlp_spec` of three layers}

    Raises:
      ValueError: image is not (y, x, c), or too small to be halved that often.

    >>> vgg_spec(VGGS["vgg16"], 1000)["head"]["fc0"]["w"].shape
    (25088, 4096)
    """
    shrink = 2 ** len(stages)
    if len(image) != 3 or min(image[:2]) < shrink:
        raise ValueError(f"vgg_spec: expected image (y, x, c), y and x at least {shrink}; found {tuple(image)}.")
    features = (image[0] // shrink) * (image[1] // shrink) * stages[-1][-1]
    return {
        **vgg_features_spec(stages, channels=image[2], dtype=dtype),
        "head": mlp_spec((features, dense, dense, classes), dtype=dtype),
    }


def vgg(p: Params, x: jax.Array, *, key: jax.Array | None, rate: float = 0.5) -> jax.Array:
    """VGG: 3x3 convolutions with ReLU, in stages that end in 2x2 max pooling; dense layers with dropout.

    See "Very Deep Convolutional Networks for Large-Scale Image Recognition", Simonyan and Zisserman, 2015. The dense
    layers read the last image in the order (y, x, c); torch's read (c, y, x).

    Args:
      p: as `vgg_spec` declares.
      x: (..., y, x, c), floating point.
      key: noise for dropout, or None for none.
      rate: of dropout behind the two hidden dense layers.

    Returns:
      (..., classes) logits, in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is not of the size or channels that p was declared for, or empty.

    >>> from jnn.param import abstract
    >>> p, images = abstract(vgg_spec(VGGS["vgg16"], 1000)), jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: vgg(p, x, key=None), p, images).shape
    (8, 1000)
    """
    checks.params("vgg", p, "stage1", "head")
    checks.floats("vgg", x, ndim=3)
    maps = constrain(max_pool(vgg_features(p, x)[-1], (2, 2)), "y", "x", "channels")
    return dense_head("vgg", p["head"], maps, x, key=key, rate=rate)


ALEXNET_WIDTHS = (64, 192, 384, 256, 256)
_POOLED = (1, 2, 5)  # the convolutions with max pooling behind them


def alexnet_spec(
    classes: int,
    *,
    widths: Sequence[int] = ALEXNET_WIDTHS,
    image: Sequence[int] = (224, 224, 3),
    dense: int = 4096,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares AlexNet, as on one device.

    Args:
      classes: how many logits.
      widths: channels of its five convolutions, of kernels 11 (which strides by 4), 5, 3, 3 and 3.
      image: (y, x, c), the shape of one image.
      dense: width of the two hidden dense layers.
      dtype: of all.

    Returns:
      {"conv1": {"w", "b"}, ..., "conv5", "head": as `mlp_spec` of three layers}

    Raises:
      ValueError: there are not five widths, or the image is too small.

    >>> alexnet_spec(1000)["head"]["fc0"]["w"].shape
    (9216, 4096)
    """
    if len(widths) != 5 or len(image) != 3 or min(image[:2]) < 63:
        raise ValueError(
            f"alexnet_spec: expected five widths and image (y, x, c), y and x at least 63; found widths={tuple(widths)}"
            f", image={tuple(image)}."
        )
    kernels, channels = (11, 5, 3, 3, 3), (image[2], *widths)
    convolutions = {
        f"conv{i + 1}": conv_spec(channels[i], channels[i + 1], (k, k), dtype=dtype) for i, k in enumerate(kernels)
    }
    area = math.prod(_alexnet_side(n) for n in image[:2])
    return convolutions | {"head": mlp_spec((area * widths[-1], dense, dense, classes), dtype=dtype)}


def alexnet(p: Params, x: jax.Array, *, key: jax.Array | None, rate: float = 0.5) -> jax.Array:
    """AlexNet: five convolutions with ReLU, three overlapping max poolings, dense layers with dropout.

    See "ImageNet Classification with Deep Convolutional Neural Networks", Krizhevsky, Sutskever and Hinton, 2012; in
    the form for one device, without response normalization, of "One Weird Trick for Parallelizing Convolutional Neural
    Networks", Krizhevsky, 2014.

    Args:
      p: as `alexnet_spec` declares.
      x: (..., y, x, c), floating point.
      key, rate: as in `vgg`.

    Returns:
      (..., classes) logits, in x's dtype.

    Raises:
      As `vgg`.

    >>> from jnn.param import abstract
    >>> p, images = abstract(alexnet_spec(1000)), jax.ShapeDtypeStruct((8, 224, 224, 3), jnp.float32)
    >>> jax.eval_shape(lambda p, x: alexnet(p, x, key=None), p, images).shape
    (8, 1000)
    """
    checks.params("alexnet", p, *(f"conv{i}" for i in range(1, 6)), "head")
    checks.floats("alexnet", x, ndim=3)
    maps = x
    for i in range(1, 6):
        name = f"conv{i}"
        stride, padding = (4, 2) if i == 1 else (1, weight_shape(p[name]["w"])[0] // 2)
        maps = jax.nn.relu(conv(gather(p[name], name), maps, stride=stride, padding=padding))
        maps = constrain(max_pool(maps, (3, 3), stride=2) if i in _POOLED else maps, "y", "x", "channels")
    return dense_head("alexnet", p["head"], maps, x, key=key, rate=rate)


def _alexnet_side(n: int) -> int:
    n = (n + 4 - 11) // 4 + 1
    for _ in _POOLED:
        n = (n - 3) // 2 + 1
    return n
