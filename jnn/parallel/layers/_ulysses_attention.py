"""Context parallelism by all-to-all: from a piece of the time of all heads, to the whole time of some heads, and back.

    ulysses_attention(q, k, v, mask, mesh=mesh) -> y   `dot_product_attention`, each device with its own heads

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads, `k` head size; n devices.

What moves is a piece of q, k, v and y each, however many devices there are, where the ring moves all of k and v:
cheaper on many devices as long as n divides h. Each device then runs any kernel there is for whole sequences. Where n
does not divide g, key-value heads are repeated until it does.

Laws: it is `dot_product_attention`, values and gradients; what moves are all-to-alls alone.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jnn import checks
from jnn.layers import dot_product_attention
from jnn.overrides import override
from jnn.parallel._shard_map import axis_size, shard_map


def ulysses_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None = None,
    *,
    mesh: Mesh,
    axis: str = "context",
    causal: bool = False,
    window: int | None = None,
) -> jax.Array:
    """Ulysses attention: `softmax(q k / sqrt(head)) v`, with time on an axis of the mesh.

    See "DeepSpeed Ulysses: System Optimizations for Enabling Training of Extreme Long Sequence Transformer Models",
    Jacobs et al., 2023.

    Args:
      q, k, v, causal, window: as in `jnn.parallel.ring_attention`.
      mask: bool, (..., t, s) or without the leading axes, True where a query may attend; sizes may be 1. Every device
        has all of it.
      mesh, axis: whose axis the time is cut along; along the mesh's others arrays lie as they did.

    Returns:
      (..., t, h, k), in q's dtype.

    Raises:
      ValueError: no such axis, or its devices do not divide t, s and h.

    >>> from jnn.parallel import mesh
    >>> q = k = v = jnp.ones((16, 8, 4))
    >>> ulysses_attention(q, k, v, mesh=mesh("context=-1"), causal=True).shape
    (16, 8, 4)
    """
    n, found = axis_size("ulysses_attention", mesh, axis), f"found q {checks.describe(q)} and k {checks.describe(k)}"
    if q.shape[-2] % n:
        raise ValueError(f"ulysses_attention: {n} devices do not divide the heads; {found}. Use ring_attention.")
    if q.shape[-3] % n or k.shape[-3] % n:
        raise ValueError(f"ulysses_attention: {n} devices do not divide the times; {found}. Fill up and mask the rest.")
    groups = k.shape[-2]
    repeats = math.lcm(groups, n) // groups
    cut = PartitionSpec(*[None] * (q.ndim - 3), axis)
    masks = {} if mask is None else {"mask": mask}

    @shard_map(mesh, axis, (cut, cut, cut, PartitionSpec()), cut)
    def pieces(q: jax.Array, k: jax.Array, v: jax.Array, masks: dict[str, jax.Array]) -> jax.Array:
        k, v = (jnp.repeat(x, repeats, -2) for x in (k, v))
        q, k, v = (_exchange(x, axis, split=-2, concat=-3) for x in (q, k, v))
        with override(dot_product_attention=None):  # whole sequences: the layer's own
            y = dot_product_attention(q, k, v, masks.get("mask"), causal=causal, window=window)
        return _exchange(y, axis, split=-3, concat=-2)

    return pieces(q, k, v, masks)


def _exchange(x: jax.Array, axis: str, *, split: int, concat: int) -> jax.Array:
    return jax.lax.all_to_all(x, axis, x.ndim + split, x.ndim + concat, tiled=True)
