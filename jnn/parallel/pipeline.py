"""Pipeline parallelism: the layers in runs, one run after another on its own device, micro-batches passing through.

    pipeline(layer, stacked, x, mesh, microbatches=8) -> x          `scan` over the layers, cut along "stage"

Axes: S stages, R repeats, M micro-batches.

The layers are cut into S * R runs, of which device s has the runs s, S + s, 2 S + s, ...: a micro-batch goes round the
devices R times. In every tick each device takes what the one before it has made, puts it through one run, and hands it
on. Micro-batches go in groups of S, each around R times before the next begins, so that what comes back to the first
stage is used at once and nothing is stored in between. All is done in M R + S - 1 ticks, of which a device is idle in
S - 1:

    bubble = (S - 1) / (M R + S - 1)        fewer, with more micro-batches or more repeats (and more hand-overs)

The backward pass is that of the scan: the ticks the other way round. A layer under `jax.checkpoint` leaves its input
alone of every tick.

Laws: it is the scan over the layers, values and gradients; what moves along the axis are collective-permutes from one
tick to the next, the result from the last stage, and the gradient of x from the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jnn.axes import laid_out
from jnn.parallel.layout import Layout
from jnn.parallel.over import count, inside, over

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
    """`scan` over stacked layers, each on the devices of its stage.

    See "GPipe: Efficient Training of Giant Neural Networks using Pipeline Parallelism", Huang et al., 2019; for
    repeats > 1 the interleaved schedule of "Efficient Large-Scale Language Model Training on GPU Clusters Using
    Megatron-LM", Narayanan et al., 2021.

    Args:
      layer: `layer(p, x) -> x`, of the structure, shapes and dtypes that it is given.
      stacked: parameters, keys and whatever differs from layer to layer, with a leading axis of layers. With one
        repeat they lie where they are used by the rule {"layers": "stage"}; with more they are moved there.
      x: an array or a tree of arrays with a leading axis of rows; what differs from row to row is in it.
      where: the mesh; or a layout, by which the activations lie along the other axes.
      microbatches: in how many parts the rows go through; every M-th row is in one.
      repeats: how often each goes round.
      axis: of the mesh.

    Returns:
      x after all layers.

    Raises:
      ValueError: no such axis; stages * repeats do not divide the layers, microbatches the rows, or (with repeats)
        stages the microbatches; or a layer that returns something else than it is given.

    >>> from jnn.parallel import mesh
    >>> stacked, x = {"w": jnp.full((8, 1), 2.0)}, jnp.ones((4, 1))
    >>> pipeline(lambda p, x: p["w"][None] * x, stacked, x, mesh("stage=-1"), microbatches=2).tolist()
    [[256.0], [256.0], [256.0], [256.0]]
    """
    mesh, layout = (where, None) if isinstance(where, Mesh) else (where.mesh, where)
    stages = count("pipeline", mesh, axis)
    _check(layer, stacked, x, stages, repeats, microbatches)
    runs = jax.tree.map(lambda a: a.reshape(repeats, -1, *a.shape[1:]), stacked)
    parts = jax.tree.map(lambda a: a.reshape(-1, microbatches, *a.shape[1:]).swapaxes(0, 1), x)
    dtypes = jax.tree.map(lambda a: a.dtype, parts)

    @over(mesh, axis, (PartitionSpec(None, axis), PartitionSpec()), PartitionSpec(axis))
    def ticks(runs: Any, parts: Any) -> Any:
        # every stage's own from here: in float32, which is what the gradients of all stages are added up in
        parts = jax.tree.map(lambda a, dtype: jax.lax.pcast(a, axis, to="varying").astype(dtype), parts, dtypes)
        with laid_out(inside(layout)):
            made = _ticks(layer, runs, parts, axis, stages, repeats, microbatches)
        return jax.tree.map(lambda a: a[_last_ticks(stages, repeats, microbatches)][None], made)

    made = ticks(runs, jax.tree.map(_summable, parts))
    return jax.tree.map(lambda a: a[-1].swapaxes(0, 1).reshape(-1, *a.shape[3:]), made)


def _ticks(layer: Layer, runs: Any, parts: Any, axis: str, stages: int, repeats: int, microbatches: int) -> Any:
    """What this stage makes in each tick: (ticks, rows of a micro-batch, ...)."""
    stage = jax.lax.axis_index(axis)
    following = [(i, (i + 1) % stages) for i in range(stages)]

    def tick(arrived: Any, t: jax.Array) -> tuple[Any, Any]:
        # a stage that is idle computes something too: a real micro-batch, so that nothing in it is NaN
        turn = t - stage
        group, repeat, member = turn // (stages * repeats), turn // stages % repeats, turn % stages
        fresh = (stage == 0) & (repeat == 0)
        mine = jax.tree.map(lambda new, old: jnp.where(fresh, new, old), _at(parts, group * stages + member), arrived)
        made, _ = jax.lax.scan(lambda x, p: (layer(p, x), None), mine, _at(runs, repeat))
        return jax.tree.map(lambda a: jax.lax.ppermute(a, axis, following), made), made

    return jax.lax.scan(tick, _at(parts, 0), jnp.arange(microbatches * repeats + stages - 1))[1]


def _last_ticks(stages: int, repeats: int, microbatches: int) -> np.ndarray:
    """When the last stage makes each micro-batch for the last time."""
    group, member = np.divmod(np.arange(microbatches), stages)
    return (group * repeats + repeats - 1) * stages + member + stages - 1


def _at(tree: Any, i: Any) -> Any:
    return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, jnp.clip(i, 0, len(a) - 1), 0, keepdims=False), tree)


def _summable(a: jax.Array) -> jax.Array:
    return a.astype(jnp.promote_types(a.dtype, jnp.float32)) if jnp.issubdtype(a.dtype, jnp.floating) else a


def _check(layer: Layer, stacked: Any, x: Any, stages: int, repeats: int, microbatches: int) -> None:
    layers, rows = ({a.shape[0] for a in jax.tree.leaves(tree)} for tree in (stacked, x))
    if len(layers) != 1 or max(layers) % (stages * repeats):
        raise ValueError(
            f"pipeline: expected one number of layers that {stages} stages * {repeats} repeats divide, "
            f"found {sorted(layers)}."
        )
    if len(rows) != 1 or max(rows) % microbatches:
        raise ValueError(f"pipeline: expected rows that {microbatches} micro-batches divide, found {sorted(rows)}.")
    if repeats > 1 and microbatches % stages:
        raise ValueError(
            f"pipeline: with repeats, micro-batches go in groups of {stages}, the number of stages; "
            f"found {microbatches}."
        )
    given = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), x)
    returned = jax.eval_shape(lambda p, x: layer(jax.tree.map(lambda a: a[0], p), x), stacked, x)
    if jax.tree.map(lambda a: (a.shape, a.dtype), given) != jax.tree.map(lambda a: (a.shape, a.dtype), returned):
        raise ValueError(f"pipeline: expected a layer that returns what it is given, {given}; found {returned}.")
