"""Convolutions in space. Batch and channels come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.interop.onnx._arrays import Array, like, of_channels
from jnn.interop.onnx._space import Pads, padding_of, reach_of


def _convolved(x: Array, w: Array, b: Array | None, padding: Pads, group: int, **spaced: list[int]) -> Array:
    """x (n, c, ...) convolved with w (o, i, ...), spaced by what `jax.lax` names so, and b added."""
    rank = x.ndim - 2
    space = "DHW"[3 - rank :]
    how: dict[str, Any] = {"window_strides": [1] * rank, "padding": padding, "feature_group_count": group} | spaced
    names = f"NC{space}", f"OI{space}", f"NC{space}"
    y = jax.lax.conv_general_dilated(jnp.asarray(x), jnp.asarray(w), dimension_numbers=names, **how)
    return y if b is None else y + of_channels(like(b, y), y)


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:
    ones = [1] * (x.ndim - 2)
    strides, dilations = strides or ones, dilations or ones
    padding = padding_of(auto_pad, pads, x.shape[2:], reach_of(w.shape[2:], dilations), strides)
    return _convolved(x, like(w, x), b, padding, group, window_strides=strides, rhs_dilation=dilations)


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:
    """A convolution of x with zeros between its elements, by the kernel turned around."""
    rank = x.ndim - 2
    ones = [1] * rank
    strides, dilations, extra = strides or ones, dilations or ones, output_padding or [0] * rank
    reach = reach_of(w.shape[2:], dilations)
    full = [(n - 1) * s + k + e for n, s, k, e in zip(x.shape[2:], strides, reach, extra, strict=True)]
    if output_shape is not None or auto_pad.startswith("SAME"):
        wanted = output_shape[-rank:] if output_shape else [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        total = [max(n - out, 0) for n, out in zip(full, wanted, strict=True)]
        first = [n // 2 if auto_pad == "SAME_UPPER" else n - n // 2 for n in total]
        cut = [(low, n - low) for low, n in zip(first, total, strict=True)]
    else:
        cut = padding_of(auto_pad, pads, x.shape[2:], reach, strides)
    padding = [(k - 1 - low, k - 1 - high + e) for k, (low, high), e in zip(reach, cut, extra, strict=True)]
    w = jnp.asarray(like(w, x))
    w = w.reshape(group, -1, *w.shape[1:]).swapaxes(1, 2)  # (group, out, in, ...)
    w = jnp.flip(w.reshape(-1, *w.shape[2:]), range(2, rank + 2))
    return _convolved(x, w, b, padding, group, lhs_dilation=strides, rhs_dilation=dilations)


OPERATORS: dict[str, Callable[..., Any]] = {"Conv": conv, "ConvTranspose": conv_transpose}
