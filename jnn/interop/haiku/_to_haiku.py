"""A function of jnn inside of Haiku."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jnn.interop._imported import averaged, takes
from jnn.optional import optional
from jnn.param import Param, Spec, check_spec, flatten, nested


def to_haiku(
    spec: Spec, function: Callable[..., Any], *, stats: Spec | None = None, momentum: float = 0.9, name: str = "jnn"
) -> Callable[..., Any]:
    """Haiku module of a spec and its function: called inside of `hk.transform`, it is `function(params, *inputs)`.

    Its parameters are those of the spec, by their paths below its name. A function that takes `key` has the next one of
    Haiku's, where `apply` is given any; one that takes `stats` and returns `(outputs, stats)` keeps their running
    average in Haiku's state, and `is_training=False` reads it.

    Args:
      spec: nested dicts of `Param`.
      function: `function(params, *inputs, **arguments)`.
      stats: what declares running statistics, such as `jnn.layers.batch_norm_stats_spec(8)`.
      momentum: the share of the old ones at each call.
      name: of the module.

    Raises:
      ImportError: dm-haiku is not installed.
      TypeError: spec is none.
    """
    check_spec("to_haiku", spec)
    hk = optional("haiku", "haiku")
    module: Any = hk.Module

    class Function(module):
        """Params of the spec, and the function of them."""

        def __call__(self, *inputs: Any, is_training: bool = True, **arguments: Any) -> Any:
            p = _named(spec, hk.get_parameter, hk.next_rng_key)
            if takes(function, "key") and "key" not in arguments:
                arguments["key"] = hk.maybe_next_rng_key()
            if stats is None:
                return function(p, *inputs, **arguments)
            running = _named(stats, hk.get_state, hk.next_rng_key)
            y, seen = function(p, *inputs, stats=None if is_training else running, **arguments)
            for path, x in flatten(averaged(running, seen, momentum) if is_training else {}).items():
                hk.set_state(path, x)
            return y

    def call(*inputs: Any, **arguments: Any) -> Any:
        return Function(name=name)(*inputs, **arguments)  # Haiku makes modules where they are called

    return call


def _named(spec: Spec, get: Callable[..., Any], next_key: Callable[[], Any]) -> Any:
    """The arrays of a spec that Haiku keeps by their paths, or draws if it has none yet."""

    def one(path: str, param: Param) -> Any:
        return get(path, param.shape, param.dtype, init=lambda shape, dtype: param.draw(next_key()))

    return nested({path: one(path, param) for path, param in flatten(spec).items()})
