"""An NNX module as a spec and a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from jnn.interop._axes import declared, layers_of
from jnn.interop._draws import drawn_by
from jnn.interop._fitting import fitting
from jnn.interop._imported import STATS, Imported, check_call, given_stats, library_class, outputs, takes
from jnn.param import Naming, Params, flatten, map_paths, path_key


def from_nnx(module: nnx.Module | Callable[[nnx.Rngs], nnx.Module], *, axes: Naming | None = None) -> Imported:
    """Flax NNX module: `(spec, function)` of it, with the params that it holds.

    `function(params, *inputs, key, stats=None, memory=None, **arguments)` calls the module: dropout is there where a
    key is, and batch norm uses the statistics that are given or, without any, the batch's own, whatever the flags that
    `train` and `eval` set; those that its code gives to a layer's call come first. Batch norm's momentum is the step's,
    `make_step(stats_momentum=...)`. Every stream of random numbers that the module holds begins at the key, folded with
    the stream's path; an argument `rngs` of its call is made of the key. Variables that are neither `nnx.Param` nor
    batch norm's, such as a cache, are memory.

    Args:
      module: or what makes one of `nnx.Rngs`, such as its class, or `lambda rngs: Net(rngs=rngs)`: then `jnn.init`
        draws every parameter as the module does, and `params` is None.
      axes: names of the parameters' axes in place of those that are guessed, as of `jnn.spec_of`.

    Raises:
      TypeError: it is no NNX module, and makes none.
      ValueError: names of axes do not fit.

    >>> import jnn
    >>> network = from_nnx(lambda rngs: nnx.Linear(8, 2, rngs=rngs))
    >>> params = jnn.init(network.spec, jax.random.key(0))
    >>> network.function(params, jnp.ones((4, 8)), key=None).shape
    (4, 2)
    """
    make, whole = _maker_and_module(module)
    layers = {"/".join(map(str, path)): library_class(type(x), "flax.nnx.nn") for path, x in nnx.iter_modules(whole)}
    filters = (nnx.Param, lambda path, _: layers.get("/".join(map(str, path[:-1]))) is nnx.BatchNorm, nnx.RngState, ...)
    graph, *parts = nnx.split(whole, *filters)
    kinds = {path: kind.__name__ for path, kind in layers.items()}
    held, stats, noise, first_memory = map(_pure, parts)
    draws = None
    if make is not None:
        draw = lambda key: [_pure(part) for part in nnx.state(make(key), *filters)]
        held, draws = drawn_by(lambda key: draw(key)[0])
        stats, noise, first_memory = jax.jit(lambda: draw(jax.random.key(0))[1:])()
    spec = declared(held, layers_of(held, kinds), said=axes, draws=draws)
    initial = {STATS: stats} if stats else {}

    def function(
        p: Params, *inputs: Any, key: jax.Array | None, stats: Any = None, memory: Any = None, **arguments: Any
    ) -> Any:
        check_call("from_nnx", p, key)
        kept = first_memory if memory is None else memory

        def apply(p: Params, inputs: Any) -> Any:
            trees = (p, given_stats(stats, initial), _streams(noise, key), kept)
            net = nnx.merge(graph, *map(_as, trees, parts))
            net.set_attributes(
                nnx.BatchNorm, use_running_average=stats is not None, momentum=0.0, raise_if_not_found=False
            )
            net.set_attributes(deterministic=key is None, raise_if_not_found=False)
            random = {"rngs": None if key is None else nnx.Rngs(key)} if takes(net.__call__, "rngs") else {}
            y = net(*inputs, **random | arguments)
            _, seen, _, changed = map(_pure, nnx.state(net, *filters))
            return outputs(y, seen, changed)

        return fitting("from_nnx", apply, p, inputs)

    return Imported(spec, function, held if make is None else None, initial, first_memory)


def _maker_and_module(given: Any) -> tuple[Callable[[Any], Any] | None, nnx.Module]:
    """What makes the module of a key, where that is given; and the module, whose arrays are shapes then.

    Raises:
      TypeError: it is neither.
    """
    if isinstance(given, nn.Module):
        raise TypeError(
            f"from_nnx: expected an NNX module, found {type(given).__name__} of Linen: from_linen(module, x)."
        )
    if isinstance(given, nnx.Module):
        return None, given
    make = _maker(given)
    module = nnx.eval_shape(lambda: make(0))
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"from_nnx: expected an NNX module or what makes one of Rngs, found {given}. Linen: from_linen."
        )
    return make, module


def _maker(module: Any) -> Callable[[Any], Any]:
    """What makes a module of a key: of a class or a function of `nnx.Rngs`, which may want it by name."""
    called: Any = module
    by_name = takes(called.__init__ if isinstance(module, type) else called, "rngs")
    return lambda key: module(rngs=nnx.Rngs(key)) if by_name else module(nnx.Rngs(key))


def _pure(state: Any) -> Any:
    """Arrays of a state in nested dicts, whose names are strings."""
    return _named(nnx.to_pure_dict(state))


def _named(tree: Any) -> Any:
    return {str(name): _named(x) for name, x in tree.items()} if isinstance(tree, dict) else tree


def _as(tree: Any, state: Any) -> Any:
    """The way back: by the names of the state, some of which are numbers."""
    like = nnx.to_pure_dict(state) if isinstance(state, nnx.State) else state
    return {name: _as(tree[str(name)], x) for name, x in like.items()} if isinstance(like, dict) else tree


def _streams(noise: Any, key: jax.Array | None) -> Any:
    """Random streams as they begin with a key: each by its own, none of which was drawn from."""
    if key is None:
        return noise

    def begin(path: str, x: jax.Array) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jnp.zeros_like(x)
        own = path_key(key, path)
        return jax.random.split(own, x.shape) if x.shape else own

    return map_paths(begin, noise) if flatten(noise) else noise
