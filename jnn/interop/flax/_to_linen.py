"""A function of jnn as a Linen module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
from flax.core import unfreeze

from jnn.interop._imported import STATS, averaged, takes
from jnn.param import Spec, check_spec, init


def to_linen(
    spec: Spec,
    function: Callable[..., Any],
    *,
    stats: Spec | None = None,
    momentum: float = 0.9,
    name: str | None = None,
) -> nn.Module:
    """Flax Linen module of a spec and its function: `module(*inputs)` is `function(params, *inputs)`.

    Its params are those of the spec, by the same names. A function that takes `key` has that of Linen's stream
    "dropout", None where there is none; one that takes `stats` and returns `(outputs, stats)` keeps their running
    average in the collection "batch_stats", and `module(*inputs, use_running_average=True)` reads it.

    Args:
      spec: a dict.
      function: `function(params, *inputs, **arguments)`.
      stats: what declares running statistics, such as `jnn.layers.batch_norm_stats_spec(8)`.
      momentum: the share of the old ones at each call.
      name: of the module, inside of another.

    Raises:
      TypeError: spec is none.

    >>> import jax, jnn
    >>> from jnn.layers import linear, linear_spec
    >>> module = to_linen(linear_spec(3, 2), linear)
    >>> x = jax.numpy.ones((4, 3))
    >>> module.apply(module.init(jax.random.key(0), x), x).shape
    (4, 2)
    """
    check_spec("to_linen", spec)
    return _Function(spec, function, stats, momentum, name=name)


class _Function(nn.Module):
    """Params of the spec, one Linen parameter for each of its names, and the function of them."""

    spec: Any
    function: Callable[..., Any]
    stats: Any
    momentum: float

    @nn.compact
    def __call__(self, *inputs: Any, use_running_average: bool = False, **arguments: Any) -> Any:
        p = {name: self.param(name, lambda key, of=of: init(of, key)) for name, of in unfreeze(self.spec).items()}
        if takes(self.function, "key") and "key" not in arguments:
            arguments["key"] = self.make_rng("dropout") if self.has_rng("dropout") else None
        if self.stats is None:
            return self.function(p, *inputs, **arguments)
        key = lambda: self.make_rng("params")
        running = {
            name: self.variable(STATS, name, lambda of=of: init(of, key())) for name, of in unfreeze(self.stats).items()
        }
        given = {name: x.value for name, x in running.items()} if use_running_average else None
        y, seen = self.function(p, *inputs, stats=given, **arguments)
        if given is None and not self.is_initializing():
            for name, x in running.items():
                x.value = averaged(x.value, seen[name], self.momentum)
        return y
