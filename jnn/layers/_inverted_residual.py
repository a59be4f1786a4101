"""Inverted residual, or MBConv: a narrow map widened, convolved depthwise and narrowed again.

Laws: statistics go in and come out as in `batch_norm`; a part is used iff p has it; the input is added iff the output
has its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, VarianceScaling, he_normal
from jnn.layers._batch_norm import Stats, batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.layers._channel_attention import squeeze_excitation, squeeze_excitation_spec
from jnn.layers._depthwise import depthwise_conv, depthwise_conv_spec
from jnn.layers._linear import linear, linear_spec
from jnn.param import Spec


def inverted_residual_spec(
    c_in: int,
    c_out: int,
    *,
    kernel: Sequence[int] = (3, 3),
    expand: int = 6,
    squeeze: int | None = None,
    init: Initializer | VarianceScaling = he_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an inverted residual.

    Args:
      c_in: channels of the input.
      c_out: channels of the output.
      kernel: of the depthwise convolution.
      expand: how many times wider it is within; 1 has no first map.
      squeeze: features of a squeeze-and-excitation gate, such as c_in / 4; None: no gate.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"expand": linear, "depthwise": conv, "squeeze": gate, "project": linear, "norms": {"expand", "depthwise",
      "project"}}, without "expand" or "squeeze" where there is none.

    >>> inverted_residual_spec(8, 16)["project"]["w"].shape
    (48, 16)
    """
    wide, axes = c_in * expand, ("channels_in", "channels_out")
    sizes = ({"expand": wide} if expand > 1 else {}) | {"depthwise": wide, "project": c_out}
    point = lambda a, b: linear_spec(a, b, axes=axes, bias=False, init=init, dtype=dtype)
    spec: Spec = {"expand": point(c_in, wide)} if expand > 1 else {}
    spec["depthwise"] = depthwise_conv_spec(wide, kernel, bias=False, init=init, dtype=dtype)
    if squeeze is not None:
        spec["squeeze"] = squeeze_excitation_spec(wide, squeeze, dtype=dtype)
    spec["project"] = point(wide, c_out)
    return spec | {"norms": {name: batch_norm_spec(size, dtype=dtype) for name, size in sizes.items()}}


def inverted_residual_stats_spec(spec: Spec) -> Spec:
    """Declares the running statistics of an inverted residual's norms, from its own declaration.

    >>> inverted_residual_stats_spec(inverted_residual_spec(8, 16))["project"]["mean"].shape
    (16,)
    """
    return {name: batch_norm_stats_spec(norm["scale"].shape[0]) for name, norm in spec["norms"].items()}


def inverted_residual(
    p: dict[str, Any],
    x: jax.Array,
    stats: dict[str, Stats] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu6,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, Stats]]:
    """Inverted residual, or mobile bottleneck (MBConv): expand, convolve depthwise, gate, project, and add the input.

    See "MobileNetV2: Inverted Residuals and Linear Bottlenecks", Sandler et al., 2018; the gate, and `jax.nn.silu`:
    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan and Le, 2019.

    Args:
      p: as `inverted_residual_spec` returns.
      x: (..., *spatial, c_in), floating point.
      stats: of each norm, to normalize by, or None for x's own.
      stride: of the depthwise convolution.
      activation: behind the first two norms.
      weight: how much each example counts in statistics, as in `batch_norm`.

    Returns:
      (..., *out, c_out), in x's dtype; and the statistics used, of each norm.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's channels are not those of p, or x is empty.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), inverted_residual_spec(8, 16))
    >>> inverted_residual(p, jnp.ones((2, 4, 4, 8)), stride=2)[0].shape
    (2, 2, 2, 16)
    """
    checks.params("inverted_residual", p, "depthwise", "project", "norms")
    used: dict[str, Stats] = {}

    def norm(name: str, h: jax.Array) -> jax.Array:
        h, used[name] = batch_norm(p["norms"][name], h, None if stats is None else stats[name], weight=weight)
        return h

    h = x
    if "expand" in p:
        h = activation(norm("expand", linear(p["expand"], h)))
    h = activation(norm("depthwise", depthwise_conv(p["depthwise"], h, stride=stride)))
    if "squeeze" in p:
        h = squeeze_excitation(p["squeeze"], h, activation=activation, spatial=p["depthwise"]["w"].ndim - 2)
    h = norm("project", linear(p["project"], h))
    return (h + x.astype(h.dtype) if h.shape == x.shape else h), used
