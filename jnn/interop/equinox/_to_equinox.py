"""A function of jnn as an Equinox module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from jnn.interop._imported import averaged, takes
from jnn.param import Spec, init


def to_equinox(
    spec: Spec, function: Callable[..., Any], *, key: jax.Array, stats: Spec | None = None, momentum: float = 0.9
) -> eqx.Module:
    """Equinox module of a spec and its function: `module(*inputs)` is `function(params, *inputs)`.

    `module.params` are those of the spec, drawn by the key. Leading axes being free, the module is of one example,
    under `jax.vmap`, or of a batch. A function that takes `key` has that of `module(*inputs, key=key)`, None in
    `eqx.nn.inference_mode`. One that takes `stats` and returns `(outputs, stats)` is of a batch, made with its state:
    `module, state = eqx.nn.make_with_state(to_equinox)(...)`, `module(*inputs, state) -> (outputs, state)`.

    Args:
      spec: a tree of `Param`.
      function: `function(params, *inputs, **arguments)`.
      key: draws the parameters.
      stats: what declares running statistics, such as `jnn.layers.batch_norm_stats_spec(8)`.
      momentum: the share of the old ones at each call.

    Raises:
      TypeError: spec is none, or key no PRNG key.

    >>> import jnn
    >>> from jnn.layers import linear, linear_spec
    >>> module = to_equinox(linear_spec(3, 2), linear, key=jax.random.key(0))
    >>> jax.vmap(module)(jax.numpy.ones((4, 3))).shape
    (4, 2)
    """
    running = None if stats is None else eqx.nn.StateIndex(init(stats, key))
    return _Function(init(spec, key), running, function, momentum)


class _Function(eqx.Module):
    params: Any
    running: eqx.nn.StateIndex | None
    function: Callable[..., Any] = eqx.field(static=True)
    momentum: float = eqx.field(static=True)
    inference: bool = False

    def __call__(self, *inputs: Any, key: jax.Array | None = None, **arguments: Any) -> Any:
        if takes(self.function, "key"):
            arguments["key"] = None if self.inference else key
        if self.running is None:
            return self.function(self.params, *inputs, **arguments)
        state = inputs[-1]
        old = state.get(self.running)
        y, seen = self.function(self.params, *inputs[:-1], stats=old if self.inference else None, **arguments)
        return y, state if self.inference else state.set(self.running, averaged(old, seen, self.momentum))
