"""Channels ranked whole, across every leaf that has them, and masked; `_channel_sets` says which leaves these are.

channel_norms(p, spec, channels) -> norms
top_channels(norms, n) -> keep
channel_masks(spec, channels, keep) -> masks
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.compression._channel_sets import Channels, Place, channel_count, channel_places, kept
from jnn.compression._chosen import arrays_at
from jnn.compression._masks import Masks
from jnn.param import Param, Params, Spec, Where, flatten, matching, nested
from jnn.precision import wide


def channel_norms(p: Params, spec: Spec, channels: Channels, *, where: Where | None = None) -> jax.Array:
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
      TypeError: spec is none, or channels are neither a name nor a mapping.
      ValueError: no leaf has such an axis, they are not one set, or p lacks one.

    >>> from jnn.layers import linear_spec
    >>> spec = {"up": linear_spec(1, 2), "down": linear_spec(2, 1, axes=("hidden", "embed"))}
    >>> p = {"up": {"w": jnp.array([[3.0, 0.0]]), "b": jnp.ones(2)}, "down": {"w": jnp.array([[4.0], [1.0]])}}
    >>> channel_norms(p, spec, "hidden").tolist()
    [5.0, 1.0]
    """
    places, declared = channel_places("channel_norms", spec, channels), flatten(spec)
    weighted = {path: place for path, place in places.items() if declared[path].fan_in}
    among, patterns = (weighted, "*") if where is None else (places, where)
    ranked = matching("channel_norms", among, patterns, "leaf with these channels")
    by_layer = all(declared[path].stacked == 1 for path in ranked)
    have = arrays_at("channel_norms", {path: declared[path] for path in ranked}, p)
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
      TypeError: norms are no floating-point array, such as params.
      ValueError: n is not from 1 to their number.

    >>> top_channels(jnp.array([1.0, 5.0, 3.0]), 2).tolist()
    [1, 2]
    """
    checks.floats("top_channels", norms)
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
      TypeError, ValueError: as `channel_norms`; or keep are not some of the channels, each once.

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


def _squares(x: jax.Array, param: Param, place: Place, by_layer: bool) -> jax.Array:
    """The sum of squares of each channel, (n,) or (layers, n)."""
    lead = (x.shape[0],) if by_layer else ()
    h = jnp.moveaxis(jnp.square(wide(x)), place.axis, -1)
    h = h.reshape(*lead, -1, place.times, x.shape[place.axis] // place.times)
    return h.sum((-3, -2))
