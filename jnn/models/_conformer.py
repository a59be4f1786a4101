"""Conformer: an encoder of sound, whose blocks attend to all frames, and convolve those that are near.

    conformer(p, x, stats, key=key) -> (y, stats)
    conformer_stats_spec(spec) -> spec          the running statistics of its batch norms

Laws: as many blocks as p holds, their heads and kernel read off the weights; what stands past a length changes nothing,
neither an output nor a statistic; given the statistics that a batch had, the output is the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import glu, silu
from jnn.axes import constrain, gather
from jnn.layers import (
    Rotate,
    attention,
    attention_spec,
    batch_norm,
    batch_norm_spec,
    depthwise_conv,
    depthwise_conv_spec,
    dropout,
    feed_forward,
    feed_forward_spec,
    layer_norm,
    layer_norm_spec,
    length_mask,
    linear,
    linear_spec,
    rotary,
)
from jnn.models._conv_norm import Stats, batch_stats_spec
from jnn.models._stochastic_depth import depth_of
from jnn.param import Params, Spec, check_key, stack

BRANCHES = ("forward1", "attention", "conv", "forward2")  # in this order


def conformer_spec(
    d: int,
    *,
    layers: int,
    heads: int,
    hidden: int | None = None,
    kernel: int = 31,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a conformer: stacked blocks, each with its four branches and their norms.

    The paper's small, medium and large ones have d=144, 256 and 512, 16, 16 and 17 layers, and 4, 4 and 8 heads.

    Args:
      d: the features of a frame, before, between and after the blocks.
      layers: how many blocks there are.
      heads: of attention.
      hidden: the width inside the feed-forward networks; 4 * d by default.
      kernel: how many frames the convolution sees; 32 in the paper, odd here, so that both sides are the same.
      dtype: of all.

    Returns:
      {"blocks": {"norm_forward1", "forward1", "norm_attention", "attention", "norm_conv", "conv", "norm_forward2",
      "forward2", "norm"}}, with a leading axis "layers".

    Raises:
      ValueError: the kernel is even, or heads do not divide d.

    >>> spec = conformer_spec(144, layers=16, heads=4)
    >>> spec["blocks"]["conv"]["depthwise"]["w"].shape
    (16, 31, 1, 144)
    """
    if kernel % 2 == 0:
        raise ValueError(f"conformer_spec: expected an odd kernel, found {kernel}.")
    forward = feed_forward_spec(d, 4 * d if hidden is None else hidden, dtype=dtype)
    parts = {
        "forward1": forward,
        "attention": attention_spec(d, heads, dtype=dtype),
        "conv": _convolution_spec(d, kernel, dtype),
        "forward2": forward,
    }
    norms = {name: layer_norm_spec(d, dtype=dtype) for name in (*(f"norm_{part}" for part in parts), "norm")}
    return {"blocks": stack(parts | norms, layers)}


def conformer_stats_spec(spec: Spec) -> Spec:
    """Declares the running statistics of a conformer's batch norms: {"blocks": {"conv": {"norm": {"mean", "var"}}}}.

    Args:
      spec: as `conformer_spec` declares.

    >>> conformer_stats_spec(conformer_spec(8, layers=3, heads=2))["blocks"]["conv"]["norm"]["var"].shape
    (3, 8)
    """
    return {"blocks": batch_stats_spec({"conv": spec["blocks"]["conv"]})}


