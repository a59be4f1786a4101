"""The training state: everything that a step changes, and nothing else. No key is in it.

    create_state(params, optimizer) -> TrainState
    step_of(state), at_step(state, step)          of any state: a pytree with a scalar `step`
    trained(state) -> arrays by path              what must stay finite

The loop, checkpoints and capsules take any pytree whose `step` (an attribute, or a key of a dict) counts its updates:
two networks with two optimizers are a dict of two `TrainState`s and a step. What is watched for numbers that are not
finite is all that lies below a "params" anywhere in it; in a state without one, every floating array.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jnn import checks
from jnn.param import Param, Params, flatten
from jnn.precision import wide
from jnn.train._context import check_optimizer, check_params


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Training state: a pytree; `update` maps it to the next one.

    Attributes:
      step: int32 scalar, the number of updates made.
      params: the parameters, in their own dtypes whatever the compute dtype.
      opt_state: the Optax state.
      stats: running batch statistics, an empty dict where the model has none.
      ema: exponential moving average of params, in float32 at least, or None.
      memory: what `remember` keeps between updates: a target network, a queue, codebooks; an empty dict for nothing.
      loss_scale: of the gradients, a power of two; it moves in float16 alone.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState
    stats: Any
    ema: Params | None
    memory: Any
    loss_scale: jax.Array

    def replace(self, **changes: Any) -> TrainState:
        """The same state with other values of some attributes."""
        return dataclasses.replace(self, **changes)


def create_state(
    params: Params,
    optimizer: optax.GradientTransformation,
    *,
    stats: Any = None,
    ema: bool = False,
    memory: Any = None,
) -> TrainState:
    """Training state before the first step.

    Args:
      params: from `jnn.init`, or anybody's nested arrays, floating or complex.
      optimizer: any Optax transformation.
      stats: initial running statistics, from `jnn.init` of a `*_stats_spec`, where the model has them.
      ema: whether to keep an average of the params; the step must be built with `ema_decay`.
      memory: what `remember` is to begin with.

    Raises:
      TypeError: a leaf of params is no array, or an integer: that is not trained; the optimizer is none, or
        `optax.lookahead`, which needs params of its own kind.

    >>> state = create_state({"w": jnp.ones(3)}, optax.sgd(0.1))
    >>> int(state.step)
    0
    """
    check_optimizer("create_state", optimizer)
    check_params("create_state", params)
    for path, leaf in flatten({} if stats is None else stats).items():
        if isinstance(leaf, Param) or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"create_state: stats/{path} is a {type(leaf).__name__}, expected an array: jnn.init(spec, key)."
            )
    opt_state = optimizer.init(copy_buffers(params))  # which may keep the params themselves
    if any(_is_lookahead(x) for x in jax.tree.leaves(opt_state, is_leaf=_is_lookahead)):
        raise TypeError(
            "create_state: optax.lookahead steps a pair of params of its own, fast and slow, and a loss here has one. "
            "For slow weights keep an average: create_state(ema=True), make_step(ema_decay=...)."
        )
    # Arrays of its own: a step donates its state, and the caller's params must survive that. Nothing is compiled.
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=copy_buffers(params),
        opt_state=_each_its_own(opt_state),
        stats={} if stats is None else copy_buffers(jax.tree.map(wide, stats)),  # averages of many steps
        ema=copy_buffers(jax.tree.map(wide, params)) if ema else None,
        memory={} if memory is None else copy_buffers(memory),
        loss_scale=jnp.asarray(2.0**15, jnp.float32),
    )


def step_of(state: Any) -> Any:
    """Step count: the number of updates that any state counts: the leaf itself, where it lies.

    Args:
      state: a pytree with a `step`, as an attribute or a key; of a tuple or a list, such as (state, residual), the
        first member is asked.

    Raises:
      TypeError: it has no scalar integer array `step`.

    >>> step_of({"step": jnp.int32(3), "params": {}}).item()
    3
    """
    if _is_pair(state):
        return step_of(state[0])
    step: Any = state.get("step") if isinstance(state, dict) else getattr(state, "step", None)
    if not hasattr(step, "dtype") or step.shape or not jnp.issubdtype(step.dtype, jnp.integer):
        what = checks.describe(step) if hasattr(step, "dtype") else type(step).__name__
        found = f"a {type(state).__name__} without one" if step is None else f"a step that is {what}"
        raise TypeError(
            "expected a state with a step, a scalar integer array such as jnp.int32(0), as an attribute or a key: "
            f'state.step or state["step"]; found {found}.'
        )
    return step


def at_step(state: Any, step: Any) -> Any:
    """The state with another `step`.

    >>> at_step({"step": jnp.int32(3)}, jnp.int32(4))["step"].item()
    4
    """
    if _is_pair(state):
        return type(state)([at_step(state[0], step), *state[1:]])
    if isinstance(state, dict):
        return {**state, "step": step}
    return state._replace(step=step) if hasattr(state, "_replace") else dataclasses.replace(state, step=step)


def _is_pair(state: Any) -> bool:
    """Whether the first member is asked: of what names its members, none is but `step`."""
    return isinstance(state, tuple | list) and len(state) > 0 and not hasattr(state, "_fields")


def trained(state: Any) -> dict[str, jax.Array]:
    """The arrays that must stay finite, by path; see the module's docstring.

    >>> list(trained({"step": jnp.int32(0), "actor": create_state({"w": jnp.ones(3)}, optax.adam(0.1))}))
    ['actor/params/w']
    """
    leaves = {path: x for path, x in flatten(state).items() if jnp.issubdtype(x.dtype, jnp.inexact)}
    params = {path: x for path, x in leaves.items() if "params" in path.split("/")}
    return params or leaves


def params_of(state: Any) -> Any:
    """The params of a `TrainState`, by their own paths; of any other state `trained`."""
    return state.params if hasattr(state, "params") else trained(state)


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """Whether every number of the tree is."""
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(x).all() for x in floats]).all() if floats else jnp.asarray(True)


def copy_buffers(tree: Any) -> Any:
    """Copies of arrays, where they are, in buffers of their own; nothing is compiled."""
    return jax.tree.map(lambda x: jax.device_put(x, _place(x), may_alias=False), tree)


def _each_its_own(tree: Any) -> Any:
    """The tree, with a buffer for each array: some optimizers begin with one array in two places."""
    seen: set[int] = set()

    def apart(x: Any) -> Any:
        twice = id(x) in seen
        seen.add(id(x))
        return copy_buffers(x) if twice else x

    return jax.tree.map(apart, tree)


def _is_lookahead(x: Any) -> bool:
    return isinstance(x, optax.LookaheadState)


def _place(x: Any) -> Any:
    """What spans processes must be told where it is; what does not stays free to move, if it was."""
    if isinstance(x, jax.core.Tracer) or getattr(x, "is_fully_addressable", True):
        return None
    return x.sharding
