"""The training state: everything that a step changes, and nothing else. No key is in it."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from jnn.param import Params


@flax.struct.dataclass
class TrainState:
    """A pytree; `step` functions map it to the next one.

    Attributes:
      step: int32 scalar, the number of updates made.
      params: the parameters, float32 masters whatever the compute dtype.
      stats: running batch statistics, an empty dict where the model has none.
      opt_state: the Optax state.
      ema: exponential moving average of params, or None.
    """

    step: jax.Array
    params: Params
    stats: Any
    opt_state: optax.OptState
    ema: Params | None


def create_state(
    params: Params, optimizer: optax.GradientTransformation, *, stats: Any = None, ema: bool = False
) -> TrainState:
    """The state before the first step.

    Args:
      params: from `jnn.init`.
      optimizer: any Optax transformation.
      stats: initial running statistics, from `jnn.init` of a `*_stats_spec`, where the model has them.
      ema: whether to keep an average of the params; the step must be built with `ema_decay`.

    >>> state = create_state({"w": jnp.ones(3)}, optax.sgd(0.1))
    >>> int(state.step)
    0
    """
    # Arrays of its own: a step donates its state, and the caller's params must survive that. Nothing is compiled.
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=own_copy(params),
        stats={} if stats is None else own_copy(stats),
        opt_state=optimizer.init(own_copy(params)),  # which may keep the params themselves
        ema=own_copy(params) if ema else None,
    )


def own_copy(tree: Any) -> Any:
    """The same arrays where they are, in buffers of their own; nothing is compiled."""
    return jax.tree.map(lambda x: jax.device_put(x, _place(x), may_alias=False), tree)


def _place(x: Any) -> Any:
    """What spans processes must be told where it is; what does not stays free to move, if it was."""
    if isinstance(x, jax.core.Tracer) or getattr(x, "is_fully_addressable", True):
        return None
    return x.sharding
