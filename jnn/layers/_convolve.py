"""XLA's convolution; its gradient with channels last, and what stands in where XLA's partitioner would sum it wrongly.

XLA:CPU takes its fast convolution for operands with channels last alone (`N y x C`, `y x I O`). It turns others, as the
transpose of a convolution has, but in the outermost program only: in the body of a loop (stacked layers, micro-batches,
several steps a call) they run as a scalar loop (JAX 0.10.2; github.com/jax-ml/jax/issues/12868). So the derivative here
is two convolutions whose transposes have channels last, and the turning is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jnn import backend
from jnn.axes import in_force
from jnn.precision import wide_dtype


class _Window(NamedTuple):
    """How a kernel slides: `jax.lax.conv_general_dilated`'s arguments, one number or pair a spatial axis."""

    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    spread: tuple[int, ...]
    dilation: tuple[int, ...]


def convolve(
    x: jax.Array,
    w: jax.Array,
    pads: Sequence[tuple[int, int]],
    *,
    stride: Sequence[int],
    spread: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> jax.Array:
    """XLA's convolution of x (b, *spatial, c), with zeros between x's elements where `spread` > 1."""
    if groups > 1 and _rows_are_repeated(x):
        return _by_taps(x, w, pads, stride=stride, spread=spread, dilation=dilation, groups=groups)
    window = _Window(tuple(stride), tuple(pads), tuple(spread), tuple(dilation))
    if groups == 1 and backend.choose("conv_gradient") == "channels_last":
        return _channels_last(x, w, window)
    return _convolve(x, w, window, groups=groups)


def _convolve(
    x: jax.Array,
    w: jax.Array,
    window: _Window,
    axes: tuple[str, str, str] = ("N*C", "*IO", "N*C"),
    groups: int = 1,
) -> jax.Array:
    """XLA's convolution of operands whose axes are these, where * stands for all of space."""
    spatial = "ZYX"[-len(window.stride) :]
    x_axes, w_axes, y_axes = (names.replace("*", spatial) for names in axes)
    return jax.lax.conv_general_dilated(
        x, w, *window, dimension_numbers=(x_axes, w_axes, y_axes), feature_group_count=groups
    )


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _channels_last(x: jax.Array, w: jax.Array, window: _Window) -> jax.Array:
    return _convolve(x, w, window)


@partial(_channels_last.defjvp, symbolic_zeros=True)
def _channels_last_jvp(
    window: _Window, primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x, w), (dx, dw) = primals, tangents
    along = []
    if not isinstance(dx, SymbolicZero):
        along.append(_convolve(dx, jnp.swapaxes(w, -1, -2), window, ("N*C", "*OI", "N*C")))
    if not isinstance(dw, SymbolicZero):
        turned = _convolve(jnp.swapaxes(x, 0, -1), jnp.moveaxis(dw, -2, 0), window, ("C*N", "I*O", "*NC"))
        along.append(jnp.moveaxis(turned, -2, 0))
    return _channels_last(x, w, window), sum(along[1:], along[0])


def _rows_are_repeated(x: jax.Array) -> bool:
    """Whether a layout gives the same rows of a batch to several devices.

    XLA's partitioner (JAX 0.10.2, Shardy or not) then sums the gradient of a grouped convolution's kernel over all
    devices, each row as often as it is there: on data=4, tensor=2 it is twice what it should be.
    """
    layout = in_force()
    if layout is None:
        return False
    rows = layout.activation(x.shape[:1], ("batch",))  # within a `shard_map` it cannot be asked for its shards
    axes = {axis for rule in rows.spec if rule for axis in ((rule,) if isinstance(rule, str) else rule)}
    return any(size > 1 for axis, size in rows.mesh.shape.items() if axis not in axes)


def _by_taps(
    x: jax.Array,
    w: jax.Array,
    pads: Sequence[tuple[int, int]],
    *,
    stride: Sequence[int],
    spread: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> jax.Array:
    """`convolve` as a sum of products, one for each element of the kernel."""
    edges = [(before, after, s - 1) for (before, after), s in zip(pads, spread, strict=True)]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    reach = [d * (k - 1) for d, k in zip(dilation, w.shape[:-2], strict=True)]
    sums = wide_dtype(x)
    y = jnp.zeros((), sums)
    for at in np.ndindex(*w.shape[:-2]):
        first = [d * k for d, k in zip(dilation, at, strict=True)]
        last = [size - r + f for size, r, f in zip(x.shape[1:-1], reach, first, strict=True)]
        tap = jax.lax.slice(x, (0, *first, 0), (x.shape[0], *last, x.shape[-1]), (1, *stride, 1))
        tap = tap.reshape(*tap.shape[:-1], groups, -1)
        filters = w[at].reshape(w.shape[-2], groups, -1)
        y = y + jnp.einsum("...gi,igo->...go", tap, filters, preferred_element_type=sums)
    return y.reshape(*y.shape[:-2], -1).astype(x.dtype)
