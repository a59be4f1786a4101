"""What an optimizer is given, and asked: gradients within a norm, and by name what else it wants to know.

clipped(grads, limit) -> grads, metrics
extra_args(names, sums, grads, value_fn) -> arguments
ask(optimizer, grads, state, arguments) -> updates, new state
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jnn.metrics import Mean
from jnn.param import Params
from jnn.precision import wide
from jnn.train._arguments import check_names
from jnn.train._context import Metrics, check_optimizer
from jnn.train._gradients import Sums, downhill
from jnn.train._state import TrainState

OF_THE_LOSS = ("value", "grad", "value_fn", "grad_fn")  # what `extra` may name


def clipped(grads: Params, limit: float | None) -> tuple[Params, Metrics]:
    """The gradients within a global norm, if there is a limit, and what it was: in float32 at least."""
    if limit is None:
        return grads, {}
    grads_wide = jax.tree.map(wide, grads)
    norm = optax.tree.norm(grads_wide)
    norm = jax.lax.cond(jnp.isfinite(norm), lambda tree: norm, _norm_of_large, grads_wide)
    factor = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    kept = jax.tree.map(lambda g: (g * factor).astype(g.dtype), grads)
    return kept, {"grad_norm": Mean(norm, jnp.ones_like(norm))}


def _norm_of_large(tree: Params) -> jax.Array:
    """The norm of numbers whose squares overflow: of what they are to the largest one, times that."""
    largest = jax.tree.reduce(jnp.maximum, jax.tree.map(lambda x: jnp.abs(x).max(initial=0), tree), jnp.zeros(()))
    return largest * optax.tree.norm(jax.tree.map(lambda x: x / largest, tree))


def extra_args(names: Sequence[str], summed: Sums, grads: Params, value_fn: Callable[..., jax.Array]) -> dict[str, Any]:
    """What an optimizer may ask for, by name."""
    known: dict[str, Callable[[], Any]] = {
        "value": lambda: summed.value / jnp.where(summed.weight == 0, 1.0, summed.weight),
        "grad": lambda: grads,
        "value_fn": lambda: lambda params: value_fn(params=params),
        "grad_fn": lambda: lambda params, *_: downhill(jax.grad(lambda p: value_fn(params=p))(params)),
    }
    check_names("extra", names, known)
    return {name: known[name]() for name in names}


def ask(optimizer: Any, grads: Params, state: TrainState, args: dict[str, Any]) -> tuple[Params, Any]:
    """The optimizer's updates and new state."""
    check_optimizer("update", optimizer)
    transform = optimizer.gradient_transformation() if hasattr(optimizer, "gradient_transformation") else optimizer
    transform = optax.with_extra_args_support(transform)
    takes = inspect.signature(transform.update).parameters
    if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values()):
        args = {name: value for name, value in args.items() if name in takes}  # it says that it wants no other
    try:
        return transform.update(grads, state.opt_state, state.params, **args)
    except Exception as error:
        fresh = jax.eval_shape(transform.init, state.params)
        found, expected = (str(jax.tree.structure(tree)) for tree in (state.opt_state, fresh))
        if found != expected:
            raise ValueError(
                "update: the optimizer's state is that of another optimizer. Give create_state and make_step the same "
                f"one; found {_kinds(found)}, expected {_kinds(expected)}."
            ) from error
        if args.keys() >= {name for name in OF_THE_LOSS if name in str(error)} and "missing" not in str(error):
            raise
        raise TypeError(
            f"update: the optimizer asks for more than it is given ({error}). Name it: make_step(..., "
            'extra=("value", "grad", "value_fn")).'
        ) from error


def _kinds(structure: str) -> str:
    """The named tuples of an optimizer's state, which say whose it is."""
    return ", ".join(re.findall(r"namedtuple\[(\w+)\]", structure)) or structure
