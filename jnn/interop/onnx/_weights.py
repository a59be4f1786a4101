"""Which arrays of a graph are parameters, and what their axes are called by the operators that read them."""

from __future__ import annotations

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from jnn.interop._axes import words
from jnn.interop.onnx._read import Graph, Node

# Axes by operator and input, as in `jnn.interop`'s table: the first reader of an array names them.
CONVOLUTION = {1: "channels_out <- channels_in *", 2: "channels_out"}
RECURRENT = {1: "directions hidden <- embed", 2: "directions hidden <- embed"}
CHANNELS = {1: "channels", 2: "channels"}
READERS: dict[str, dict[int, str]] = {
    "BatchNormalization": CHANNELS,
    "Conv": CONVOLUTION,
    "ConvTranspose": {1: "channels_in -> channels_out *", 2: "channels_out"},
    "GRU": RECURRENT,
    "Gather": {0: "vocab -> embed"},
    "Gemm": {1: "in -> out", 2: "out"},
    "GroupNormalization": CHANNELS,
    "InstanceNormalization": CHANNELS,
    "LSTM": RECURRENT,
    "LayerNormalization": {1: "embed", 2: "embed"},
    "MatMul": {1: "in -> out"},
    "RNN": RECURRENT,
}
# What must be known when the function is traced, and statistics, which no gradient changes.
NOT_TRAINED: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (3, 4),
    "DequantizeLinear": (1, 2),
    "Pad": (1, 2),
    "QuantizeLinear": (1, 2),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
}


def weights(graph: Graph) -> tuple[dict[str, np.ndarray], dict[str, tuple[str, str]]]:
    """Parameters by name, and for those whose reader is known (the reader, names of axes).

    Parameters are floating-point arrays of more than one number.
    """
    readers: dict[str, list[tuple[Node, int]]] = {}
    for node, i, name in _reads(graph):
        readers.setdefault(name, []).append((node, i))
    kept = lambda name: any(i in NOT_TRAINED.get(node.operator, ()) for node, i in readers.get(name, ()))
    floating = lambda x: jnp.issubdtype(x.dtype, jnp.floating) and x.size > 1
    found = {name: x for name, x in graph.constants.items() if floating(x) and not kept(name)}
    named = {name: layer for name, x in found.items() if (layer := _layer(readers.get(name, ()), x.ndim))}
    return found, named


def _reads(graph: Graph) -> Iterator[tuple[Node, int, str]]:
    """Every input of every node, and which of the graph's arrays it is: also by way of Identity."""
    origin: dict[str, str] = {}
    for node in graph.walk():
        if node.operator == "Identity":
            origin[node.outputs[0]] = origin.get(node.inputs[0], node.inputs[0])
        for i, name in enumerate(node.inputs):
            yield node, i, origin.get(name, name)


def _layer(readers: list[tuple[Node, int]] | tuple[()], rank: int) -> tuple[str, str] | None:
    """The first reader that names as many axes as there are."""
    for node, i in readers:
        names = READERS.get(node.operator, {}).get(i)
        if node.operator == "Gemm" and i == 1 and node.attributes.get("transB"):
            names = "out <- in"
        if names and ("*" in names or len(words(names)) == rank):
            return node.name, names
    return None
