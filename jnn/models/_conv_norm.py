"""Convolution and batch norm as one unit, and the running statistics of all units of a model.

    conv_norm(p, x, stats) -> (y, stats)
    batch_stats_spec(spec) -> spec          what `create_state(stats=...)` and a given `stats` hold

Laws: statistics come out under the names of their norms; given back, they give the same output as the batch that they
were taken of.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, ones, zeros
from jnn.layers import batch_norm, batch_norm_spec, conv, conv_spec, depthwise_conv, weight_shape
from jnn.param import Param, Params, Spec

Stats = dict[str, Any]  # nested, by the names of the norms


def conv_norm_spec(
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int] = 3,
    *,
    groups: int = 1,
    scale: Initializer = ones,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a convolution of images without bias, and the batch norm behind it: {"conv", "norm"}.

    Args:
      c_in, c_out, groups, dtype: as in `conv_spec`.
      kernel: its height and width, one number or two; odd, so that the padding of both sides is the same.
      scale: initial values of the norm's scale.

    >>> conv_norm_spec(3, 8)["conv"]["w"].shape
    (3, 3, 3, 8)
    """
    size = (kernel, kernel) if isinstance(kernel, int) else kernel
    return {
        "conv": conv_spec(c_in, c_out, size, groups=groups, bias=False, dtype=dtype),
        "norm": batch_norm_spec(c_out, init=scale, dtype=dtype),
    }


def conv_norm(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    *,
    stride: int = 1,
    grouped: bool = False,
    padding: str | int | None = None,
    epsilon: float = 1e-5,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Convolution, then batch norm.

    Args:
      p: as `conv_norm_spec` declares.
      x: (..., y, x, c), floating point.
      stats: {"norm": {"mean", "var"}} to normalize by, or None for the batch's own.
      stride, grouped, padding: of the convolution, as in `padded_conv`.
      epsilon, weight: as in `batch_norm`.

    Returns:
      (..., y / stride, x / stride, c_out), in x's dtype; and {"norm": the statistics used}.

    >>> import jnn
    >>> p = jnn.init(conv_norm_spec(3, 8), jax.random.key(0))
    >>> y, stats = conv_norm(p, jnp.ones((2, 4, 4, 3)), None, stride=2)
    >>> y.shape, stats["norm"]["mean"].shape
    ((2, 2, 2, 8), (8,))
    """
    h = padded_conv(p["conv"], x, stride=stride, grouped=grouped, padding=padding)
    h, seen = batch_norm(p["norm"], h, stats and stats["norm"], weight=weight, epsilon=epsilon)
    return h, {"norm": seen}


def padded_conv(
    p: Params, x: jax.Array, *, stride: int = 1, grouped: bool = False, padding: str | int | None = None
) -> jax.Array:
    """Convolution of images with half its kernel of zeros on all sides, also where it strides ("SAME" has fewer).

    Only a `grouped` one reads off the weights how many groups there are: whoever reads images must not take those of
    other channels for groups.
    """
    checks.params("conv", p, "w", may=("b",), quantized=True)
    checks.array("conv", x)
    *size, c_in, _ = weight_shape(p["w"])
    pads = [n // 2 for n in size] if padding is None else padding
    if not grouped:
        return conv(p, x, stride=stride, padding=pads)
    if c_in == 1 < x.shape[-1]:
        return depthwise_conv(p, x, stride=stride, padding=pads)
    return conv(p, x, stride=stride, padding=pads, groups=max(1, x.shape[-1] // c_in))


def batch_stats_spec(spec: Spec) -> Spec:
    """Declares the running statistics of a model's batch norms: {"mean", "var"} at the path of each "norm...".

    Args:
      spec: the model's; its batch norms are the parts whose names begin with "norm".

    Returns:
      Nested as spec is, float32; variances are 1 at first, means 0.

    >>> batch_stats_spec({"stem": conv_norm_spec(3, 8)})["stem"]["norm"]["var"].shape
    (8,)
    """
    found = {}
    for name, part in spec.items():
        if name.startswith("norm"):
            found[name] = {"mean": _like(part["scale"], zeros), "var": _like(part["scale"], ones)}
        elif isinstance(part, dict) and (inner := batch_stats_spec(part)):
            found[name] = inner
    return found


def _like(param: Param, init: Initializer) -> Param:
    return dataclasses.replace(param, init=init, dtype=jnp.float32)
