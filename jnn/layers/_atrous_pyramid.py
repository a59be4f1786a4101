"""Atrous spatial pyramid pooling: one map seen with several dilations. Laws: the output's size is the input's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, he_normal
from jnn.layers._conv import conv, conv_spec
from jnn.layers._linear import linear, linear_spec
from jnn.layers._pool import global_avg_pool
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Spec


def atrous_pyramid_spec(
    c_in: int,
    c_out: int,
    branches: int = 3,
    *,
    kernel: Sequence[int] = (3, 3),
    init: Init = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares atrous spatial pyramid pooling.

    Args:
      c_in: channels of the input.
      c_out: channels of each branch and of the output.
      branches: dilated convolutions, beside a linear map of each place and one of the mean of all.
      kernel: of each of these convolutions.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"place": linear, "branches": [conv, ...], "mean": linear, "out": linear}

    >>> atrous_pyramid_spec(8, 4)["out"]["w"].shape
    (20, 4)
    """
    axes = ("channels_in", "channels_out")
    point = lambda c: linear_spec(c, c_out, axes=axes, init=init, dtype=dtype)
    return {
        "place": point(c_in),
        "branches": [conv_spec(c_in, c_out, kernel, init=init, dtype=dtype) for _ in range(branches)],
        "mean": point(c_in),
        "out": point((branches + 2) * c_out),
    }


def atrous_pyramid(
    p: dict[str, Any],
    x: jax.Array,
    dilations: Sequence[int] = (6, 12, 18),
    *,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
) -> jax.Array:
    """Atrous spatial pyramid pooling (ASPP): dilated convolutions side by side, and the mean of the image.

    See "Rethinking Atrous Convolution for Semantic Image Segmentation", Chen et al., 2017; its batch normalizations
    are left to the caller.

    Args:
      p: as `atrous_pyramid_spec` returns.
      x: (..., *spatial, c_in), floating point.
      dilations: one for each branch.
      activation: of each branch and of the output.

    Returns:
      (..., *spatial, c_out), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p, x is empty, or not as many dilations as branches.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), atrous_pyramid_spec(8, 4))
    >>> atrous_pyramid(p, jnp.ones((5, 6, 8))).shape
    (5, 6, 4)
    """
    checks.params("atrous_pyramid", p, "place", "mean", "out")
    checks.map_parts("atrous_pyramid", p, "place")
    checks.map_parts("atrous_pyramid", p["branches"], *range(len(p["branches"])), what="params['branches']")
    if len(dilations) != len(p["branches"]):
        raise ValueError(f"atrous_pyramid: expected a dilation per branch, {len(p['branches'])}, found {dilations}.")
    spatial = len(weight_shape(p["branches"][0]["w"])) - 2 if p["branches"] else 2
    checks.floats("atrous_pyramid", x, ndim=spatial + 1)
    checks.trailing("atrous_pyramid", x, weight_shape(p["place"]["w"])[:1])
    mean = linear(p["mean"], global_avg_pool(x, spatial=spatial))
    mean = jnp.expand_dims(mean, range(-1 - spatial, -1))
    seen = [linear(p["place"], x), *(conv(b, x, dilation=d) for b, d in zip(p["branches"], dilations, strict=True))]
    seen.append(jnp.broadcast_to(mean, seen[0].shape))
    return activation(linear(p["out"], activation(jnp.concatenate(seen, -1))))
