"""Which weights of a spec are quantized, along which axes, and a model with others in their place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jnn import checks
from jnn.param import Param, Params, Spec, Where, check_spec, flatten, is_linear_map, map_paths, matching

Scales = Mapping[str, jax.Array]  # by path


def chosen_weights(name: str, spec: Spec, where: Where) -> dict[str, Param]:
    """What layers read as integers: weights of linear maps and convolutions, tables of a vocabulary."""
    check_spec(name, spec)
    kinds = (is_linear_map, _is_convolution, _is_vocabulary)
    read = {path: param for path, param in flatten(spec).items() if any(kind(path, param) for kind in kinds)}
    return matching(name, read, where, "linear map, convolution or table of a vocabulary")


def check_scales(name: str, spec: Spec, scales: Scales | None) -> Scales:
    """The scales, by path; raises unless each is of a weight, so that none is left out in silence."""
    found, weights = {} if scales is None else scales, chosen_weights(name, spec, "*")
    checks.by_path(name, "scales", found)
    if strange := [path for path in found if path not in weights]:
        raise ValueError(
            f"{name}: found scales of {strange[0]!r}, which is no weight. Name each by its path, as step_sizes does: "
            f"{', '.join(weights)}."
        )
    return found


def _is_convolution(path: str, param: Param) -> bool:
    own = param.axes[param.stacked :]
    return path.split("/")[-1] == "w" and own == (*param.receptive, *param.fan_in, *param.fan_out)


def _is_vocabulary(path: str, param: Param) -> bool:
    return path.split("/")[-1] == "table" and param.axes[param.stacked :][:1] == ("vocab",)


def summed_axes(path: str, param: Param) -> tuple[int, ...]:
    """What is summed over; rows of a table are outputs of the read-out that is tied to it."""
    own = (1,) if _is_vocabulary(path, param) else range(len(param.receptive + param.fan_in))
    return tuple(param.stacked + axis for axis in own)


def change_weights(
    name: str, p: Params, spec: Spec, chosen: Mapping[str, Any], make: Callable[[str, Param, Any], Any]
) -> Params:
    """p with `make(path, param, w)` in place of each chosen weight; its errors name the path.

    Raises:
      ValueError: p has not what spec declares, or a chosen weight has another shape or is quantized already.
    """
    have = flatten(p)
    inner = lambda path: any(f"{path}/{kept}" in have for kept in checks.KEPT)
    if lacking := [path for path in flatten(spec) if path not in have and not inner(path)]:
        raise ValueError(
            f"{name}: expected the parameters that spec declares, found none at {lacking[0]!r}. Give what "
            "jnn.init(spec, key) or jnn.load(spec, arrays) made."
        )

    def one(path: str, param: Param, w: Any) -> Any:
        if path not in chosen:
            return w
        if checks.is_quantized(w):
            raise ValueError(
                f"{name}: {path} is quantized already. Give the floats that it was made of: dequantize(p)."
            )
        checks.declared(name, path, w, param)
        return named(path, lambda: make(path, param, w))

    return map_paths(one, spec, p)


def named(path: str, make: Callable[[], Any]) -> Any:
    """What `make` makes; its errors say of which weight."""
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"{error} That is {path}: leave it out by where=[...].") from None


def inputs_of(param: Param) -> int:
    """How many inputs a linear map has."""
    return math.prod(param.shape[param.stacked : param.stacked + len(param.fan_in)])
