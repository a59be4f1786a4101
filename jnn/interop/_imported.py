"""What every imported network is: a spec, a function, and what its module held."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn.param import Params, Spec, check_key

STATS, MEMORY = "batch_stats", "memory"


class Imported(NamedTuple):
    """Imported network: another library's module as `(spec, function)`, and what it held.

    Attributes:
      spec: a tree of `Param`, the module's own by its own names, whose axes are guessed.
      function: `function(params, *inputs, key=...) -> outputs` (of an ONNX file without a key); where there are
        statistics or memory, `function(params, *inputs, key=..., stats=None, memory=None) -> (outputs, seen)`. Without
        stats, batch norm normalizes by the batch's own; without a key, there is no noise. `seen` is for
        `LossOutput.stats`. An input whose shape the parameters do not take is one error that says which would be taken.
      params: what the module held; None of one that draws its parameters: `jnn.init(spec, key)` does.
      stats: running statistics to begin with, for `create_state(stats=...)`; {} where there are none.
      memory: whatever else the module changes by itself, for `create_state(memory=...)`; {} where there is none.
        `make_step(remember=jnn.interop.remember)` keeps it.
    """

    spec: Spec
    function: Callable[..., Any]
    params: Params | None
    stats: Any
    memory: Any


def remember(memory: Any, params: Params, stats: Any, rows: Any, step: jax.Array) -> Any:
    """Memory of an imported network after an update, for `make_step(remember=...)`: what its function has seen of it.

    Of micro-batches it is the mean.

    >>> seen = {"memory": {"counter": {"value": jnp.float32(3), "count": jnp.float32(8)}}}
    >>> remember({"counter": {"value": jnp.int32(2)}}, {}, seen, {}, jnp.int32(1))["counter"]["value"].item()
    3
    """
    return _kept(memory, stats[MEMORY])


def _kept(old: Any, seen: Any) -> Any:
    if isinstance(old, Mapping):
        return {name: _kept(x, seen[name]) for name, x in old.items()}
    exact = jnp.issubdtype(old.dtype, jnp.integer) or old.dtype == bool
    return (jnp.rint(seen) if exact else seen).astype(old.dtype)


def outputs(y: Any, stats: Any, memory: Any) -> Any:
    """What an imported function returns: outputs, with what was seen where there is anything."""
    seen = ({STATS: stats} if stats else {}) | ({MEMORY: memory} if memory else {})
    return (y, seen) if seen else y


def check_params(name: str, p: Any) -> None:
    """Raises TypeError unless p is a dict: `params` of a network that draws its own are None."""
    if not isinstance(p, Mapping):
        raise TypeError(
            f"{name}: expected parameters first, a dict, found {type(p).__name__}. Give network.params or, of a "
            "network that draws them, jnn.init(network.spec, key)."
        )


def check_call(name: str, p: Any, key: Any) -> None:
    """Raises unless an imported function is given parameters, and a key or None."""
    check_params(name, p)
    check_key(name, key, optional=True)


def given_stats(stats: Any, initial: Any) -> Any:
    """Those that were given, as `ctx.stats` has them, or the initial ones."""
    return stats[STATS] if stats else initial.get(STATS, {})


def merged(one: Any, other: Any) -> Any:
    """Two nested dicts as one.

    >>> merged({"a": {"b": 1}}, {"a": {"c": 2}})
    {'a': {'b': 1, 'c': 2}}
    """
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return other
    shared = {name: merged(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **shared}


def averaged(old: Any, seen: Any, momentum: float) -> Any:
    """Running statistics after a batch: `momentum * old + (1 - momentum) * seen`, without the counts of these.

    >>> seen = {"mean": jnp.float32(2), "count": jnp.float32(8)}
    >>> averaged({"mean": jnp.float32(0)}, seen, 0.5)["mean"].item()
    1.0
    """
    if isinstance(old, Mapping):
        return {name: averaged(x, seen[name], momentum) for name, x in old.items()}
    return momentum * old + (1 - momentum) * seen.astype(old.dtype)


def without(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Arguments of a call, without the one of this name.

    >>> without("b", lambda a, b, c: a, (1, 2, 3), {})
    ((1,), {'c': 3})
    """
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.arguments.pop(name, None)
    return bound.args, bound.kwargs


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of this name."""
    return name in inspect.signature(function).parameters


def library_class(kind: type, package: str) -> type:
    """Of a user's subclass of a library's layer, that layer; of any other class, itself.

    >>> import collections
    >>> library_class(type("Mine", (collections.OrderedDict,), {}), "collections").__name__
    'OrderedDict'
    """
    return next((one for one in kind.__mro__ if f"{one.__module__}.".startswith(f"{package}.")), kind)
