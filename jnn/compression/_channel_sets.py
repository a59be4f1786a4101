"""Sets of channels, by the names of axes: which leaves have them, and where.

    channels = "hidden"                                   every leaf's axis of that name
    channels = {"conv0/*": "channels_out", "conv1/w": "channels_in"}        the axes that are one set, by paths

A name alone is a set where one map makes it; where several do (blocks that add to a residual stream, layers in a row
with one name), only whoever wrote the model knows, and says it by paths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.param import Param, Spec, check_spec, flatten


@dataclasses.dataclass(frozen=True)
class Flat:
    """Flattened axis: an image laid flat, (y x channels), whose channels are meant; the name is that of the axis."""

    axis: str


Channels = str | Mapping[str, str | Flat]


class Place(NamedTuple):
    """Where a leaf has the channels: along which axis, and how often one after the other."""

    axis: int
    times: int


def channel_places(name: str, spec: Spec, channels: Channels) -> dict[str, Place]:
    """Where each leaf has the channels, by path; raises ValueError unless they are one set."""
    check_spec(name, spec)
    declared = flatten(spec)
    if not isinstance(channels, str | Mapping):
        raise TypeError(
            f"{name}: expected channels, the name of an axis or a mapping of paths to it, found "
            f"{checks.describe(channels)}."
        )
    named = {"*": channels} if isinstance(channels, str) else channels
    axes = {path: axis for path in declared if (axis := _named(path, declared[path], named)) is not None}
    if not axes:
        there = sorted({axis for param in declared.values() for axis in param.axes})
        raise ValueError(f"{name}: no leaf of the spec has channels={channels!r}. Its axes are: {', '.join(there)}.")
    if isinstance(channels, str):
        _one_maker(name, channels, declared)
    sizes = {path: declared[path].shape[_axis(declared[path], axis)] for path, axis in axes.items()}
    whole = {size for path, size in sizes.items() if isinstance(axes[path], str)}
    if len(whole) != 1 or any(size % min(whole) for size in sizes.values()):
        found = ", ".join(f"{size} in {path}" for path, size in sizes.items())
        raise ValueError(
            f"{name}: channels={channels!r} are of several sizes: {found}. Say which belong together by a mapping of "
            'paths to axes, {"fc1/*": "hidden"}, and of an image laid flat Flat("hidden").'
        )
    return {path: Place(_axis(declared[path], axes[path]), size // min(whole)) for path, size in sizes.items()}


def _named(path: str, param: Param, named: Mapping[str, str | Flat]) -> str | Flat | None:
    """Which of a leaf's axes is meant, if one is."""
    fits = (axis for pattern, axis in named.items() if fnmatchcase(path, pattern))
    return next((axis for axis in fits if (axis.axis if isinstance(axis, Flat) else axis) in param.axes), None)


def _axis(param: Param, axis: str | Flat) -> int:
    return param.axes.index(axis.axis if isinstance(axis, Flat) else axis)


def _one_maker(name: str, axis: str, declared: Mapping[str, Param]) -> None:
    makers = [path for path, param in declared.items() if axis in param.fan_out]
    if len(makers) > 1:
        raise ValueError(
            f"{name}: {axis!r} is made by {', '.join(makers[:6])}{', ...' if len(makers) > 6 else ''}: a stream that "
            "they add to, or several sets of one name. Say which leaves are one set by a mapping of paths to axes, "
            f'{{"{makers[0].rpartition("/")[0]}/*": "{axis}", ...}}, or {{"*": "{axis}"}} for all of them.'
        )


def channel_count(places: Mapping[str, Place], declared: Mapping[str, Param]) -> int:
    """How many channels the set has."""
    return next(declared[path].shape[place.axis] // place.times for path, place in places.items())


def kept(name: str, keep: Any, places: Mapping[str, Place], declared: Mapping[str, Param]) -> jax.Array:
    """Which channels stay, as int32, once it is known that they are some of the set, each once."""
    total, found = channel_count(places, declared), jnp.asarray(keep)
    if not jnp.issubdtype(found.dtype, jnp.integer) or found.ndim not in (1, 2) or found.size == 0:
        raise ValueError(f"{name}: expected keep of integers (n,) or (layers, n), found {checks.describe(found)}.")
    if found.ndim == 2:
        _each_layer(name, found.shape[0], places, declared)
    if not isinstance(found, jax.core.Tracer):
        rows = np.atleast_2d(np.asarray(found))
        if rows.min() < 0 or rows.max() >= total or any(len(np.unique(row)) < len(row) for row in rows):
            raise ValueError(f"{name}: expected keep of different numbers in 0..{total - 1}, found {rows.tolist()}.")
    return found.astype(jnp.int32)


def _each_layer(name: str, layers: int, places: Mapping[str, Place], declared: Mapping[str, Param]) -> None:
    for path in places:
        param = declared[path]
        if param.stacked != 1 or param.shape[0] != layers:
            raise ValueError(
                f"{name}: keep is of {layers} layers, and {path} {param.shape} is not stacked to as many: what layers "
                "share has one keep (n,)."
            )
