"""An Equinox module as a spec and a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from jnn.interop._axes import declared, layers_of
from jnn.interop._draws import drawn_by
from jnn.interop._fitting import fitting
from jnn.interop._imported import STATS, Imported, check_call, given_stats, outputs, takes
from jnn.interop.equinox._state import batch_norms, first_stats, first_values, indices, put, seen_in
from jnn.param import Naming, Params, flatten, nested


def from_equinox(
    module: Any,
    state: eqx.nn.State | None = None,
    *,
    axes: Naming | None = None,
    axis_name: str | None = "batch",
) -> Imported:
    """Equinox module: `(spec, function)` of it, with the params that it holds, in nested dicts by path.

    A module is of one example; `function(params, *inputs, key, stats=None, memory=None)` is of a batch: `jax.vmap` of
    the module over the first axis of each input, with a key for each example. What `inference_mode` sets is set by
    whether there is a key, and of batch norm by whether statistics are given: without any it normalizes by the batch's
    own, in both of its modes. (A flag that its code gives to a layer's call comes first.) Batch norm's momentum is the
    step's, `make_step(stats_momentum=...)`. What else a `State` holds is memory. Parameters are the floating-point
    arrays; others are constants.

    Args:
      module: of one example; or what makes one of a key, as `lambda key: Net(key=key)` or
        `eqx.nn.make_with_state(Net)`: then `jnn.init` draws every parameter as the module does, and `params` is None.
      state: its state, if it has one: it is called as `module(*inputs, state, key=key) -> (outputs, state)`.
      axes: names of the parameters' axes in place of those that are guessed, as of `jnn.spec_of`.
      axis_name: of the batch, as its batch norms call it; None for a module that is of a batch itself.

    Raises:
      TypeError: it is no module, and makes none; or it has a state that is not given.
      ValueError: names of axes do not fit.

    >>> import jax.numpy as jnp, jnn
    >>> network = from_equinox(eqx.nn.MLP(8, 2, 32, depth=1, key=jax.random.key(0)))
    >>> network.function(network.params, jnp.ones((4, 8)), key=None).shape
    (4, 2)
    >>> network.spec["layers"]["1"]["weight"].axes
    ('out', 'embed')
    """
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(
            f"from_equinox: expected a state as eqx.nn.make_with_state gives it, found {type(state).__name__}. An "
            "example of the inputs is not wanted."
        )
    make = None if isinstance(module, eqx.Module) else module
    if make is not None:
        module, state = _made(make, jax.random.key(0))
    arrays, rest = eqx.partition(module, lambda x: eqx.is_inexact_array(x) or isinstance(x, jax.ShapeDtypeStruct))
    paths, structure = list(flatten(arrays)), jax.tree.structure(arrays)
    if make is None:
        held, draws = nested(flatten(arrays)), None
    else:
        held, draws = drawn_by(lambda key: nested(flatten(eqx.filter(_and_state(make(key))[0], eqx.is_inexact_array))))
    spec = declared(held, layers_of(held, _kinds(module)), said=axes, draws=draws)
    norms, others = batch_norms(module), indices(module)
    if state is None and (norms or others):
        raise TypeError(
            "from_equinox: the module has a state, and none is given: from_equinox(*eqx.nn.make_with_state(Net)(key))."
        )
    running, first_memory = first_stats(norms, state), first_values(others, state)
    initial = {STATS: running} if running else {}

    def function(p: Params, *inputs: Any, key: jax.Array | None, stats: Any = None, memory: Any = None) -> Any:
        check_call("from_equinox", p, key)
        own = {} if stats is None else given_stats(stats, initial)
        begin = None if state is None else put(state, norms, own, others, first_memory if memory is None else memory)

        def apply(p: Params, inputs: Any) -> Any:
            leaves = flatten(p)
            net = eqx.combine(jax.tree.unflatten(structure, [leaves[path] for path in paths]), rest)
            net = _told(net, noise=key is not None, running=stats is not None)
            y, end = _called(net, inputs, begin, key, axis_name)
            return y if end is None else outputs(y, *seen_in(end, norms, own, others))

        return fitting("from_equinox", apply, p, inputs)

    return Imported(spec, function, held if make is None else None, initial, first_memory)


def _made(make: Callable[[jax.Array], Any], key: jax.Array) -> tuple[Any, Any]:
    """A module whose floating-point arrays are shapes, and its state.

    Raises:
      TypeError: it is none.
    """
    parts = lambda key: eqx.partition(_and_state(make(key))[0], eqx.is_inexact_array)
    shapes = eqx.filter_eval_shape(lambda key: parts(key)[0], key)
    rest, state = eqx.filter_jit(lambda key: (parts(key)[1], _and_state(make(key))[1]))(key)
    return eqx.combine(shapes, rest), state


def _and_state(made: Any) -> tuple[Any, Any]:
    module, state = made if isinstance(made, tuple) else (made, None)
    if not isinstance(module, eqx.Module):
        raise TypeError(
            f"from_equinox: expected a module or what makes one of a key, found one of {type(module).__name__}."
        )
    return module, state


def _called(net: Any, inputs: Any, state: Any, key: jax.Array | None, axis_name: str | None) -> tuple[Any, Any]:
    """Outputs of a batch, and the state behind it, which is one for all."""

    def one(state: Any, key: Any, *inputs: Any) -> Any:
        how = {"key": key} if takes(net.__call__, "key") else {}
        return (net(*inputs, **how), None) if state is None else net(*inputs, state, **how)

    if axis_name is None:
        return one(state, key, *inputs)
    keys = None if key is None else jax.random.split(key, len(jax.tree.leaves(inputs)[0]))
    axes = (None, None if keys is None else 0, *[0] * len(inputs))
    return jax.vmap(one, axes, (0, None), axis_name=axis_name)(state, keys, *inputs)


def _told(net: Any, *, noise: bool, running: bool) -> Any:
    """The module with its flags set: what `inference` means of noise, and of batch norm."""
    net = eqx.nn.inference_mode(net, value=not noise)
    flags = lambda net: [norm.inference for norm in batch_norms(net).values()]
    return eqx.tree_at(flags, net, [running] * len(flags(net))) if flags(net) else net


def _kinds(module: Any) -> dict[str, str]:
    """The names of the classes of all layers, by path."""
    found = {}
    spatial = eqx.nn.Conv, eqx.nn.ConvTranspose

    def look(path: str, x: Any) -> None:
        if isinstance(x, eqx.Module):
            found[path] = "ConvNd" if isinstance(x, spatial) else type(x).__name__
        inside, _ = jax.tree_util.tree_flatten_with_path(x, is_leaf=lambda one: one is not x)
        for step, one in inside:
            if one is not x:
                look("/".join(filter(None, (path, jax.tree_util.keystr(step, simple=True, separator="/")))), one)

    look("", module)
    return found
