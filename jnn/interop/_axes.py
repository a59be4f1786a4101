"""Axes of others' arrays, guessed by the kind of layer that they belong to and by which widths meet.

    declared(shapes, kinds, said, boxed, draws) -> spec

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
    kinds: Mapping[str, str],
    *,
    said: Naming | None = None,
    boxed: Mapping[str, str] | None = None,
    draws: Mapping[str, Initializer] | None = None,
) -> Spec:
    """Spec of a module's arrays.

    Args:
      shapes: the arrays, or their shapes.
      kinds: path of a layer -> the name of its class.
      said: the user's names, as of `jnn.spec_of`; they come first.
      boxed: path -> the names that the module itself gives; they come second.
      draws: path -> initializer; those without have no initial values.

    Raises:
      ValueError: the user's names are not one per axis, or a pattern fits no path.
    """
    guessed = guess({path: tuple(x.shape) for path, x in flatten(shapes).items()}, kinds) | dict(boxed or {})
    spec = spec_of(shapes, axes=lambda path, shape: guessed.get(path))
    if said is not None:
        unsaid = lambda param: param.axes == tuple(f"axis{i}" for i in range(len(param.shape)))
        mine = flatten(spec_of(shapes, axes=said))
        spec = map_paths(lambda path, param: param if unsaid(mine[path]) else mine[path], spec)
    if draws is None:
        return spec
    return map_paths(lambda path, param: dataclasses.replace(param, init=draws.get(path, param.init)), spec)


def guess(shapes: Mapping[str, tuple[int, ...]], kinds: Mapping[str, str]) -> dict[str, str]:
    """Names of axes, as `jnn.spec_of` takes them, of the arrays whose layer is known.

    >>> guess({"fc/kernel": (8, 32), "fc/bias": (32,), "out/kernel": (32, 2)}, {"fc": "Dense", "out": "Dense"})
    {'fc/kernel': 'in -> embed', 'fc/bias': 'embed', 'out/kernel': 'embed -> out'}
    """
    known = {path: names for path, shape in shapes.items() if (names := _of_table(path, shape, kinds))}
    sizes = {path: dict(zip(_words(names), shapes[path], strict=True)) for path, names in known.items()}
    of = lambda *names: {size[name] for size in sizes.values() for name in names if name in size}
    made = of("out", "channels_out", "embed", "channels")
    read = of("in", "embed", "channels")
    vocab = of("vocab")

    def name(path: str, names: str) -> str:
        layer = path.rpartition("/")[0]
        whole = {
            word: n for other, size in sizes.items() if other.rpartition("/")[0] == layer for word, n in size.items()
        }
        called = dict(zip(("in", "out"), _of_a_map(whole.get("in"), whole.get("out"), made, read, vocab), strict=True))
        if whole.get("channels_out") not in (None, *read, *of("channels_in")):
            called["channels_out"] = "out"
        return " ".join(called.get(word, word) for word in names.split())

    return {path: name(path, names) for path, names in known.items()}


def _of_a_map(d_in: int | None, d_out: int | None, made: set, read: set, vocab: set) -> tuple[str, str]:
    """What the input and the output of a linear map are called."""
    if d_in in made and d_out in read:
        assert d_in is not None
        assert d_out is not None
        return ("embed", "hidden") if d_in <= d_out else ("hidden", "embed")
    if d_in in made:
        return "embed", "vocab" if d_out in vocab else "out"
    return "in", "embed" if d_out in read else "out"


def _of_table(path: str, shape: tuple[int, ...], kinds: Mapping[str, str]) -> str | None:
    """The names that the outermost layer which knows the array gives it, if they are as many as its axes."""
    for layer, rest in _splits(path):
        if names := LAYERS.get(kinds.get(layer, ""), {}).get(rest):
            spatial = len(shape) - len(_words(names.replace("*", "")))
            names = " ".join(names.replace("*", " ".join(_spatial(spatial, names))).split())
            return names if len(_words(names)) == len(shape) else None
    return None


def _spatial(n: int, names: str) -> list[str]:
    """Of up to three axes of a kernel, the last is x."""
    return ["z", "y", "x"][3 - n :] if "*" in names and 0 < n <= 3 else []


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Of "a/b/c" ("", "a/b/c"), ("a", "b/c") and ("a/b", "c")."""
    parts = path.split("/")
    for i in range(len(parts)):
        yield "/".join(parts[:i]), "/".join(parts[i:])


def _words(names: str) -> list[str]:
    return [word for word in names.split() if word not in ("->", "<-")]
