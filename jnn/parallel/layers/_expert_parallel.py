"""Expert parallelism: each device has some of the experts, and tokens go to theirs and back by all-to-all.

    expert_parallel(p, x, routing, activation, mesh=mesh) -> y        `jnn.layers.mixture_of_experts`, its answers

Axes: `d` embed, `e` experts, `k` chosen ones; n devices along the axis, r = tokens of a device * k rows.

Tokens are cut over the devices that share the batch, and these lie along the axis of experts too, so that the layers
between work on distinct rows as well. No token is dropped, however uneven the routing: each device has room for all r
rows of each other. Where there is a ragged all-to-all (TPU, GPU) only the rows that go somewhere move, and the experts'
kernel stops at the last of them; elsewhere the whole room is moved and computed ("exchange" in `jnn.backend.TABLE`).

Laws: it is the layer, values and gradients; what moves are all-to-alls alone.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jnn import checks, flop_marks
from jnn.backend import choose
from jnn.layers import Activation, Routing, expert_mlps, weigh_experts
from jnn.layers.kernels import blocks, group_of, ragged, sort_by_group
from jnn.parallel._rules import rule_axes
from jnn.parallel._shard_map import axis_size, free_axes, shard_map
from jnn.param import Params


def expert_parallel(
    p: Params, x: jax.Array, routing: Routing, activation: Activation, *, mesh: Mesh, axis: str = "expert"
) -> jax.Array:
    """Expert parallelism: the weighted sum of each token's experts' answers, with the experts on an axis of the mesh.

    See "GShard: Scaling Giant Models with Conditional Computation", Lepikhin et al., 2020.

    Args:
      p: as `mixture_of_experts_spec` declares; the number of experts is a multiple of that of devices.
      x: (..., d), floating point.
      routing: of these tokens, from `route`.
      activation: as in `mixture_of_experts`.
      mesh, axis: the experts lie along the axis, tokens along all that share rows or times.

    Returns:
      (..., d), in x's dtype.

    Raises:
      ValueError: no such axis; its devices do not divide the experts; or those that share them, the tokens.
    """
    n, e = axis_size("expert_parallel", mesh, axis), p["up"]["w"].shape[0]
    if e % n:
        raise ValueError(f"expert_parallel: {n} devices do not divide the {e} experts.")
    batch = free_axes(mesh, "slice", "data", "fsdp", axis, "stage")
    time = [name for name in free_axes(mesh, "context") if mesh.shape[name] > 1 and x.ndim > 2]
    shape = x.shape
    if not time:  # then rows and times are tokens alike
        x, routing = jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), (x, routing))
    cut = PartitionSpec(batch, *[None] * (x.ndim - 3), *time)
    _check(mesh, cut, x)
    weights = {name: p[name] for name in ("up", "gate", "down") if name in p}
    has_ragged = choose("exchange") == "ragged"

    @shard_map(mesh, (*batch, *time), (PartitionSpec(axis), cut, cut), cut)
    def pieces(p: Params, x: jax.Array, routing: Routing) -> jax.Array:
        return _local(p, x, routing, activation, axis=axis, has_ragged=has_ragged)

    return pieces(weights, x, routing).reshape(shape)


def _local(
    p: Params, x: jax.Array, routing: Routing, activation: Activation, *, axis: str, has_ragged: bool
) -> jax.Array:
    """One device's part: out to the experts, through this device's own, and back."""
    n, own, top = jax.lax.axis_size(axis), p["up"]["w"].shape[0], routing.experts.shape[-1]
    tokens = x.reshape(-1, x.shape[-1])
    sizes, order = sort_by_group(routing.experts.reshape(-1), n * own)
    counts = sizes.reshape(n, own)  # of the rows for each device's experts
    come = _swap(counts, axis)  # of those from each device, for this one's
    swap = partial(_swap_ragged if has_ragged else _swap_rows, axis=axis)
    r = len(order)
    room = swap(tokens[order // top], counts.sum(1), come.sum(1))
    group = jax.vmap(group_of, (None, 0))(jnp.arange(r), come).reshape(-1)  # `own` where the room is empty
    mine, by_group = sort_by_group(group, own)
    with (flop_marks.pairs if has_ragged else flop_marks.busy)(1, n):  # of the room
        rows = expert_mlps(p, room.reshape(n * r, -1)[by_group], mine, activation, ragged if has_ragged else blocks)
    room = jnp.zeros_like(rows).at[by_group].set(rows, unique_indices=True).reshape(n, r, -1)
    rows = swap(room, come.sum(1), counts.sum(1), back=True)
    each = jnp.zeros_like(rows).at[order].set(rows, unique_indices=True)
    return weigh_experts(each, routing).reshape(x.shape)


def _swap(x: jax.Array, axis: str) -> jax.Array:
    """(n, ...): what was for each device -> what is from each."""
    return jax.lax.all_to_all(x, axis, 0, 0, tiled=True)


def _swap_rows(x: jax.Array, send: jax.Array, receive: jax.Array, *, axis: str, back: bool = False) -> jax.Array:
    """Rows (r, d) in order of their devices -> (n, r, d) room for those from each; `back`: and back."""
    if not back:
        r, start = len(x), jnp.cumsum(send) - send
        place = jnp.arange(r)[None]
        there = x.at[start[:, None] + place].get(mode="fill", fill_value=0)
        return _swap(jnp.where((place < send[:, None])[..., None], there, 0), axis)
    room, rows = _swap(x, axis), jnp.arange(x.shape[1])
    device, start = group_of(rows, receive), jnp.cumsum(receive) - receive
    return room[device, rows - start[device]]


def _swap_ragged(x: jax.Array, send: jax.Array, receive: jax.Array, *, axis: str, back: bool = False) -> jax.Array:
    """`_swap_rows`, moving the rows alone. Offsets into the output are of the device that gets it."""
    n, me = jax.lax.axis_size(axis), jax.lax.axis_index(axis)
    r = x.shape[1] if back else len(x)
    nothing = send * 0  # and no constant: JAX maps an exchange, as stages do, only where all of its offsets are mapped
    in_room = jnp.arange(n, dtype=jnp.int32) * r + nothing
    if not back:
        out = jnp.zeros_like(x, shape=(n * r, x.shape[1]))
        offsets = (jnp.cumsum(send) - send, send, nothing + me * r, receive)
        return jax.lax.ragged_all_to_all(x, out, *offsets, axis_name=axis).reshape(n, r, -1)
    flat = x.reshape(n * r, -1)
    start = _swap(jnp.cumsum(receive) - receive, axis)
    return jax.lax.ragged_all_to_all(flat, flat[:r] * 0, in_room, send, start, receive, axis_name=axis)


def _check(mesh: Mesh, cut: PartitionSpec, x: jax.Array) -> None:
    for size, axes in zip(x.shape, cut, strict=False):
        names = rule_axes(axes)
        if size % (devices := math.prod(mesh.shape[name] for name in names)):
            raise ValueError(
                f"expert_parallel: {devices} devices (mesh axes {', '.join(names)}) do not divide {size} of the "
                f"tokens {checks.describe(x)}. Change the batch or the mesh."
            )
