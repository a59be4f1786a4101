"""Pipeline parallelism: the layers in runs, one run after another on its own device, micro-batches passing through.

    pipeline(layer, stacked, x, mesh, microbatches=8) -> x          `scan` over the layers, cut along "stage"

Axes: S stages, R repeats, M micro-batches (in groups of S; one that is not full takes as long as one that is).

The layers are cut into S * R runs, of which device s has the runs s, S + s, 2 S + s, ...: a micro-batch goes round the
devices R times. In every tick each device takes what the one before it has made, puts it through one run, and hands it
on. Micro-batches go in groups of S, each around R times before the next begins, so that what comes back to the first
stage is used at once and nothing is stored in between. All is done in M R + S - 1 ticks, of which a device is idle in
S - 1:

    bubble = (S - 1) / (M R + S - 1)        fewer, with more micro-batches or more repeats (and more hand-overs)

All stages are one array with an axis of stages, which lies along the mesh's: a tick is one `vmap` over it, and to hand
on is to roll it by one, which compilers make a collective-permute. So whatever the layers do along other axes of the
mesh they do here, ring attention and exchanged experts included. Rows wait along the stages, an S-th on each, roll to
the first stage when it is their turn, and from the last one back to where they were: where a layout shares the batch
along the stages as well, what stands before and behind the layers is computed once and not on every stage.

The backward pass is that of the scan: the ticks the other way round. A layer under `jax.checkpoint` leaves its input
alone of every tick, and what its policy saves; to a policy of your own that goes by axes of a batch, stages are one.

Laws: it is the scan over the layers, values and gradients, noise too; what moves along the axis are collective-permutes
from one tick to the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.custom_derivatives import linear_call
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jnn import checks
from jnn.axes import in_force, use_layout
from jnn.flop_marks import busy
from jnn.overrides import override
from jnn.parallel._layout import Layout
from jnn.parallel._layout import devices_along as devices
from jnn.parallel._shard_map import axis_size, current_mesh, layout_without, vmapped_axis
from jnn.parallel.layers._pipeline_schedule import PipelineSchedule
from jnn.parallel.layers._row_keys import row_keys
from jnn.precision import over_steps
from jnn.remat import linear_maps

Layer = Callable[[Any, Any], Any]  # (one layer's parameters, x) -> x


def pipeline(
    layer: Layer,
    stacked: Any,
    x: Any,
    where: Mesh | Layout,
    *,
    microbatches: int,
    repeats: int = 1,
    axis: str = "stage",
) -> Any:
    """Pipeline parallelism: `scan` over stacked layers, each on the devices of its stage.

    See "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism", Huang et al., 2019; for
    repeats > 1 the interleaved schedule of "Efficient Large-Scale Language Model Training on GPU Clusters Using
    Megatron-LM", Narayanan et al., 2021; for stages as an axis of arrays "GSPMD", Xu et al., 2021.

    Args:
      layer: `layer(p, x) -> x`, of the structure, shapes and dtypes that it is given.
      stacked: parameters, keys and whatever differs from layer to layer, with a leading axis of layers. With one
        repeat they lie where they are used by the rule {"layers": "stage"}; with more they are moved there. What is
        drawn from keys (`jax.random.key`) for a micro-batch's rows is what would be drawn for them among all rows.
      x: an array or a tree of arrays with a leading axis of rows; what differs from row to row is in it.
      where: the mesh, for the layout in force if there is one; or a layout.
      microbatches: in how many parts the rows go through: of the rows of each device that shares them, runs.
      repeats: how often each goes round. With more than one, what is remembered of a tick includes the parameters of
        its run.
      axis: of the mesh.

    Returns:
      x after all layers.

    Raises:
      ValueError: no such axis; stages * repeats do not divide the layers, microbatches the rows of each device, or
        (with repeats) stages the microbatches; or a layer that returns something else than it is given.

    >>> from jnn.parallel import mesh
    >>> stacked, x = {"w": jnp.full((8, 1), 2.0)}, jnp.ones((4, 1))
    >>> pipeline(lambda p, x: p["w"][None] * x, stacked, x, mesh("stage=-1"), microbatches=2).tolist()
    [[256.0], [256.0], [256.0], [256.0]]
    """
    mesh, layout = (where, cast(Layout | None, in_force())) if isinstance(where, Mesh) else (where.mesh, where)
    shares = 1
    if layout is not None:
        layout = layout_without(layout, axis)  # what a stage computes, no other one shares
        shares = devices(layout.mesh, layout.named["batch"])
    checks.count("pipeline", "microbatches", microbatches)
    checks.count("pipeline", "repeats", repeats)
    turns = PipelineSchedule(axis_size("pipeline", mesh, axis), repeats, microbatches, shares)
    _check(layer, stacked, x, turns)
    along = partial(_along, mesh, axis)
    runs = jax.tree.map(lambda a: along(a.reshape(repeats, turns.stages, -1, *a.shape[1:]), dim=1), stacked)
    parts = jax.tree.map(lambda a: along(turns.split(a), dim=1), x)
    offsets = turns.offsets(len(jax.tree.leaves(x)[0]))

    def run(runs: Any, repeat: jax.Array, first: jax.Array, x: Any) -> Any:
        """What one stage does in a tick."""
        own = _at(runs, repeat if repeats > 1 else 0)
        return jax.lax.scan(lambda x, p: (layer(p, x), None), x, row_keys(own, offsets, first))[0]

    with use_layout(layout), vmapped_axis(axis), override(linear_maps=partial(linear_maps, 1)):
        each, params = jax.vmap(run, in_axes=(1, 0, 0, 0), spmd_axis_name=axis), over_steps(runs)
        stages = lambda *inputs: each(params(), *inputs)
        done = _ticks(stages, parts, turns, len(offsets) // shares, along)
    return jax.tree.map(turns.join, done)


def _ticks(stages: Callable[..., Any], parts: Any, turns: PipelineSchedule, micro: int, along: Any) -> Any:
    """Every micro-batch after all its runs, where it was: (groups, stages, rows, ...)."""
    rolled = partial(_rolled, along)
    stage, last = jnp.arange(turns.stages), turns.stages - 1

    def tick(carry: tuple[Any, Any, Any], t: jax.Array) -> tuple[Any, None]:
        handed, waiting, done = carry
        group, repeat, member = turns.at(t)
        waiting = _where((repeat == 0) & (member == 0), _at(parts, group), waiting)
        x = _where((stage == 0) & (repeat == 0), waiting, handed)
        # a stage that is idle computes something too: a real micro-batch, so that nothing in it is NaN
        group, repeat, member = turns.at(t - stage)
        with busy(turns.busy, turns.ticks):
            made = stages(repeat, turns.number(group, member) * micro, x)
        group, repeat, _ = turns.at(t - last)
        ended = _where(stage == last, made, rolled(-1, _at(done, group)))
        ended = _where((t >= last) & (repeat == turns.repeats - 1), ended, _at(done, group))
        done = jax.tree.map(lambda a, new: jax.lax.dynamic_update_index_in_dim(a, new, group, 0), done, ended)
        return (rolled(1, made), rolled(-1, waiting), done), None

    first = _at(parts, 0)
    return jax.lax.scan(tick, (first, first, jax.tree.map(jnp.zeros_like, parts)), jnp.arange(turns.ticks))[0][2]


def _at(tree: Any, i: Any) -> Any:
    return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, i, 0, keepdims=False), tree)


def _rolled(along: Callable[[jax.Array], jax.Array], by: int, tree: Any) -> Any:
    """What each stage has, on the next one or the one before."""
    roll = lambda by, _, a: along(jnp.roll(along(a), by, 0))
    # with its transpose named, for JAX's own would be two collective-permutes in place of one
    return jax.tree.map(lambda a: linear_call(partial(roll, by), partial(roll, -by), (), a), tree)


def _where(those: jax.Array, new: Any, old: Any) -> Any:
    """The new arrays of those stages, or of all of them or none."""
    return jax.tree.map(lambda a, b: jnp.where(those.reshape(-1, *[1] * (a.ndim - 1)), a, b), new, old)


def _along(mesh: Mesh, axis: str, a: jax.Array, dim: int = 0) -> jax.Array:
    """An axis of stages along that of the mesh; those before it whole on each device, others as they lie."""
    spec = PartitionSpec(*[None] * dim, axis, *[PartitionSpec.UNCONSTRAINED] * (a.ndim - dim - 1))
    return jax.lax.with_sharding_constraint(a, NamedSharding(current_mesh(mesh), spec))


def _check(layer: Layer, stacked: Any, x: Any, turns: PipelineSchedule) -> None:
    layers, rows = ({a.shape[0] for a in jax.tree.leaves(tree)} for tree in (stacked, x))
    stages, repeats, microbatches, shares = dataclasses.astuple(turns)
    if len(layers) != 1 or max(layers) % (stages * repeats):
        raise ValueError(
            f"pipeline: expected one number of layers that {stages} stages * {repeats} repeats divide, "
            f"found {sorted(layers)}."
        )
    if len(rows) != 1:
        raise ValueError(f"pipeline: expected leaves with one number of rows, found {sorted(rows)}.")
    told = "the batch (model_parallel(microbatches=...) sets how many there are, else two for each stage)"
    checks.divides("pipeline", max(rows), of=told, devices=shares, micro_batches=microbatches)
    if repeats > 1 and microbatches % stages:
        raise ValueError(
            f"pipeline: with repeats, micro-batches go in groups of {stages}, the number of stages; "
            f"found {microbatches}."
        )
    given = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), x)
    returned = jax.eval_shape(lambda p, x: layer(jax.tree.map(lambda a: a[0], p), x), stacked, x)
    if jax.tree.map(lambda a: (a.shape, a.dtype), given) != jax.tree.map(lambda a: (a.shape, a.dtype), returned):
        raise ValueError(f"pipeline: expected a layer that returns what it is given, {given}; found {returned}.")
