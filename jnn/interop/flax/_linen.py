"""A Linen module as a spec and a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from jnn.interop._axes import declared, layers_of
from jnn.interop._draws import drawn_by, filled
from jnn.interop._fitting import fitting, shapes_of
from jnn.interop._imported import STATS, Imported, check_call, given_stats, library_class, merged, outputs, without
from jnn.param import Naming, Params

FLAGS = {  # what a layer is told by, in place of its own flag
    nn.BatchNorm: "use_running_average",
    nn.Dropout: "deterministic",
    nn.MultiHeadDotProductAttention: "deterministic",
}


def from_linen(module: nn.Module, *inputs: Any, axes: Naming | None = None, **arguments: Any) -> Imported:
    """Flax Linen module: `(spec, function)` of it, each parameter drawn as the module draws it.

    `function(params, *inputs, key, stats=None, memory=None, **arguments)` is `module.apply`: dropout is there where a
    key is, and batch norm uses the statistics that are given or, without any, the batch's own, whatever the module's
    flags say. Batch norm's momentum is the step's, `make_step(stats_momentum=...)`. The collection "batch_stats" of
    batch norms are stats; other variables, such as a cache or the vectors of spectral norm, are memory.

    Args:
      module: not bound.
      inputs: an example of what it is called with, arrays or their shapes.
      axes: names of the parameters' axes in place of those that are guessed, as of `jnn.spec_of`; the module's own
        (`nn.with_partitioning`) come before guesses, too.
      arguments: others that it is called with, such as `train=True`; those of a call come first.

    Raises:
      TypeError: it is no Linen module.
      ValueError: names of axes do not fit.

    >>> import jnn
    >>> module, x = nn.Sequential([nn.Dense(32), nn.relu, nn.Dense(2)]), jax.ShapeDtypeStruct((1, 8), "float32")
    >>> network = from_linen(module, x)
    >>> params = jnn.init(network.spec, jax.random.key(0))
    >>> network.function(params, jax.numpy.ones((4, 8)), key=None).shape
    (4, 2)
    >>> network.spec["layers_0"]["kernel"].axes
    ('in', 'embed')
    """
    if not isinstance(module, nn.Module):
        made = isinstance(module, type) and issubclass(module, nn.Module)
        found = (
            f"the class {module.__name__}. Make one: {module.__name__}(...)" if made else f"a {type(module).__name__}"
        )
        advice = "" if made else " NNX: from_nnx(module)."
        raise TypeError(f"from_linen: expected a Linen module, found {found}.{advice}")
    layers: dict[str, type] = {}

    def variables(key: jax.Array) -> Any:
        with nn.intercept_methods(_recording(layers)), nn.intercept_methods(_telling(None, None)):
            return module.init(key, *filled(inputs), **arguments)

    boxed = jax.eval_shape(variables, jax.random.key(0))
    first = lambda key: nn.meta.unbox(variables(key))
    shapes, draws = drawn_by(lambda key: first(key).get("params", {}))
    kinds = {path: kind.__name__ for path, kind in layers.items()}
    spec = declared(shapes, layers_of(shapes, kinds), said=axes, boxed=_names(boxed.get("params", {})), draws=draws)
    initial, first_memory = _apart(jax.jit(lambda: _others(first(jax.random.key(0))))(), layers)
    changing, examples = [*initial, *first_memory], shapes_of(inputs)

    def function(
        p: Params, *inputs: Any, key: jax.Array | None, stats: Any = None, memory: Any = None, **more: Any
    ) -> Any:
        check_call("from_linen", p, key)
        rngs = {} if key is None else dict.fromkeys(("params", "dropout"), key)
        running = {STATS: given_stats(stats, initial)} if initial else {}

        def apply(p: Params, inputs: Any) -> Any:
            variables = {"params": p, **merged(running, first_memory if memory is None else memory)}
            with nn.intercept_methods(_telling(key, stats)):
                y, seen = module.apply(variables, *inputs, rngs=rngs, mutable=changing, **{**arguments, **more})
            new_stats, new_memory = _apart(seen, layers)
            return outputs(y, new_stats.get(STATS), new_memory)

        return fitting("from_linen", apply, p, inputs, examples)

    return Imported(spec, function, None, initial, first_memory)


def _recording(layers: dict[str, type]) -> Callable[..., Any]:
    """Notes the class of every layer by its path."""

    def record(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        layers["/".join(context.module.path)] = library_class(type(context.module), "flax.linen")
        return call(*args, **kwargs)

    return record


def _telling(key: jax.Array | None, stats: Any) -> Callable[..., Any]:
    """Tells layers whether there is noise, and whose statistics are used: no flag of theirs does."""

    def tell(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        flag = next((flag for kind, flag in FLAGS.items() if isinstance(module, kind)), None)
        if flag is None or context.method_name != "__call__":
            return call(*args, **kwargs)
        args, kwargs = without(flag, module.__call__, args, kwargs)
        if isinstance(module, nn.BatchNorm):
            _set(module, **{flag: stats is not None}, momentum=0.0)  # what it then calls running is the batch's own
        else:
            _set(module, **{flag: key is None})
        return call(*args, **kwargs)

    return tell


def _set(module: nn.Module, **attributes: Any) -> None:
    """Of the copy of a module that `apply` calls, and forgets: such are frozen for their users."""
    for name, value in attributes.items():
        object.__setattr__(module, name, value)


def _others(variables: Any) -> Any:
    return {name: tree for name, tree in variables.items() if name != "params"}


def _apart(collections: Any, layers: dict[str, type]) -> tuple[Any, Any]:
    """The statistics of batch norms, and all other variables."""
    of_norm = lambda path: path[0] == STATS and layers.get("/".join(path[1:-1])) is nn.BatchNorm
    flat = flatten_dict(dict(collections))
    stats = unflatten_dict({path: x for path, x in flat.items() if of_norm(path)})
    return stats, unflatten_dict({path: x for path, x in flat.items() if not of_norm(path)})


def _names(boxed: Any) -> dict[str, str]:
    """The names of axes that a module gives by `nn.with_partitioning`, by path."""
    found = flatten_dict(boxed, sep="/", is_leaf=lambda _, x: isinstance(x, nn.Partitioned))
    boxes = {path: box.names for path, box in found.items() if isinstance(box, nn.Partitioned)}
    return {path: " ".join(name or f"axis{i}" for i, name in enumerate(names)) for path, names in boxes.items()}
