"""Gradients between the slices of a pod, whose network is slow: fewer bits of them.

    slice_gradient(layout) -> gradient              for make_step(gradient=...): in bfloat16, half the traffic
    feedback_step(loss, optimizer, key, layout) -> step     one bit each; step((state, residual), batch)
    no_residual(params, layout) -> residual         what feedback_step begins with

Within a slice gradients are summed as ever. Between them each slice sends its share of the mean, and adds up what it
gets in float32: an all-gather, for few slices, instead of an all-reduce that would round after every addition. Within a
slice each device sends its own piece of every parameter.

Laws: slices are micro-batches, with noise and batch statistics of their own; uneven weights and padding give the
gradient of one device, but for what is not sent; with feedback that is sent later; a gradient that is not finite leaves
nothing to send later.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from jnn.axes import laid_out
from jnn.parallel.batch import put_batch
from jnn.parallel.codecs import Codec, bfloat16, encode_with_feedback, signs
from jnn.parallel.in_turn import in_turn
from jnn.parallel.layers.spread import spread
from jnn.parallel.layout import Layout
from jnn.parallel.over import count, inside, over
from jnn.param import Params
from jnn.program import Program
from jnn.train.objective import Batch, LossFn, Metrics, gradient
from jnn.train.state import TrainState
from jnn.train.step import Gradient, make_step

AXIS = "slice"
Result = tuple[Params, Any, Metrics]


def slice_gradient(layout: Layout, *, codec: Codec = bfloat16) -> Gradient:
    """`jnn.train.objective.gradient`, with fewer bits between slices: `sharded_step(..., gradient=...)`.

    Args:
      layout: on a mesh with an axis "slice".
      codec: what is sent; what it leaves out is lost.

    Raises:
      ValueError: there is no such axis.

    >>> import jnn
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 1), "slice=1,data=-1")
    >>> step = jnn.parallel.sharded_step(lambda *_: None, optax.sgd(0.1), jax.random.key(0), place,
    ...     gradient=slice_gradient(place))
    """
    count("slice_gradient", layout.mesh, AXIS)

    def computed(
        loss: LossFn, params: Params, batch: Batch, key: jax.Array, microbatches: int, dtype: DTypeLike | None
    ) -> Result:
        shares, stats, metrics = _shares(layout, loss, params, batch, key, microbatches, dtype)
        return _add(layout, codec, shares, None)[0], stats, metrics

    return computed


def no_residual(params: Params, layout: Layout) -> Params:
    """Zeros (slices, *shape) for every parameter, each slice's on its own devices."""
    slices = count("no_residual", layout.mesh, AXIS)
    each = lambda kept: NamedSharding(layout.mesh, PartitionSpec(AXIS, *kept.spec))
    make = lambda params: jax.tree.map(lambda p: jnp.zeros((slices, *p.shape), jnp.float32), params)
    return Program(make, "init", out_shardings=jax.tree.map(each, layout.parameters))(params)


def feedback_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    layout: Layout,
    *,
    codec: Codec = signs,
    microbatches: int = 1,
    compute_dtype: DTypeLike | None = None,
    **options: Any,
) -> Any:
    """`sharded_step`, where slices send few bits of their gradients and keep what these leave out.

    Args:
      loss, optimizer, key, microbatches, compute_dtype: as in `make_step`.
      layout: on a mesh with an axis "slice".
      codec: what is sent.
      options: of `make_step`, without `steps_per_call`.

    Returns:
      `step((state, residual), batch) -> ((state, residual), metrics)`, its first argument donated; begin with
      `no_residual`.

    Raises:
      ValueError: there is no such axis.
    """
    count("feedback_step", layout.mesh, AXIS)

    def step(kept: tuple[TrainState, Params], batch: Batch) -> Any:
        state, residual = kept
        with laid_out(layout), spread(layout.mesh):
            own = jax.random.fold_in(key, state.step)
            shares, stats, metrics = _shares(layout, loss, state.params, batch, own, microbatches, compute_dtype)
            grads, residual = _add(layout, codec, shares, residual)
            # the update is make_step's, of a gradient that is there already
            there = lambda *_: (grads, stats, metrics)
            state, metrics = make_step(loss, optimizer, key, gradient=there, **options)(state, batch)
        layout.check_changes()
        return (jax.tree.map(jax.lax.with_sharding_constraint, state, layout.like(state)), residual), metrics

    program = Program(step, "step", donate_argnums=(0,))
    devices = len(layout.mesh.local_devices)
    return lambda kept, batch: in_turn(program(kept, put_batch(batch, layout)), devices)


def _shares(
    layout: Layout,
    loss: LossFn,
    params: Params,
    batch: Batch,
    key: jax.Array,
    microbatches: int,
    dtype: DTypeLike | None,
) -> Result:
    """Each slice's share (slices, *shape) of the gradient of the weighted mean over all rows."""
    whole, rows = PartitionSpec(), PartitionSpec(AXIS)

    # without check_vma: with it the gradient would come summed already, in float32
    @over(layout.mesh, AXIS, (whole, rows, whole), (rows, whole, whole), check_vma=False)
    def of_slice(params: Params, batch: Batch, key: jax.Array) -> Result:
        own_key = jax.random.fold_in(key, jax.lax.axis_index(AXIS))  # or every slice would have the same noise
        with laid_out(inside(layout)):
            grads, stats, metrics = gradient(loss, params, batch, own_key, microbatches, dtype)
        mine, metrics = metrics["loss"].weight, jax.lax.psum(metrics, AXIS)
        share = mine / jnp.where(metrics["loss"].weight == 0, 1.0, metrics["loss"].weight)
        return jax.tree.map(lambda g: share * g[None], grads), jax.lax.pmean(stats, AXIS), metrics

    return of_slice(params, batch, key)


def _add(layout: Layout, codec: Codec, shares: Params, residual: Params | None) -> tuple[Params, Params]:
    """The sum of what all slices send, and what each did not: every device for its piece of every parameter."""
    specs = jax.tree.map(lambda kept: kept.spec, layout.parameters)
    stacked = jax.tree.map(lambda spec: PartitionSpec(AXIS, *spec), specs)

    @over(layout.mesh, layout.mesh.axis_names, (stacked, stacked), (specs, stacked), check_vma=False)
    def send(shares: Params, residual: Params) -> tuple[Params, Params]:
        pairs = jax.tree.map(lambda g, r: _add_slices(codec, g[0], r[0]), shares, residual)
        total, left = jax.tree.transpose(jax.tree.structure(shares), jax.tree.structure((0, 0)), pairs)
        # of an update that is not finite, and so may be refused, nothing is left for the next ones
        finite = jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(total)]).all()
        everywhere = jax.lax.pmin(finite.astype(jnp.int32), layout.mesh.axis_names) > 0
        return total, jax.tree.map(lambda new, old: jnp.where(everywhere, new, old), left, residual)

    return send(shares, jax.tree.map(jnp.zeros_like, shares) if residual is None else residual)


def _add_slices(codec: Codec, share: jax.Array, residual: jax.Array) -> tuple[jax.Array, jax.Array]:
    sent, residual = encode_with_feedback(codec, share, residual)
    arrived = jax.lax.all_gather(sent, AXIS)
    total = jax.vmap(lambda one: codec.decode(one, residual))(arrived).sum(0)
    return total.astype(share.dtype), residual[None]
