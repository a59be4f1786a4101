"""Laws of losses, as a train step meets them: rows of weight 0 are not there, parts add up, devices change nothing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnn.laws._block import moved, name_of
from jnn.laws._close import assert_close
from jnn.parallel import layout, sharded_state, sharded_step
from jnn.param import Spec, init
from jnn.train import Batch, LossFn, create_state, make_step

ROWS = 8
KEY = jax.random.key(0)
SGD = optax.sgd(1.0)  # whose update is the gradient


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """A loss as the laws see it: `loss(params, batch, ctx)`, the spec of its params, and a batch of eight rows."""

    loss: LossFn
    spec: Spec
    batch: Batch

    @functools.cached_property
    def params(self) -> Any:
        """Parameters moved off their initial values, on the host: steps take what they are given."""
        return jax.tree.map(np.array, moved(init(self.spec, KEY)))

    @functools.cached_property
    def step(self) -> Callable[..., Any]:
        """A compiled step."""
        return make_step(self.loss, SGD, KEY)

    def updated(self, step: Callable[..., Any], batch: Batch) -> tuple[Any, Any]:
        """The parameters after one step on a batch, and the loss."""
        state, metrics = step(create_state(jax.tree.map(jnp.array, self.params), SGD), batch)
        return state.params, metrics["loss"].value()


def a_row_of_weight_0_is_not_there(of: Objective) -> None:
    """Law 8: rows of weight 0 change neither the loss nor a gradient, whatever they hold."""
    kept = jax.tree.map(lambda x: x[: ROWS // 2], dict(of.batch))
    lost = jax.tree.map(lambda x: np.full_like(x[ROWS // 2 :], _worst(x.dtype)), dict(of.batch))
    both = jax.tree.map(lambda *parts: np.concatenate(parts), kept, lost)
    weight = np.concatenate([kept["weight"], 0 * kept["weight"]])
    found = of.updated(of.step, {**both, "weight": weight})
    assert_close(found, of.updated(of.step, kept), what="with four rows of weight 0 that hold NaN, and without them")


def parts_add_up(of: Objective) -> None:
    """Law 8: micro-batches change neither the loss nor a gradient."""
    parts = make_step(of.loss, SGD, KEY, microbatches=2)
    assert_close(of.updated(parts, of.batch), of.updated(of.step, of.batch), what="in two micro-batches, and whole")


def devices_change_nothing(of: Objective) -> None:
    """Law 6: rows shared by all devices give the loss and the gradient of one."""
    place = layout(of.spec, "data=-1", uneven="replicate")
    rows = ROWS * -(-jax.device_count() // ROWS)
    batch = jax.tree.map(lambda x: np.resize(x, (rows, *x.shape[1:])), dict(of.batch))
    step = sharded_step(of.loss, SGD, KEY, place)
    state = sharded_state(SGD, KEY, place)
    state, metrics = step(dataclasses.replace(state, params=jax.device_put(of.params, place.parameters)), batch)
    found = (state.params, metrics["loss"].value())
    assert_close(found, of.updated(of.step, batch), what=f"on {jax.device_count()} devices, and on one")


LOSS_LAWS: dict[str, Callable[[Objective], None]] = {
    "a row of weight 0 is not there": a_row_of_weight_0_is_not_there,
    "parts add up": parts_add_up,
    "sharded = single": devices_change_nothing,
}


def check_loss(loss: LossFn, spec: Spec, batch: Mapping[str, Any], *, laws: Sequence[str] = tuple(LOSS_LAWS)) -> None:
    """Property tests of a loss: rows of weight 0, micro-batches and devices change neither its value nor its gradient.

    A loss whose rows see each other (contrastive ones, batch norm) keeps the first law alone, if it masks them by
    `batch["weight"]`; one with noise (`ctx.key`), the first and the last.

    Args:
      loss: `loss(params, batch, ctx) -> LossOutput`, as a train step takes it.
      spec: what declares its params.
      batch: arrays with one row or more, which are repeated until there are enough; "weight" is 1 by default.
      laws: names of `LOSS_LAWS`.

    Raises:
      AssertionError: names every law that does not hold, and by how much.
      ValueError: there is no such law.

    >>> from jnn.layers import linear, linear_spec
    >>> from jnn.losses import squared_error
    >>> from jnn.train import LossOutput
    >>> def loss(params, batch, ctx):
    ...     return LossOutput(squared_error(linear(params, batch["x"]), batch["y"]), batch["weight"])
    >>> batch = {"x": np.eye(2, dtype=np.float32), "y": np.ones((2, 1), np.float32)}
    >>> check_loss(loss, linear_spec(2, 1), batch, laws=["parts add up"])
    """
    if unknown := set(laws) - LOSS_LAWS.keys():
        raise ValueError(f"check_loss: expected laws out of {list(LOSS_LAWS)}, found {sorted(unknown)}.")
    weighted = {"weight": np.ones(ROWS, np.float32), **batch}
    rows = jax.tree.map(lambda x: np.resize(np.asarray(x), (ROWS, *np.shape(x)[1:])), weighted)
    of, broken = Objective(loss, spec, rows), []
    for law in laws:
        try:
            LOSS_LAWS[law](of)
        except AssertionError as error:
            broken.append(f'  "{law}": {error}')
    if broken:
        raise AssertionError(f"{name_of(loss)}: these laws do not hold.\n" + "\n".join(broken))


def _worst(dtype: np.dtype) -> Any:
    """What no row should be able to hold."""
    if jnp.issubdtype(dtype, jnp.floating):
        return np.nan
    return np.iinfo(dtype).max if jnp.issubdtype(dtype, jnp.integer) else True
