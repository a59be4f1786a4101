"""A function of jnn as an NNX module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jnn.interop._imported import averaged, takes
from jnn.param import Spec, check_spec, init


def to_nnx(
    spec: Spec, function: Callable[..., Any], *, rngs: nnx.Rngs, stats: Spec | None = None, momentum: float = 0.9
) -> nnx.Module:
    """Flax NNX module of a spec and its function: `module(*inputs)` is `function(params, *inputs)`.

    `module.params` are those of the spec, each an `nnx.Param`. A function that takes `key` has one of the stream
    "dropout", and none after `module.eval()`; one that takes `stats` and returns `(outputs, stats)` keeps their running
    average in `module.stats`, each an `nnx.BatchStat`, and reads it after `module.eval()`.

    Args:
      spec: a tree of `Param`.
      function: `function(params, *inputs, **arguments)`.
      rngs: the stream "params" draws the parameters.
      stats: what declares running statistics, such as `jnn.layers.batch_norm_stats_spec(8)`.
      momentum: the share of the old ones at each call.

    Raises:
      TypeError: spec is none, or rngs are none.

    >>> import jnn
    >>> from jnn.layers import linear, linear_spec
    >>> module = to_nnx(linear_spec(3, 2), linear, rngs=nnx.Rngs(0))
    >>> module(jax.numpy.ones((4, 3))).shape, module.params["w"].shape
    ((4, 2), (3, 2))
    """
    check_spec("to_nnx", spec)
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"to_nnx: expected rngs=nnx.Rngs(0), found {type(rngs).__name__}.")
    return _Function(spec, function, rngs, stats, momentum)


class _Function(nnx.Module):
    def __init__(
        self, spec: Spec, function: Callable[..., Any], rngs: nnx.Rngs, stats: Spec | None, momentum: float
    ) -> None:
        self.params = nnx.data(jax.tree.map(nnx.Param, init(spec, rngs.params())))
        self.stats = nnx.data(jax.tree.map(nnx.BatchStat, init({} if stats is None else stats, rngs.params())))
        self.noise: Any = rngs["dropout"].fork() if takes(function, "key") else nnx.data(None)
        self.function, self.momentum = function, momentum
        self.deterministic = self.use_running_average = False  # what `eval` sets

    def __call__(self, *inputs: Any, **arguments: Any) -> Any:
        if takes(self.function, "key") and "key" not in arguments:
            arguments["key"] = None if self.deterministic else self.noise()
        p = _values(self.params)
        if not self.stats:
            return self.function(p, *inputs, **arguments)
        running = _values(self.stats)
        y, seen = self.function(p, *inputs, stats=running if self.use_running_average else None, **arguments)
        if not self.use_running_average:
            new = averaged(running, seen, self.momentum)
            jax.tree.map(lambda variable, x: variable.set_value(x), self.stats, new, is_leaf=_is_variable)
        return y


def _is_variable(x: Any) -> bool:
    return isinstance(x, nnx.Variable)


def _values(tree: Any) -> Any:
    return jax.tree.map(lambda variable: variable[...], tree, is_leaf=_is_variable)
