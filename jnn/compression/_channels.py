"""Sets of channels, by the names of axes: ranked whole, across every leaf that has them, and masked.

    channels = "hidden"                                   every leaf's axis of that name
    channels = {"conv0/*": "channels_out", "conv1/w": "channels_in"}        the axes that are one set, by paths
    channel_norms(p, spec, channels) -> norms
    top_channels(norms, n) -> keep
    channel_masks(spec, channels, keep) -> masks

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
from jnn.compression._masks import Masks
from jnn.param import Param, Params, Spec, Where, check_spec, flatten, matching, nested
from jnn.precision import wide


@dataclasses.dataclass(frozen=True)
class Flat:
    """Flattened axis: an image laid flat, (y x channels), whose channels are meant; the name is that of the axis."""

    axis: str


Channels = str | Mapping[str, str | Flat]


class Place(NamedTuple):
    """Where a leaf has the channels: along which axis, and how often one after the other."""

    axis: int
    times: int


def channel_norms(p: Params, spec: Spec, channels: Channels, where: Where | None = None) -> jax.Array:
    """Structured pruning's ranks: the norm of all weights that a channel is made of and read by.

    See "Pruning Filters for Efficient ConvNets", Li et al., 2017, which ranks by what makes a channel alone:
    `where="conv0/w"`; "Learning Efficient Convolutional Networks through Network Slimming", Liu et al., 2017, by the
    scale behind it: `where="*/scale"`.

    Args:
      p: a model's parameters.
      spec: what declares them.
      channels: the name of an axis, or a mapping of patterns of paths to it, or to `Flat(name)`.
      where: patterns of the leaves that count; all weights of the set by default, without biases and scales.

    Returns:
      (n,), or (layers, n) where all of these are stacked: each layer has channels of its own. In float32 at least.

    Raises:
      ValueError: no leaf has such an axis, or they are not one set.

    >>> from jnn.layers import linear_spec
    >>> spec = {"up": linear_spec(1, 2), "down": linear_spec(2, 1, axes=("hidden", "embed"))}
    >>> p = {"up": {"w": jnp.array([[3.0, 0.0]]), "b": jnp.ones(2)}, "down": {"w": jnp.array([[4.0], [1.0]])}}
    >>> channel_norms(p, spec, "hidden").tolist()
    [5.0, 1.0]
    """
    places, declared, have = channel_places("channel_norms", spec, channels), flatten(spec), flatten(p)
    weighted = {path: place for path, place in places.items() if declared[path].fan_in}
    among, patterns = (weighted, "*") if where is None else (places, where)
    ranked = matching("channel_norms", among, patterns, "leaf with these channels")
    by_layer = all(declared[path].stacked == 1 for path in ranked)
    squares = [_squares(have[path], declared[path], place, by_layer) for path, place in ranked.items()]
    return jnp.sqrt(sum(squares, jnp.zeros(())))


def top_channels(norms: jax.Array, n: int) -> jax.Array:
    """Kept channels: which n have the largest norms, in ascending order.

    Args:
      norms: (..., channels).
      n: how many.

    Returns:
      (..., n), int32.

    Raises:
      ValueError: n is not from 1 to their number.

    >>> top_channels(jnp.array([1.0, 5.0, 3.0]), 2).tolist()
    [1, 2]
    """
    checks.count("top_channels", "n", n)
    if n > norms.shape[-1]:
        raise ValueError(f"top_channels: expected n of at most the {norms.shape[-1]} channels, found {n}.")
    return jnp.sort(jnp.argsort(-norms, axis=-1)[..., :n], axis=-1).astype(jnp.int32)


def channel_masks(spec: Spec, channels: Channels, keep: Any) -> Masks:
    """Structured pruning masks: all of every leaf that belongs to other channels than these is pruned.

    Weights that make and that read a channel, its bias, its scale: what is left computes what `remove_channels` gives.

    Args:
      spec: what declares the parameters.
      channels: as in `channel_norms`.
      keep: (n,) integers, or (layers, n) of stacked layers.

    Returns:
      Masks of every leaf that has the channels.

    Raises:
      ValueError: as `channel_norms`; or keep are not some of the channels, each once.

    >>> from jnn.layers import linear_spec
    >>> channel_masks(linear_spec(1, 3), "hidden", [0, 2])["b"].tolist()
    [True, False, True]
    """
    places, declared = channel_places("channel_masks", spec, channels), flatten(spec)
    keep = kept("channel_masks", keep, places, declared)
    left = jax.nn.one_hot(keep, channel_count(places, declared), dtype=jnp.float32).sum(-2) > 0  # ([layers,] n)

    def mask(param: Param, place: Place) -> jax.Array:
        along = jnp.tile(left, place.times)  # the last axis, again and again
        shape = [1] * len(param.shape)
        shape[place.axis] = along.shape[-1]
        if along.ndim > 1:
            shape[0] = along.shape[0]
        return jnp.broadcast_to(along.reshape(shape), param.shape)

    return nested({path: mask(declared[path], place) for path, place in places.items()})


def channel_places(name: str, spec: Spec, channels: Channels) -> dict[str, Place]:
    """Where each leaf has the channels, by path; raises ValueError unless they are one set."""
    check_spec(name, spec)
    declared = flatten(spec)
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


def _squares(x: jax.Array, param: Param, place: Place, by_layer: bool) -> jax.Array:
    """The sum of squares of each channel, (n,) or (layers, n)."""
    lead = (x.shape[0],) if by_layer else ()
    h = jnp.moveaxis(jnp.square(wide(x)), place.axis, -1)
    h = h.reshape(*lead, -1, place.times, x.shape[place.axis] // place.times)
    return h.sum((-3, -2))
