"""Inverted residual, or MBConv: a narrow map widened, convolved depthwise and narrowed again, each with a batch norm.

    inverted_residual(p, x, stats, key=key)     each of the three by itself
    fused_residual(p, x, stats, key=key)        the first two, or all, are one convolution: Fused-MBConv

Laws: as in `_conv_norm`; a part ("expand", a gate "squeeze") is used iff p has it; the input is added iff the output
has its shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import squeeze_excitation, squeeze_excitation_spec, weight_shape
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._residual_stages import added
from jnn.param import Params, Spec

Activation = Callable[[jax.Array], jax.Array]
Gate = Callable[[Params, jax.Array], jax.Array]  # (p, x) -> x, each channel scaled


def inverted_residual_spec(
    c_in: int,
    c_out: int,
    *,
    kernel: int = 3,
    hidden: int | None = None,
    squeeze: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an inverted residual of images.

    Args:
      c_in: channels of the input.
      c_out: channels of the output.
      kernel: height and width of the depthwise convolution; odd.
      hidden: channels within; 6 * c_in by default. Those of the input have no first convolution.
      squeeze: features of a squeeze-and-excitation gate, such as c_in / 4; None: no gate.
      dtype: of all.

    Returns:
      {"expand", "depthwise", "squeeze", "project"}, each {"conv", "norm"} but "squeeze", a gate; without "expand" or
      "squeeze" where there is none

    >>> inverted_residual_spec(8, 16)["project"]["conv"]["w"].shape
    (1, 1, 48, 16)
    """
    hidden = 6 * c_in if hidden is None else hidden
    expand = {"expand": conv_norm_spec(c_in, hidden, 1, dtype=dtype)} if hidden != c_in else {}
    gate = {} if squeeze is None else {"squeeze": squeeze_excitation_spec(hidden, squeeze, dtype=dtype)}
    depthwise = conv_norm_spec(hidden, hidden, kernel, groups=hidden, dtype=dtype)
    return {**expand, "depthwise": depthwise, **gate, "project": conv_norm_spec(hidden, c_out, 1, dtype=dtype)}


def inverted_residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    stride: int = 1,
    activation: Activation = jax.nn.relu6,
    gate: Gate | None = None,
    padding: str | int | None = None,
    epsilon: float = 1e-5,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """Inverted residual, or mobile bottleneck (MBConv): `x + project(gate(depthwise(expand(x))))`.

    See "MobileNetV2: Inverted Residuals and Linear Bottlenecks", Sandler et al., 2018; the gate, and `jax.nn.silu`:
    "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", Tan and Le, 2019.

    Args:
      p: as `inverted_residual_spec` declares.
      x: (..., y, x, c_in), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for stochastic depth, None for none.
      drop_path: how often an example leaves out what is added to x, as in `drop_path`; nothing where nothing is added.
      stride: of the depthwise convolution.
      activation: behind the first two norms.
      gate: computes with "squeeze"; `squeeze_excitation` with the same activation by default.
      padding: of the depthwise convolution, as in `conv`; half its kernel on all sides by default, as in torch.
      epsilon: of the batch norms.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., y / stride, x / stride, c_out), in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty.

    >>> import jnn
    >>> p = jnn.init(inverted_residual_spec(8, 16), jax.random.key(0))
    >>> inverted_residual(p, jnp.ones((2, 4, 4, 8)), key=None, stride=2)[0].shape
    (2, 2, 2, 16)
    """
    checks.params("inverted_residual", p, "depthwise", "project")
    checks.floats("inverted_residual", x, ndim=3)
    unit = partial(conv_norm, padding=padding, epsilon=epsilon, weight=weight)
    gate = partial(squeeze_excitation, activation=activation) if gate is None else gate
    h, seen = x, {}
    if "expand" in p:
        h, seen["expand"] = unit(p["expand"], h, stats and stats["expand"])
        h = activation(h)
    # of half the channels the filters would be taken for two each, a multiplier
    checks.trailing("inverted_residual", h, weight_shape(p["depthwise"]["conv"]["w"])[-1:])
    h, seen["depthwise"] = unit(p["depthwise"], h, stats and stats["depthwise"], stride=stride, grouped=True)
    h = activation(h)
    h = gate(p["squeeze"], h) if "squeeze" in p else h
    h, seen["project"] = unit(p["project"], h, stats and stats["project"])
    return (added(x, h, drop_path, key) if x.shape == h.shape else h), seen


def fused_residual_spec(c_in: int, c_out: int, *, kernel: int = 3, hidden: int, dtype: DTypeLike = jnp.float32) -> Spec:
    """{"expand", "project"}, or {"project"} alone of the kernel where nothing widens, each {"conv", "norm"}."""
    if hidden == c_in:
        return {"project": conv_norm_spec(c_in, c_out, kernel, dtype=dtype)}
    return {
        "expand": conv_norm_spec(c_in, hidden, kernel, dtype=dtype),
        "project": conv_norm_spec(hidden, c_out, 1, dtype=dtype),
    }


def fused_residual(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    *,
    key: jax.Array | None,
    drop_path: float = 0.0,
    stride: int,
    activation: Activation,
    padding: str | int | None,
    epsilon: float,
    weight: jax.Array | None,
) -> tuple[jax.Array, Stats]:
    """Fused inverted residual (Fused-MBConv): `x + project(expand(x))`; "project" alone has an activation behind it."""
    unit = partial(conv_norm, padding=padding, epsilon=epsilon, weight=weight)
    h, seen, wide = x, {}, "expand" in p
    if wide:
        h, seen["expand"] = unit(p["expand"], h, stats and stats["expand"], stride=stride)
        h = activation(h)
    h, seen["project"] = unit(p["project"], h, stats and stats["project"], stride=1 if wide else stride)
    h = h if wide else activation(h)
    return (added(x, h, drop_path, key) if x.shape == h.shape else h), seen
