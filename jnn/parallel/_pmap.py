"""Data-parallel training by `jax.pmap`, for those who want exactly that.

    pmap_step(loss, optimizer, key) -> step         step(state, batch) -> (state, metrics), as from `make_step`

Every device has the whole state and some rows. Sums of values and weights go over the devices, never means of means:
padding and uneven weights then give the gradient of one device. All gradients go as one vector, in one all-reduce.

Laws: it is `make_step`; with noise and batch statistics, which are each device's own, the devices are micro-batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import optax

from jnn.parallel._batch import check_rows
from jnn.parallel._reduce import all_reduce_sums
from jnn.parallel._serialize import serialize_cpu_programs
from jnn.param import Params
from jnn.train import Batch, Context, LossFn, Sums, TrainState, gradient_sums, make_step, overwrite_padding

AXIS = "batch"


def pmap_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    devices: Sequence[jax.Device] | None = None,
    **options: Any,
) -> Pmapped:
    """Data-parallel step: `make_step`, its batch divided over devices by `jax.pmap`.

    Args:
      loss, optimizer, key: as in `make_step`.
      devices: to use; all by default.
      options: of `make_step`, without `steps_per_call` and `sums`.

    Returns:
      `step(state, batch)`: of a state from `create_state` or the last call, and a batch on the host, in each process
      the rows of its own devices.

    Raises (beside what `make_step` does):
      ValueError: `steps_per_call` or `sums` is among the options; when the step is called, the devices do not divide
        the rows.

    >>> import jax.numpy as jnp, numpy as np
    >>> from jnn.train import LossOutput, create_state
    >>> def loss(params, batch, ctx):
    ...     return LossOutput(params["w"] * batch["x"])
    >>> step = pmap_step(loss, optax.sgd(0.1), jax.random.key(0))
    >>> state, metrics = step(create_state({"w": jnp.ones(())}, optax.sgd(0.1)), {"x": np.ones(8, np.float32)})
    >>> round(state.params["w"].item(), 3), metrics["loss"].weight.item()
    (0.9, 8.0)
    """
    if options.get("steps_per_call", 1) != 1 or "sums" in options:
        raise ValueError(
            "pmap_step: makes one update a call, and adds over devices in its own way: it takes no steps_per_call and "
            "no sums. sharded_step takes both."
        )
    given = options.get("given")
    step = make_step(loss, optimizer, key, sums=device_sums, **options)
    here = len([d for d in devices or jax.devices() if d.process_index == jax.process_index()])
    more = () if given is None else (given,)
    axes = (None, 0, *(None for _ in more))
    mapped = jax.pmap(step.part, AXIS, in_axes=axes, out_axes=(None, None), devices=devices)
    return Pmapped(mapped, here, more)


class Pmapped:
    """A pmapped step whose batches need no axis of devices."""

    def __init__(self, mapped: Any, devices: int, more: tuple[Any, ...]) -> None:
        self._mapped, self._devices, self._more = mapped, devices, more

    def __call__(self, state: TrainState, batch: Batch) -> Any:
        return serialize_cpu_programs(self._mapped(state, self.divide(batch), *self._more), self._devices)

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        """As a jitted function's."""
        return self._mapped.lower(state, self.divide(batch), *self._more)

    def divide(self, batch: Batch) -> Batch:
        """(devices, rows of each, ...): a run of rows for each device."""
        check_rows("pmap_step", batch, self._devices)
        return jax.tree.map(lambda x: x.reshape(self._devices, -1, *x.shape[1:]), batch)


def device_sums(loss: LossFn, params: Params, batch: Batch, ctx: Context, **options: Any) -> tuple[Sums, Any]:
    """`jnn.train.gradient_sums` of the rows of all devices, within a `pmap` over "batch"."""
    own = ctx.fold(jax.lax.axis_index(AXIS))  # or every device would have the same noise
    sums, rows = gradient_sums(loss, params, overwrite_padding(batch, AXIS), own, **options)
    return all_reduce_sums(sums, AXIS), jax.lax.all_gather(rows, AXIS, tiled=True)
