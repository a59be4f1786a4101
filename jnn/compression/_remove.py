"""Channels taken out of a model: smaller arrays, a smaller declaration, and the function as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.compression._channel_sets import Channels, Place, channel_places, kept
from jnn.compression._chosen import arrays_at
from jnn.param import Param, Params, Spec, flatten, map_paths


def remove_channels(p: Params, spec: Spec, channels: Channels, keep: Any) -> tuple[Params, Spec]:
    """Structured pruning for good: parameters and spec without the other channels of a set.

    The function computes what it did with `masked(p, channel_masks(spec, channels, keep))`, to rounding, if it treats
    channels one by one: a norm that divides by how many there are (layer, RMS, group) counts fewer, and a grouped
    convolution wants as many of each group. Statistics are cut by the same `keep` in a call of their own:
    `remove_channels(stats, stats_spec, {"norm/*": "channels"}, keep)`.

    Args:
      p: a model's parameters.
      spec: what declares them.
      channels: the name of an axis, or a mapping of patterns of paths to it; of an image laid flat `Flat(name)`.
      keep: (n,) integers, such as of `top_channels`, or (layers, n) where each stacked layer has channels of its own.

    Returns:
      Smaller parameters, and the spec that declares them.

    Raises:
      TypeError: spec is none, or channels are neither a name nor a mapping.
      ValueError: no leaf has such an axis, or p lacks one; sizes differ; a name alone is made by several maps, such as
        those that add to a residual stream; keep are not some of the channels, each once; or queries' heads that share
        one of keys do not lose as many as others.

    >>> from jnn import init
    >>> from jnn.models import mlp, mlp_spec
    >>> spec = mlp_spec((4, 6, 3))
    >>> p, smaller = remove_channels(init(spec, jax.random.key(0)), spec, "hidden", [0, 2, 5])
    >>> p["fc0"]["w"].shape, smaller["fc1"]["w"].shape, mlp(p, jnp.ones((2, 4)), key=None).shape
    ((4, 3), (3, 3), (2, 3))
    """
    places, declared = channel_places("remove_channels", spec, channels), flatten(spec)
    arrays_at("remove_channels", {path: declared[path] for path in places}, p)
    stay = kept("remove_channels", keep, places, declared)
    _check_shared_heads(places, declared, stay)
    shrink = lambda path, param: _declared(param, places[path], stay.shape[-1]) if path in places else param
    smaller = map_paths(shrink, spec)
    cut = lambda path, param, x: _cut(x, places[path], stay) if path in places else x
    return map_paths(cut, spec, p), smaller


def _check_shared_heads(places: Mapping[str, Place], declared: Mapping[str, Param], keep: jax.Array) -> None:
    """Raises unless queries' heads meet the keys that they met: which these are is known by their number."""
    if isinstance(keep, jax.core.Tracer):
        return
    for path, place in places.items():
        keys = "/".join([*path.split("/")[:-2], "k", "w"])
        queries = declared[path].axes[place.axis] == "heads" and keys in declared and keys not in places
        if not queries or "kv_heads" not in declared[keys].axes:
            continue
        heads, of = (
            declared[k].shape[declared[k].axes.index(axis)] for k, axis in ((path, "heads"), (keys, "kv_heads"))
        )
        met, left = np.asarray(keep) * of // heads, keep.shape[-1]
        if left % of or not (met == np.arange(left) * of // left).all():
            raise ValueError(
                f"remove_channels: the {heads} heads of {path} share {of} of keys and values: keep as many of each, "
                f"found {keep.tolist()}; or remove the keys' with them, by a mapping of paths to axes."
            )


def _declared(param: Param, place: Place, n: int) -> Param:
    shape = (*param.shape[: place.axis], n * place.times, *param.shape[place.axis + 1 :])
    return dataclasses.replace(param, shape=shape)


def _cut(x: jax.Array, place: Place, keep: jax.Array) -> jax.Array:
    """x with some of its channels, which lie `times` after one another along an axis."""
    if keep.ndim == 2:
        return jax.vmap(lambda x, keep: _cut(x, Place(place.axis - 1, place.times), keep))(x, keep)
    n = x.shape[place.axis] // place.times
    rows = (n * jnp.arange(place.times)[:, None] + keep[None]).ravel()
    return jnp.take(x, rows, axis=place.axis)
