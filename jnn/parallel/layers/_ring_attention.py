"""Ring attention: the time axis in pieces, keys and values going round from device to device.

    ring_attention(q, k, v, mask, mesh=mesh) -> y     `dot_product_attention`, no device with more than its piece

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads, `r` query heads of each, `k` head size; n devices.

Every device keeps its queries and sees one piece of keys and values after another; sums of a softmax in float32 are
scaled to the largest score so far. The next piece is under way while this one is used.

With `causal`, a sequence is cut into 2n chunks and device i gets the chunks i and 2n-1-i (zig-zag order): whichever
piece comes by, half of its pairs of chunks are visible, so all devices work alike and none for nothing. Arrays come and
go in their natural order; two permutations each way change it. ("Striped Attention", Brandon et al., 2023, balances by
interleaving single tokens, which leaves every block half masked; whole chunks leave it whole.)

The backward pass goes round again with the scores' sums alone remembered, so no device ever holds all keys. It is
written by hand: there is no forward mode.

Laws: it is `dot_product_attention`, values and gradients, but for the order of sums; what moves are
collective-permutes alone.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jnn import checks
from jnn.parallel._shard_map import axis_size, shard_map
from jnn.parallel.layers import _zigzag as zigzag
from jnn.parallel.layers._ring_step import RingStep, attend_step


def ring_attention(
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
    """Ring attention: `softmax(q k / sqrt(head)) v`, with time on an axis of the mesh.

    See "Ring Attention with Blockwise Transformers for Near-Infinite Context", Liu et al., 2023.

    Args:
      q: (..., t, h, k), floating point.
      k, v: (..., s, g, k), where h is a multiple of g: each key head serves h / g neighbouring query heads.
      mask: bool, (..., t, s) or without the leading axes, True where a query may attend; sizes may be 1. Each device
        has the rows of its queries.
      mesh: whose axis the time is cut along; along its others arrays lie as they did.
      axis: its name.
      causal: row i attends to rows j <= i alone.
      window: and to rows with |i - j| < window alone.

    Returns:
      (..., t, h, k), in q's dtype; zeros for a query that may attend to nothing.

    Raises:
      ValueError: no such axis; its devices (twice their number, if causal) do not divide t and s; or causal with
        t != s.

    >>> from jnn.parallel import mesh
    >>> q = k = v = jnp.ones((16, 2, 4))
    >>> jax.jit(lambda q, k, v: ring_attention(q, k, v, mesh=mesh("context=-1"), causal=True))(q, k, v).shape
    (16, 2, 4)
    """
    n, (t, s) = axis_size("ring_attention", mesh, axis), (q.shape[-3], k.shape[-3])
    _check(q, k, 2 * n if causal else n, causal)
    cut = PartitionSpec(*[None] * (q.ndim - 3), axis)
    # a dictionary, so that an absent mask has no spec
    masks = {} if mask is None else {"mask": mask.reshape((1,) * (q.ndim - 1 - mask.ndim) + mask.shape)}
    rows = {name: axis if m.shape[-2] == t else None for name, m in masks.items()}
    mask_specs = {name: PartitionSpec(*[None] * (q.ndim - 3), row) for name, row in rows.items()}

    @shard_map(mesh, axis, (cut, cut, cut, mask_specs), cut)
    def pieces(q: jax.Array, k: jax.Array, v: jax.Array, masks: dict[str, jax.Array]) -> jax.Array:
        def chunks(x: jax.Array, time: int) -> jax.Array:
            return zigzag.enter(x, axis, time) if causal else x[None]

        how = RingStep(axis, causal, window, t, s)
        rows_of = lambda m: chunks(m, -2) if m.shape[-2] > 1 else jnp.stack([m] * how.parts)
        q, k, v = (chunks(x, -3) for x in (q, k, v))
        with how.pairs_seen():
            y = attend_step(how, _heads_first(q, k), *(jnp.swapaxes(x, -3, -2) for x in (k, v)), _map(rows_of, masks))
        y = jnp.moveaxis(y, -2, -4).reshape(q.shape)
        return zigzag.leave(y, axis, -3) if causal else y[0]

    return pieces(q, k, v, masks)


def _heads_first(q: jax.Array, k: jax.Array) -> jax.Array:
    """(..., t, h, k) -> (..., g, r, t, k)."""
    *leading, t, h, size = q.shape
    g = k.shape[-2]
    return jnp.moveaxis(q.reshape(*leading, t, g, h // g, size), -4, -2)


def _map(f: Any, masks: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: f(mask) for name, mask in masks.items()}


def _check(q: jax.Array, k: jax.Array, pieces: int, causal: bool) -> None:
    found = f"found q {checks.describe(q)} and k {checks.describe(k)}"
    if causal and q.shape[-3] != k.shape[-3]:
        raise ValueError(f"ring_attention: causal is for queries and keys of one sequence; {found}.")
    if q.shape[-3] % pieces or k.shape[-3] % pieces:
        raise ValueError(
            f"ring_attention: expected times that are multiples of {pieces}, "
            f"{'two for each device' if causal else 'the number of devices'}; {found}. Fill up and mask the rest."
        )
