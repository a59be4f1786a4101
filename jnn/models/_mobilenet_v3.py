"""MobileNetV3: inverted residual blocks, some with gates, behind piecewise linear activations.

What is read off no weights, a block's stride and activation, stands with its sizes in a table that spec and function
both take. Blocks are unlike each other: none is stacked. Laws: as in `_resnet`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.layers import drop_path_rates, dropout, global_avg_pool, linear, linear_spec
from jnn.models._conv_norm import Stats, conv_norm, conv_norm_spec
from jnn.models._inverted_network import rounded
from jnn.models._inverted_residual import inverted_residual, inverted_residual_spec
from jnn.param import Params, Spec, check_key, path_key


class MobileBlock(NamedTuple):
    """A block: its kernel, wide and narrow channels, whether it has a gate, hard swish instead of ReLU, its stride."""

    kernel: int
    hidden: int
    channels: int
    gated: bool
    swish: bool
    stride: int


MOBILENET_V3_LARGE = (
    MobileBlock(3, 16, 16, False, False, 1),
    MobileBlock(3, 64, 24, False, False, 2),
    MobileBlock(3, 72, 24, False, False, 1),
    MobileBlock(5, 72, 40, True, False, 2),
    *(MobileBlock(5, 120, 40, True, False, 1),) * 2,
    MobileBlock(3, 240, 80, False, True, 2),
    MobileBlock(3, 200, 80, False, True, 1),
    *(MobileBlock(3, 184, 80, False, True, 1),) * 2,
    MobileBlock(3, 480, 112, True, True, 1),
    MobileBlock(3, 672, 112, True, True, 1),
    MobileBlock(5, 672, 160, True, True, 2),
    *(MobileBlock(5, 960, 160, True, True, 1),) * 2,
)
MOBILENET_V3_SMALL = (
    MobileBlock(3, 16, 16, True, False, 2),
    MobileBlock(3, 72, 24, False, False, 2),
    MobileBlock(3, 88, 24, False, False, 1),
    MobileBlock(5, 96, 40, True, True, 2),
    *(MobileBlock(5, 240, 40, True, True, 1),) * 2,
    MobileBlock(5, 120, 48, True, True, 1),
    MobileBlock(5, 144, 48, True, True, 1),
    MobileBlock(5, 288, 96, True, True, 2),
    *(MobileBlock(5, 576, 96, True, True, 1),) * 2,
)
EPSILON = 1e-3


def mobilenet_v3_spec(
    classes: int,
    *,
    blocks: Sequence[MobileBlock] = MOBILENET_V3_LARGE,
    stem: int = 16,
    head: int = 1280,
    channels: int = 3,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a MobileNetV3.

    Args:
      classes: how many logits.
      blocks: `MOBILENET_V3_LARGE`, `MOBILENET_V3_SMALL`, or others.
      stem: channels of the first convolution; the last one has six times those of the last block.
      head: features of the hidden layer before the logits: 1280 of the large, 1024 of the small one.
      channels: of the images.
      dtype: of all.

    Returns:
      {"stem": {"conv", "norm"}, "block1": block, ..., "last": {"conv", "norm"}, "head", "out"}, where a block is
      {"expand" (where it widens), "depthwise", "project"}, each {"conv", "norm"}, and "squeeze" where it is gated

    >>> mobilenet_v3_spec(1000)["block4"]["squeeze"]["down"]["w"].shape
    (72, 24)
    """
    spec: Spec = {"stem": conv_norm_spec(channels, stem, dtype=dtype)}
    c = stem
    for i, one in enumerate(blocks, 1):
        squeeze = rounded(one.hidden // 4) if one.gated else None
        spec[f"block{i}"] = inverted_residual_spec(
            c, one.channels, kernel=one.kernel, hidden=one.hidden, squeeze=squeeze, dtype=dtype
        )
        c = one.channels
    spec["last"] = conv_norm_spec(c, 6 * c, 1, dtype=dtype)
    spec["head"] = linear_spec(6 * c, head, axes=("channels", "hidden"), dtype=dtype)
    return spec | {"out": linear_spec(head, classes, axes=("hidden", "classes"), dtype=dtype)}


def mobilenet_v3(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    blocks: Sequence[MobileBlock] = MOBILENET_V3_LARGE,
    rate: float = 0.2,
    drop_path: float = 0.0,
    stem_stride: int = 2,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, Stats]:
    """MobileNetV3: blocks `x + project(gate(depthwise(expand(x))))`, with hard swish where maps are small.

    See "Searching for MobileNetV3", Howard et al., 2019.

    Args:
      p: as `mobilenet_v3_spec` declares.
      x: (..., y, x, c), floating point.
      stats: as `batch_stats_spec(spec)` declares, to normalize by; None for the batch's own.
      key: noise for dropout and stochastic depth, None for none.
      blocks: those that p was declared for.
      rate: of dropout before the logits.
      drop_path: of stochastic depth, in the last block, as in `drop_path_rates`: blocks that add nothing are never
        dropped.
      stem_stride: of the first convolution; 1 for small images, such as CIFAR's.
      weight: of each example, as in `batch_norm`.

    Returns:
      (..., classes) logits, in x's dtype; and the statistics used.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has other channels than p was declared for, or is empty; p has not as many blocks.

    >>> from jnn.param import abstract
    >>> small, images = MOBILENET_V3_SMALL[:2], jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.float32)
    >>> p = abstract(mobilenet_v3_spec(10, blocks=small))
    >>> jax.eval_shape(lambda p, x: mobilenet_v3(p, x, key=None, blocks=small)[0], p, images).shape
    (8, 10)
    """
    checks.params("mobilenet_v3", p, "stem", "block1", "last", "head", "out")
    checks.floats("mobilenet_v3", x, ndim=3)
    check_key("mobilenet_v3", key, optional=True)
    checks.count("mobilenet_v3", "stem_stride", stem_stride)
    if len(blocks) != (declared := sum(name.startswith("block") for name in p)):
        raise ValueError(
            f"mobilenet_v3: expected the {declared} blocks that its parameters are declared for, found {len(blocks)}."
        )
    swish, seen = jax.nn.hard_swish, {}
    unit = functools.partial(conv_norm, epsilon=EPSILON, weight=weight)
    block = functools.partial(inverted_residual, gate=_hard_gate, epsilon=EPSILON, weight=weight)

    def outer(name: str, h: jax.Array, stride: int) -> jax.Array:
        h, seen[name] = unit(gather(p[name], name), h, stats and stats[name], stride=stride)
        return constrain(swish(h), "y", "x", "channels")

    noise = lambda name: None if key is None else path_key(key, name)
    h = outer("stem", x, stem_stride)
    for i, (one, drop) in enumerate(zip(blocks, drop_path_rates(len(blocks), drop_path), strict=True), 1):
        name, activation = f"block{i}", swish if one.swish else jax.nn.relu
        here, given, own = gather(p[name], name), stats and stats[name], noise(name)
        h, seen[name] = block(here, h, given, key=own, drop_path=drop, stride=one.stride, activation=activation)
    h = swish(linear(gather(p["head"], "head"), global_avg_pool(outer("last", h, 1))))
    h = dropout(h, rate, key=noise("out"))
    return linear(gather(p["out"], "out"), h), seen


def _hard_gate(p: Params, x: jax.Array) -> jax.Array:
    """`squeeze_excitation` with a piecewise linear sigmoid."""
    gate = jax.nn.hard_sigmoid(linear(p["up"], jax.nn.relu(linear(p["down"], global_avg_pool(x)))))
    return x * gate[..., None, None, :].astype(x.dtype)
