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
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jax.typing import DTypeLike

from jnn.parallel.batch import check_rows
from jnn.parallel.in_turn import in_turn
from jnn.param import Params
from jnn.train.objective import Batch, LossFn, Metrics, gradient
from jnn.train.state import TrainState
from jnn.train.step import make_step

AXIS = "batch"


def pmap_step(
    loss: LossFn,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    devices: Sequence[jax.Device] | None = None,
    **options: Any,
) -> Pmapped:
    """`make_step`, its batch divided over devices by `jax.pmap`.

    Args:
      loss, optimizer, key: as in `make_step`.
      devices: to use; all by default.
      options: of `make_step`, without `steps_per_call`.

    Returns:
      `step(state, batch)`: of a state from `create_state` or the last call, and a batch on the host, in each process
      the rows of its own devices.

    Raises (when the step is called, beside those of `make_step`):
      ValueError: the devices do not divide the rows.

    >>> import numpy as np
    >>> from jnn.train import LossOutput, create_state
    >>> def loss(params, batch, stats, key):
    ...     return LossOutput(params["w"] * batch["x"])
    >>> step = pmap_step(loss, optax.sgd(0.1), jax.random.key(0))
    >>> state, metrics = step(create_state({"w": jnp.ones(())}, optax.sgd(0.1)), {"x": np.ones(8, np.float32)})
    >>> round(state.params["w"].item(), 3), metrics["loss"].weight.item()
    (0.9, 8.0)
    """
    step = make_step(loss, optimizer, key, gradient=summed_gradient, **options)
    here = len([d for d in devices or jax.devices() if d.process_index == jax.process_index()])
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=(None, None), devices=devices)
    return Pmapped(mapped, here)


class Pmapped:
    """A pmapped step whose batches need no axis of devices."""

    def __init__(self, mapped: Any, devices: int) -> None:
        self._mapped, self._devices = mapped, devices

    def __call__(self, state: TrainState, batch: Batch) -> Any:
        return in_turn(self._mapped(state, self.divide(batch)), self._devices)

    def lower(self, state: TrainState, batch: Batch) -> jax.stages.Lowered:
        """As a jitted function's."""
        return self._mapped.lower(state, self.divide(batch))

    def divide(self, batch: Batch) -> Batch:
        """(devices, rows of each, ...): a run of rows for each device."""
        check_rows("pmap_step", batch, self._devices)
        return jax.tree.map(lambda x: x.reshape(self._devices, -1, *x.shape[1:]), batch)


def summed_gradient(
    loss: LossFn, params: Params, batch: Batch, key: jax.Array, microbatches: int, dtype: DTypeLike | None
) -> tuple[Params, Any, Metrics]:
    """`jnn.train.objective.gradient` of the rows of all devices, within a `pmap` over "batch"."""
    key = jax.random.fold_in(key, jax.lax.axis_index(AXIS))  # or every device would have the same noise
    grads, stats, metrics = gradient(loss, params, batch, key, microbatches, dtype)
    mine = metrics["loss"].weight
    sums, unravel = ravel_pytree((optax.tree.scale(mine, grads), stats, metrics))
    grads, stats, metrics = unravel(jax.lax.psum(sums, AXIS))
    weight = metrics["loss"].weight
    stats = jax.tree.map(lambda s: s / jax.lax.axis_size(AXIS), stats)
    return optax.tree.scale(1 / jnp.where(weight == 0, 1.0, weight), grads), stats, metrics
