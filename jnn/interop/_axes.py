"""Axes of others' arrays, guessed by the kind of layer that they belong to and by which widths meet.

    declared(shapes, layers, said, boxed, draws) -> spec
    layers_of(shapes, kinds) -> layers          by the table, and the classes of a module's layers

A layer that the table knows has names of axes. Of linear maps it knows only which axis is summed over, and sizes say
the rest: a width that no layer makes is an "in", one that no layer reads an "out", the smaller of two that are both is
"embed", and the larger "hidden". What the table does not know goes by "axis0", "axis1", ..., which no rule of a layout
places. Nothing but names is guessed, so that a wrong one costs memory or traffic, never a value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from jnn.param import Initializer, Naming, Spec, flatten, map_paths, spec_of

Layer = tuple[str, str]  # which one, and the names of an array's axes

# "in" and "out" are named by their sizes, "*" are a kernel's axes in space. Flax says kernel, Equinox weight, Haiku w.
LINEAR = {"kernel": "in -> out", "w": "in -> out", "weight": "out <- in", "bias": "out", "b": "out"}
CONV = {
    "kernel": "* channels_in -> channels_out",
    "w": "* channels_in -> channels_out",
    "weight": "channels_out <- channels_in *",
    "bias": "channels_out *",
    "b": "channels_out",
}
EMBED = {"embedding": "vocab -> embed", "embeddings": "vocab -> embed", "weight": "vocab -> embed"}
VECTORS = dict.fromkeys(("scale", "bias", "weight", "offset"), "embed")
CHANNELS = dict.fromkeys(("scale", "bias", "weight", "offset", "mean", "var"), "channels")


def _attention(names: tuple[str, str, str, str], maps: tuple[str, str], biases: tuple[str, str]) -> dict[str, str]:
    """Rows of the maps of queries, keys, values and outputs; `maps` and `biases` name a leaf and its axes."""
    (w, into), (b, of) = maps, biases
    heads = dict(zip(names[:3], ("heads", "kv_heads", "kv_heads"), strict=True))
    rows = {f"{name}/{w}": into.replace("heads", has) for name, has in heads.items()}
    rows |= {f"{name}/{b}": of.replace("heads", has) for name, has in heads.items()}
    ins, arrow, outs = into.partition(" -> ") if " -> " in into else into.partition(" <- ")
    return rows | {f"{names[3]}/{w}": f"{outs}{arrow}{ins}", f"{names[3]}/{b}": "embed"}


FLAX_ATTENTION = _attention(("query", "key", "value", "out"), ("kernel", "embed -> heads head"), ("bias", "heads head"))
EQUINOX_ATTENTION = _attention(
    ("query_proj", "key_proj", "value_proj", "output_proj"), ("weight", "heads <- embed"), ("bias", "heads")
)
HAIKU_ATTENTION = _attention(("query", "key", "value", "linear"), ("w", "embed -> heads"), ("b", "heads"))
CELL = {"weight_ih": "hidden <- embed", "weight_hh": "hidden <- embed", "bias": "hidden"}
LAYERS: dict[str, Mapping[str, str]] = {
    **dict.fromkeys(("Dense", "Linear"), LINEAR),
    **dict.fromkeys(("Conv", "Conv1D", "Conv2D", "Conv3D", "ConvTranspose", "ConvNd"), CONV),
    **dict.fromkeys(("Embed", "Embedding"), EMBED),
    **dict.fromkeys(("LayerNorm", "RMSNorm"), VECTORS),
    **dict.fromkeys(("BatchNorm", "GroupNorm", "InstanceNorm"), CHANNELS),
    **dict.fromkeys(("LSTMCell", "GRUCell"), CELL),
    "MultiHeadDotProductAttention": FLAX_ATTENTION,
    "MultiHeadAttention": FLAX_ATTENTION | HAIKU_ATTENTION,
    "MultiheadAttention": EQUINOX_ATTENTION,
}


def declared(
    shapes: Any,
    layers: Mapping[str, Layer],
    *,
    said: Naming | None = None,
    boxed: Mapping[str, str] | None = None,
    draws: Mapping[str, Initializer] | None = None,
) -> Spec:
    """Spec of a module's arrays.

    Args:
      shapes: the arrays, or their shapes.
      layers: path -> (the layer that it belongs to, names of axes as in the table), of those that are known.
      said: the user's names, as of `jnn.spec_of`; they come first.
      boxed: path -> the names that the module itself gives; they come second.
      draws: path -> initializer; those without have no initial values.

    Raises:
      ValueError: the user's names are not one per axis, or a pattern fits no path.
    """
    guessed = guess({path: tuple(x.shape) for path, x in flatten(shapes).items()}, layers) | dict(boxed or {})
    spec = spec_of(shapes, axes=lambda path, shape: guessed.get(path))
    if said is not None:
        unsaid = lambda param: param.axes == tuple(f"axis{i}" for i in range(len(param.shape)))
        mine = flatten(spec_of(shapes, axes=said))
        spec = map_paths(lambda path, param: param if unsaid(mine[path]) else mine[path], spec)
    if draws is None:
        return spec
    return map_paths(lambda path, param: dataclasses.replace(param, init=draws.get(path, param.init)), spec)


def layers_of(shapes: Any, kinds: Mapping[str, str]) -> dict[str, Layer]:
    """What the table has of a module's arrays, by the outermost layer whose class, of `kinds`, it knows."""
    found = {}
    for path in flatten(shapes):
        for layer, rest in _splits(path):
            if names := LAYERS.get(kinds.get(layer, ""), {}).get(rest):
                found[path] = (path.rpartition("/")[0], names)
                break
    return found


