"""A transformed function of Haiku as a spec and a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from jnn.interop._axes import declared, layers_of
from jnn.interop._draws import drawn_by, filled
from jnn.interop._fitting import fitting, shapes_of
from jnn.interop._imported import STATS, Imported, check_call, given_stats, library_class, outputs, without
from jnn.optional import optional
from jnn.param import Naming, Params

AVERAGE = "average"  # of the three entries of a moving average, the one that is read


def from_haiku(transformed: Any, *inputs: Any, axes: Naming | None = None, **arguments: Any) -> Imported:
    """Haiku function: `(spec, function)` of what `hk.transform` or `hk.transform_with_state` made.

    `function(params, *inputs, key, stats=None, memory=None, **arguments)` is its `apply`. Batch norm uses the
    statistics that are given or, without any, the batch's own, whatever `is_training` says; its decay is the step's,
    `make_step(stats_momentum=...)`. What else Haiku's state holds is memory. `hk.dropout` is a function without a flag:
    where the network leaves it out, give the call its argument, `is_training=ctx.key is not None`.

    Args:
      transformed: of either kind.
      inputs: an example of what it is called with, arrays or their shapes.
      axes: names of the parameters' axes in place of those that are guessed, as of `jnn.spec_of`.
      arguments: others that it is called with, such as `is_training=True`; those of a call come first.

    Raises:
      ImportError: dm-haiku is not installed.
      TypeError: it is not transformed.
      ValueError: names of axes do not fit.
    """
    hk = optional("haiku", "haiku")
    if not isinstance(transformed, hk.Transformed | hk.TransformedWithState):
        raise TypeError(
            f"from_haiku: expected what hk.transform or hk.transform_with_state returns, found {transformed}."
        )
    if isinstance(transformed, hk.Transformed):
        transformed = hk.with_empty_state(transformed)
    kinds: dict[str, str] = {}
    norms: dict[str, None] = {}  # the moving averages of batch norms

    def first(key: jax.Array) -> tuple[Any, Any]:
        with hk.intercept_methods(_telling(hk, None, kinds, norms)):
            return transformed.init(key, *filled(inputs), **arguments)

    shapes, draws = drawn_by(lambda key: first(key)[0])
    spec = declared(shapes, layers_of(shapes, kinds), said=axes, draws=draws)
    state = jax.jit(lambda: first(jax.random.key(0))[1])()
    running, first_memory = _apart(state, norms)
    initial, examples = {STATS: running} if running else {}, shapes_of(inputs)

    def function(
        p: Params, *inputs: Any, key: jax.Array | None, stats: Any = None, memory: Any = None, **more: Any
    ) -> Any:
        check_call("from_haiku", p, key)
        kept = first_memory if memory is None else memory
        running = given_stats(stats, initial)
        given = {name: {**entries, **running.get(name, {}), **kept.get(name, {})} for name, entries in state.items()}

        def apply(p: Params, inputs: Any) -> Any:
            with hk.intercept_methods(_telling(hk, stats, {}, {})):
                y, seen = transformed.apply(p, given, key, *inputs, **{**arguments, **more})
            return outputs(y, *_apart(seen, norms))

        return fitting("from_haiku", apply, p, inputs, examples)

    return Imported(spec, function, None, initial, first_memory)


def _telling(hk: Any, stats: Any, kinds: dict[str, str], norms: dict[str, None]) -> Callable[..., Any]:
    """Tells batch norms whose statistics are used, and notes the class of every layer by its path."""

    def tell(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if context.method_name != "__init__":
            kinds[module.module_name] = library_class(type(module), "haiku").__name__
        if not isinstance(module, hk.BatchNorm) or context.method_name != "__call__":
            return call(*args, **kwargs)
        for average in (module.mean_ema, module.var_ema):
            average.decay = 0.0  # what it then calls the average is the batch's own
            norms[average.module_name] = None
        args, kwargs = without("is_training", context.orig_method, args, kwargs)
        return call(*args, **kwargs, is_training=stats is None)

    return tell


def _apart(state: Any, norms: dict[str, None]) -> tuple[Any, Any]:
    """The statistics of batch norms, and all other state."""
    stats = {name: {AVERAGE: entries[AVERAGE]} for name, entries in state.items() if name in norms}
    return stats, {name: dict(entries) for name, entries in state.items() if name not in norms}
