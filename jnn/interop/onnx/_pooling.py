"""Pooling in space. Batch and channels come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array
from jnn.interop.onnx._space import Pads, padding_of, reach_of


def max_pool(
    x: Array,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Array:
    lowest = -np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    window = _Windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    return window.reduced(jnp.asarray(x), lowest, jax.lax.max, window.padding)


def average_pool(
    x: Array,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:
    """Of what is in the window, and of the padding if that counts; never of what `ceil_mode` adds."""
    window = _Windows(x, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    total = window.reduced(jnp.asarray(x), 0.0, jax.lax.add, window.padding)
    there = jnp.ones((1, 1, *x.shape[2:]), x.dtype)
    if count_include_pad:
        there = jnp.pad(there, [(0, 0), (0, 0), *window.padded], constant_values=1)
        more = [(0, high - own) for (_, high), (_, own) in zip(window.padding, window.padded, strict=True)]
        return total / window.reduced(there, 0.0, jax.lax.add, more)
    return total / window.reduced(there, 0.0, jax.lax.add, window.padding)


class _Windows:
    """Where the windows of a pooling lie."""

    def __init__(
        self,
        x: Array,
        kernel: list[int],
        strides: list[int] | None,
        dilations: list[int] | None,
        auto_pad: str,
        pads: list[int] | None,
        ceil_mode: int,
    ) -> None:
        ones = [1] * len(kernel)
        self.kernel, self.strides, self.dilations = kernel, strides or ones, dilations or ones
        reach = reach_of(kernel, self.dilations)
        self.padded = padding_of(auto_pad, pads, x.shape[2:], reach, self.strides)
        sides = zip(self.padded, x.shape[2:], reach, self.strides, strict=True)
        self.padding = [
            (low, high + (_missing(n, low, high, k, s) if ceil_mode else 0)) for (low, high), n, k, s in sides
        ]

    def reduced(self, x: Array, initial: float, by: Any, padding: Pads) -> Array:
        window, strides, dilations = ((1, 1, *each) for each in (self.kernel, self.strides, self.dilations))
        start = np.asarray(initial, x.dtype)
        return jax.lax.reduce_window(x, start, by, window, strides, [(0, 0), (0, 0), *padding], None, dilations)


def _missing(n: int, low: int, high: int, kernel: int, stride: int) -> int:
    """How much a last window, which begins before the end of what is padded in front, lacks behind."""
    rest = (n + low + high - kernel) % stride
    begins = n + low + high - kernel - rest + stride
    return stride - rest if rest and begins < n + low else 0


def _globally(of: Callable[..., Array]) -> Callable[[Array], Array]:
    return lambda x: of(x, tuple(range(2, x.ndim)), keepdims=True)


OPERATORS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": _globally(jnp.mean),
    "GlobalMaxPool": _globally(jnp.max),
    "MaxPool": max_pool,
}
