"""Gradients between the slices of a pod, whose network is slow: fewer bits of them.

    compressed_sums(layout) -> sums                 for sharded_step(sums=...): in bfloat16, half the traffic
    error_feedback_step(loss, optimizer, key, layout) -> step
                                                    one bit each; what they leave out is in the state's memory
    zero_residual(params, layout) -> memory         what error_feedback_step begins with

Within a slice gradients are summed as ever. Between them each slice sends its own sum, and adds up what it
gets in float32: an all-gather, for few slices, instead of an all-reduce that would round after every addition. Within a
slice each device sends its own piece of every parameter.

Laws: slices are micro-batches, with noise and batch statistics of their own; uneven weights and padding give the
gradient of one device, but for what is not sent; with feedback that is sent later, as a part of the sum over the rows
of that step; a gradient that is not finite leaves nothing to send later.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from jnn.parallel._codecs import Codec, bfloat16, encode_with_feedback, signs
from jnn.parallel._deferred import sums_along
from jnn.parallel._layout import Layout
from jnn.parallel._shard_map import axis_size, shard_map
from jnn.parallel._step import Sharded, sharded_step
from jnn.param import Params
from jnn.precision import wide_dtype
from jnn.program import Program
from jnn.train import AddUp, Batch, Context, LossFn, Remember, Sums

AXIS = "slice"
RESIDUAL = "slice_residual"  # `Layout.like` knows the name


def compressed_sums(layout: Layout, *, codec: Codec = bfloat16) -> AddUp:
    """Gradient compression: sums with fewer bits between slices, `sharded_step(..., sums=compressed_sums(layout))`.

    Args:
      layout: on a mesh with an axis "slice".
      codec: what is sent; what it leaves out is lost.

    Raises:
      ValueError: there is no such axis.

    >>> import jnn
    >>> place = jnn.parallel.layout(jnn.layers.linear_spec(3, 1), "slice=1,data=-1")
    >>> step = jnn.parallel.sharded_step(lambda *_: None, optax.sgd(0.1), jax.random.key(0), place,
    ...     sums=compressed_sums(place))
    """
    of_slices = _of_slices(layout, "compressed_sums")

    def computed(loss: LossFn, params: Params, batch: Batch, ctx: Context, **options: Any) -> tuple[Sums, Any]:
        sums, rows = of_slices(loss, params, batch, ctx, **options)
        return sums._replace(gradients=_add(layout, codec, sums.gradients, None)[0]), rows

    return computed


def error_feedback_sums(layout: Layout, *, codec: Codec = signs) -> AddUp:
    """As `compressed_sums`; what is not sent is in `ctx.memory["slice_residual"]`, and its new value among the rows."""
    of_slices = _of_slices(layout, "error_feedback_step")

    def computed(loss: LossFn, params: Params, batch: Batch, ctx: Context, **options: Any) -> tuple[Sums, Any]:
        if not isinstance(ctx.memory, dict) or RESIDUAL not in ctx.memory:
            raise ValueError(
                "error_feedback_step: the state's memory lacks 'slice_residual', which holds what was not sent. Begin "
                "with sharded_state(..., memory=lambda params: zero_residual(params, layout))."
            )
        residual, own = ctx.memory[RESIDUAL], {k: v for k, v in ctx.memory.items() if k != RESIDUAL}
        scale = options.get("scale", 1.0)  # of float16: what is kept is in units that do not change with it
        sums, rows = of_slices(loss, params, batch, ctx._replace(memory=own), **options)
        gradients, left = _add(layout, codec, sums.gradients, jax.tree.map(lambda r: r * scale, residual))
        left = jax.tree.map(lambda r: r / scale, left)
        return sums._replace(gradients=gradients), {RESIDUAL: left, "rows": rows}

    return computed


def zero_residual(params: Params, layout: Layout) -> dict[str, Params]:
    """Residual that error feedback begins with: {"slice_residual": zeros (slices, *shape)}, each of its slice.

    For `sharded_state(..., memory=lambda params: zero_residual(params, layout))`, and beside it what a `remember` of
    one's own keeps.
    """
    slices = axis_size("zero_residual", layout.mesh, AXIS)
    zeros = lambda p: jnp.zeros((slices, *p.shape), wide_dtype(p))
    make = lambda params: {RESIDUAL: jax.tree.map(zeros, params)}
    return Program(make, "init", out_shardings=layout.like(jax.eval_shape(make, params)))(params)


def error_feedback_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    layout: Layout,
    *,
    codec: Codec = signs,
    remember: Remember | None = None,
    **options: Any,
) -> Sharded:
    """Error feedback: `sharded_step`, where slices send few bits of their gradients and keep what these leave out.

    Args:
      loss, optimizer, key, options: as in `sharded_step`.
      layout: on a mesh with an axis "slice".
      codec: what is sent.
      remember: as in `update`, of the rest of the memory.

    Returns:
      The step, of states whose memory holds `zero_residual`: it is saved and restored with them.

    Raises:
      ValueError: there is no such axis.
    """

    def kept(memory: Any, params: Params, stats: Any, rows: Any, step: jax.Array) -> Any:
        own = {name: value for name, value in memory.items() if name != RESIDUAL}
        own = own if remember is None else remember(own, params, stats, rows["rows"], step)
        return {**own, RESIDUAL: rows[RESIDUAL]}

    sums = error_feedback_sums(layout, codec=codec)
    return sharded_step(loss, optimizer, key, layout, sums=sums, remember=kept, **options)


def _of_slices(layout: Layout, where: str) -> AddUp:
    """The sums over all rows, but for the gradients: each slice's own (slices, *shape)."""
    return sums_along(
        layout, AXIS, lambda gradients: jax.tree.map(lambda g: g[None], gradients), PartitionSpec(AXIS), where
    )


def _add(layout: Layout, codec: Codec, shares: Params, residual: Params | None) -> tuple[Params, Params]:
    """The sum of what all slices send, and what each did not: every device for its piece of every parameter."""
    specs = jax.tree.map(lambda kept: kept.spec, layout.parameters)
    stacked = jax.tree.map(lambda spec: PartitionSpec(AXIS, *spec), specs)

    @shard_map(layout.mesh, layout.mesh.axis_names, (stacked, stacked), (specs, stacked), check_vma=False)
    def send(shares: Params, residual: Params) -> tuple[Params, Params]:
        pairs = jax.tree.map(lambda g, r: _add_slices(codec, g[0], r[0]), shares, residual)
        total, left = jax.tree.transpose(jax.tree.structure(shares), jax.tree.structure((0, 0)), pairs)
        # of an update that is not finite, and so may be refused, nothing is left for the next ones
        finite = jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(total)]).all()
        everywhere = jax.lax.pmin(finite.astype(jnp.int32), layout.mesh.axis_names) > 0
        return total, jax.tree.map(lambda new, old: jnp.where(everywhere, new, old), left, residual)

    return send(shares, jax.tree.map(jnp.zeros_like, shares) if residual is None else residual)


def _add_slices(codec: Codec, share: jax.Array, residual: jax.Array) -> tuple[jax.Array, jax.Array]:
    if jnp.iscomplexobj(share):
        real, imaginary = (_add_slices(codec, part(share), part(residual)) for part in (jnp.real, jnp.imag))
        return real[0] + 1j * imaginary[0], real[1] + 1j * imaginary[1]
    sent, residual = encode_with_feedback(codec, share, residual)
    arrived = jax.lax.all_gather(sent, AXIS)
    total = jax.vmap(lambda one: codec.decode(one, residual))(arrived).sum(0)
    return total.astype(share.dtype), residual[None]
