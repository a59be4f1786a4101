"""Normalization of each image by itself: over its spatial axes and groups of channels, or one channel.

Laws: as in `_norm`; `instance_norm` is `group_norm` with a group for each channel.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, ones
from jnn.layers._channel_norm import standardize_channels
from jnn.layers._norm import check_norm, layer_norm_spec
from jnn.param import Spec
from jnn.precision import wide


def group_norm_spec(
    size: int,
    *,
    axis: str = "channels",
    scale: bool = True,
    bias: bool = True,
    init: Initializer = ones,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares the scale and offset of batch, group or instance normalization, one of each per channel.

    Args:
      size: how many channels there are.
      axis: the name of that axis.
      scale: whether there is a "scale"; of zeros, it makes a residual branch start as nothing.
      bias: whether there is a "bias", initially zero.
      init: initial values of the scale.
      dtype: of both.

    Returns:
      {"scale": (size,), "bias": (size,)}

    >>> sorted(group_norm_spec(8))
    ['bias', 'scale']
    """
    return layer_norm_spec(size, axes=(axis,), scale=scale, bias=bias, init=init, dtype=dtype)


def group_norm(
    p: dict[str, jax.Array], x: jax.Array, groups: int, *, spatial: int = 2, epsilon: float = 1e-5
) -> jax.Array:
    """Group normalization: of each example over its spatial axes and each group of neighbouring channels.

    See "Group Normalization", Wu and He, 2018.

    Args:
      p: {"scale": (c,), "bias": (c,)}, each optional.
      x: (..., *spatial, c), floating point.
      groups: how many groups the channels fall into.
      spatial: how many spatial axes stand before the channels.
      epsilon: added to the variance.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: groups do not divide the channels; x's channels are not p's; x has too few axes or is empty.

    >>> group_norm({}, jnp.array([[[1.0, 3.0, 5.0, 9.0]]]), groups=2).round(3).tolist()
    [[[-1.0, 1.0, -1.0, 1.0]]]
    """
    return _group_norm("group_norm", p, x, groups, spatial, epsilon)


instance_norm_spec = group_norm_spec
"""Declares the scale and offset of instance normalization: as `group_norm_spec`."""


def instance_norm(p: dict[str, jax.Array], x: jax.Array, *, spatial: int = 2, epsilon: float = 1e-5) -> jax.Array:
    """Instance normalization: of each channel of each example over its spatial axes.

    See "Instance Normalization: The Missing Ingredient for Fast Stylization", Ulyanov, Vedaldi and Lempitsky, 2016.

    Args:
      p: {"scale": (c,), "bias": (c,)}, each optional.
      x: (..., *spatial, c), floating point.
      spatial: how many spatial axes stand before the channels.
      epsilon: added to the variance.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not p's; x has too few axes or is empty.

    >>> instance_norm({}, jnp.array([[1.0], [3.0]]), spatial=1).round(3).tolist()
    [[-1.0], [1.0]]
    """
    checks.array("instance_norm", x)
    return _group_norm("instance_norm", p, x, x.shape[-1] if x.ndim else 1, spatial, epsilon)


def _group_norm(
    layer: str, p: dict[str, jax.Array], x: jax.Array, groups: int, spatial: int, epsilon: float
) -> jax.Array:
    check_norm(layer, p, x, 1)
    checks.rank(layer, x, spatial + 1)
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"{layer}: {groups} groups do not divide the channels of {checks.describe(x)}.")
    h = wide(x).reshape(*x.shape[: -1 - spatial], -1, x.shape[-1])
    return standardize_channels(p, h, groups, epsilon)[0].reshape(x.shape).astype(x.dtype)