def conformer(
    p: Params,
    x: jax.Array,
    stats: Stats | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    lengths: jax.Array | None = None,
    weight: jax.Array | None = None,
    rotate: Rotate | None = rotary,
) -> tuple[jax.Array, Stats]:
    """Conformer: blocks of half a feed-forward network, attention, a gated convolution, the other half, and a norm.

    See "Conformer: Convolution-augmented Transformer for Speech Recognition", Gulati et al., 2020. Where frames stand
    is told by `rotary`, where the paper has Transformer-XL's positions.

    Args:
      p: as `conformer_spec` declares.
      x: (..., t, d), floating point, with at least one leading axis where there are no stats.
      stats: as `conformer_stats_spec` declares, to normalize the convolutions by; None for the batch's own.
      key: noise for dropout, None for none.
      rate: of dropout, on what each branch adds.
      lengths: (...), integers: how many frames of each row there are; all by default. Behind them x may hold anything.
      weight: (...), how much each row counts in the batch's own statistics; 1 by default.
      rotate: turns queries and keys by their positions; None for attention that knows of none.

    Returns:
      (..., t, d), in x's dtype, zeros past a length; and the statistics used.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: x is empty or has other features than p was declared for; there is not one length for each row, or
        it is more than the frames.

    >>> from jnn.param import init
    >>> p = init(conformer_spec(8, layers=2, heads=2, kernel=3), jax.random.key(0))
    >>> conformer(p, jnp.ones((3, 10, 8)), lengths=jnp.array([10, 7, 1]), key=None)[0].shape
    (3, 10, 8)
    """
    checks.params("conformer", p, "blocks")
    checks.params("conformer", p["blocks"]["norm"], "scale", "bias", what="params['blocks']['norm']")
    checks.floats("conformer", x, ndim=2)
    check_key("conformer", key, optional=True)
    real = None if lengths is None else _real(x, lengths)
    block = partial(_block, rate=rate, real=real, weight=_frame_weight(real, weight), rotate=rotate)

    def body(x: jax.Array, one: tuple[Params, Stats | None, jax.Array | None]) -> tuple[jax.Array, Stats]:
        own, stats, key = one
        x, seen = block(gather(own, "blocks"), x, stats, key)
        return constrain(x, "time", "embed"), seen

    keys = None if key is None else jax.random.split(key, depth_of(p["blocks"]))
    y, seen = jax.lax.scan(body, _only(real, x), (p["blocks"], stats and stats["blocks"], keys))
    return _only(real, y), {"blocks": seen}


def _block(
    p: Params,
    x: jax.Array,
    stats: Stats | None,
    key: jax.Array | None,
    *,
    rate: float,
    real: jax.Array | None,
    weight: jax.Array | None,
    rotate: Rotate | None,
) -> tuple[jax.Array, Stats]:
    """One block; of its frames those that are real are seen by others."""
    mask = None if real is None else real[..., None, :]
    noise = dict(zip(BRANCHES, [None] * 4 if key is None else jax.random.split(key, 4), strict=True))
    normed = lambda name, x: layer_norm(p[f"norm_{name}"], x)
    dropped = lambda name, h: dropout(h, rate, key=noise[name])
    half = lambda name, x: x + 0.5 * dropped(name, feed_forward(p[name], normed(name, x), activation=silu))
    x = half("forward1", x)
    x = x + dropped("attention", attention(p["attention"], normed("attention", x), mask=mask, rotate=rotate))
    h, seen = _convolution(p["conv"], _only(real, normed("conv", x)), stats and stats["conv"], real, weight)
    x = half("forward2", x + dropped("conv", h))
    return layer_norm(p["norm"], x), {"conv": seen}


def _convolution_spec(d: int, kernel: int, dtype: DTypeLike) -> Spec:
    return {
        "in": linear_spec(d, 2 * d, dtype=dtype),
        "depthwise": depthwise_conv_spec(d, (kernel,), axes=("channels_in", "hidden"), bias=False, dtype=dtype),
        "norm": batch_norm_spec(d, axis="hidden", dtype=dtype),
        "out": linear_spec(d, d, axes=("hidden", "embed"), dtype=dtype),
    }


def _convolution(
    p: Params, x: jax.Array, stats: Stats | None, real: jax.Array | None, weight: jax.Array | None
) -> tuple[jax.Array, Stats]:
    """A gated linear unit, a filter for each channel, batch norm and SiLU, and a mix of the channels."""
    h = depthwise_conv(p["depthwise"], _only(real, glu(linear(p["in"], x))))
    h, seen = batch_norm(p["norm"], h, stats and stats["norm"], weight=weight)
    return linear(p["out"], silu(h)), {"norm": seen}


def _real(x: jax.Array, lengths: jax.Array) -> jax.Array:
    """Which frames lie within their row's length, (..., t)."""
    checks.integers("conformer", lengths, name="lengths")
    if lengths.shape != x.shape[:-2]:
        raise ValueError(
            f"conformer: expected lengths {x.shape[:-2]}, one for each row of x {checks.describe(x)}, found "
            f"{checks.describe(lengths)}."
        )
    checks.lengths("conformer", lengths, x.shape[-2], of="frames")
    return length_mask(lengths, x.shape[-2])[..., 0, :]


def _frame_weight(real: jax.Array | None, weight: jax.Array | None) -> jax.Array | None:
    """How much each frame counts, (..., t); where all do, that of each row, or None."""
    if real is None or weight is None:
        return weight if real is None else real
    return real * weight[..., None]


def _only(real: jax.Array | None, x: Any) -> jax.Array:
    """Frames that are real, and zeros in the place of others."""
    return x if real is None else jnp.where(real[..., None], x, 0)
