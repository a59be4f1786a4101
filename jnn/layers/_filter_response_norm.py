"""Filter response normalization: each channel of an image by its own mean square. Laws: no example sees another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import zeros
from jnn.layers._norm import layer_norm_spec, scale_and_shift
from jnn.param import Param, Spec
from jnn.precision import over_last_axes, wide


def filter_response_norm_spec(
    size: int, *, axis: str = "channels", threshold: bool = True, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares filter response normalization.

    Args:
      size: how many channels there are.
      axis: the name of that axis.
      threshold: whether a thresholded linear unit follows, initially a ReLU.
      dtype: of all parameters.

    Returns:
      {"scale": (size,), "bias": (size,), "threshold": (size,)}

    >>> filter_response_norm_spec(8)["threshold"].shape
    (8,)
    """
    spec = layer_norm_spec(size, axes=(axis,), dtype=dtype)
    return spec | ({"threshold": Param((size,), zeros, (axis,), dtype)} if threshold else {})


def filter_response_norm(
    p: dict[str, jax.Array], x: jax.Array, *, spatial: int = 2, epsilon: float = 1e-6
) -> jax.Array:
    """Filter response normalization with TLU: `max(x / sqrt(mean(x ** 2) + epsilon) * scale + bias, threshold)`.

    See "Filter Response Normalization Layer: Eliminating Batch Dependence in the Training of Deep Neural Networks",
    Singh and Krishnan, 2020. The mean is over the spatial axes of each channel of each example.

    Args:
      p: {"scale": (c,), "bias": (c,), "threshold": (c,)}, each optional.
      x: (..., *spatial, c), floating point.
      spatial: how many spatial axes there are.
      epsilon: added to the mean square; where images are one pixel it must not be small, as the paper says.

    Returns:
      x's shape and dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p; x has too few axes or is empty.

    >>> filter_response_norm({}, jnp.array([[3.0], [-3.0]]), spatial=1).round(3).squeeze(-1).tolist()
    [1.0, -1.0]
    """
    checks.params("filter_response_norm", p, may=("scale", "bias", "threshold"))
    checks.floats("filter_response_norm", x, ndim=spatial + 1)
    for leaf in p.values():
        checks.trailing("filter_response_norm", x, leaf.shape)
    h = wide(x)
    axes = tuple(range(-1 - spatial, -1))
    h = scale_and_shift(p, h * jax.lax.rsqrt(jnp.mean(jnp.square(h), axes, keepdims=True) + epsilon))
    if "threshold" in p:
        h = jnp.maximum(h, over_last_axes(p["threshold"], h))
    return h.astype(x.dtype)
