"""XLA's convolution, and what stands in for it where its partitioner would sum gradients wrongly."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnn.axes import in_force
from jnn.precision import wide_dtype


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
    n = w.ndim - 2
    axes = "ZYX"[-n:]
    return jax.lax.conv_general_dilated(
        x,
        w,
        window_strides=stride,
        padding=pads,
        lhs_dilation=spread,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )


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