def guess(shapes: Mapping[str, tuple[int, ...]], layers: Mapping[str, Layer]) -> dict[str, str]:
    """Names of axes, as `jnn.spec_of` takes them, of the arrays whose layer is known.

    >>> layers = {"fc/kernel": ("fc", "in -> out"), "fc/bias": ("fc", "out"), "out/kernel": ("out", "in -> out")}
    >>> guess({"fc/kernel": (8, 32), "fc/bias": (32,), "out/kernel": (32, 2)}, layers)
    {'fc/kernel': 'in -> embed', 'fc/bias': 'embed', 'out/kernel': 'embed -> out'}
    """
    found = {path: (layer, _in_space(names, shapes[path])) for path, (layer, names) in layers.items()}
    known = {path: (layer, names) for path, (layer, names) in found.items() if names}
    sizes: dict[str, dict[str, int]] = {}  # of each layer's axes
    for path, (layer, names) in known.items():
        sizes.setdefault(layer, {}).update(zip(words(names), shapes[path], strict=True))
    of = lambda *names: {size[name] for size in sizes.values() for name in names if size.get(name, 1) > 1}
    made, vocab = of("out", "channels_out", "embed", "channels"), of("vocab")
    read, read_by_kernels = of("in", "embed", "channels"), of("channels_in")

    def name(layer: str, names: str) -> str:
        own = sizes[layer]
        called = dict(zip(("in", "out"), _of_a_map(own.get("in"), own.get("out"), made, read, vocab), strict=True))
        if own.get("channels_out") not in (None, *read, *read_by_kernels):
            called["channels_out"] = "out"
        return " ".join(called.get(word, word) for word in names.split())

    return {path: name(layer, names) for path, (layer, names) in known.items()}


def _of_a_map(d_in: int | None, d_out: int | None, made: set[int], read: set[int], vocab: set[int]) -> tuple[str, str]:
    """What the input and the output of a linear map are called."""
    if d_in is not None and d_out is not None and d_in in made and d_out in read:
        return ("embed", "hidden") if d_in <= d_out else ("hidden", "embed")
    if d_in in made:
        return "embed", "vocab" if d_out in vocab else "out"
    return "in", "embed" if d_out in read else "out"


def _in_space(names: str, shape: tuple[int, ...]) -> str:
    """The names, with those of a kernel's axes in space, the last of up to three being x; "" where they do not fit."""
    n = len(shape) - len(words(names.replace("*", "")))
    space = ["z", "y", "x"][3 - n :] if "*" in names and 0 < n <= 3 else []
    names = " ".join(names.replace("*", " ".join(space)).split())
    return names if len(words(names)) == len(shape) else ""


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Of "a/b/c" ("", "a/b/c"), ("a", "b/c") and ("a/b", "c")."""
    parts = path.split("/")
    for i in range(len(parts)):
        yield "/".join(parts[:i]), "/".join(parts[i:])


def words(names: str) -> list[str]:
    """The names of axes, without the arrow."""
    return [word for word in names.split() if word not in ("->", "<-")]
