"""A space of cells: each of three edges has one of five linear maps, so that a mixture of them is one, too.

cell_network_spec(channels), cell_network(p, x, mix) -> logits
ARCHITECTURES                              all of them, three indices into OPERATIONS each
one_hot(architecture) -> mix (3, 5)        which makes the network that architecture, and nothing else

node 0 -> node 1, node 0 -> node 2, node 1 -> node 2; node 2 is what the cell gives. An edge takes what is positive of a
node, and convolves it with the sum of the kernels of its operations, each times its share of the mix.

Laws: by a mix of one 1 a row, outputs and gradients are those of the architecture alone, and those of the parameters of
all other operations are 0; a mixture of operations is the convolution with the mixture of their kernels.
"""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.layers import conv, conv_spec, layer_norm, layer_norm_spec, linear, linear_spec
from jnn.param import Params, Spec

OPERATIONS = ("none", "skip", "average", "conv 1x1", "conv 3x3")
EDGES = ((0, 1), (0, 2), (1, 2))
CELLS, CLASSES = 2, 10
Architecture = tuple[int, ...]
ARCHITECTURES: list[Architecture] = list(itertools.product(range(len(OPERATIONS)), repeat=len(EDGES)))


def one_hot(architecture: Any) -> jax.Array:
    """The mix (edges, operations) that is one architecture.

    >>> one_hot((0, 4, 1)).argmax(-1).tolist()
    [0, 4, 1]
    """
    return jax.nn.one_hot(jnp.stack([jnp.asarray(i, int) for i in architecture]), len(OPERATIONS))


def cell_network_spec(channels: int) -> Spec:
    """Declares two cells of the same architecture, with a pooling between them, and what is before and behind."""
    return {
        "stem": conv_spec(1, channels, (3, 3)),
        **{f"cell{i}": _cell_spec(channels) for i in range(CELLS)},
        "head": linear_spec(channels, CLASSES),
    }


def _cell_spec(channels: int) -> Spec:
    kernels = lambda size: conv_spec(channels, channels, (size, size), bias=False)
    edges = {f"edge{i}{j}": {"conv1": kernels(1), "conv3": kernels(3)} for i, j in EDGES}
    return edges | {f"norm{i}": layer_norm_spec(channels) for i in (0, 1, 2)}


def cell_network(p: Params, x: jax.Array, mix: jax.Array) -> jax.Array:
    """Logits (n, 10) of images (n, y, x, 1), by the shares (edges, operations) of all that may stand on an edge."""
    x = conv(p["stem"], x)
    for i in range(CELLS):
        x = _cell(p[f"cell{i}"], x if i == 0 else _halved(x), mix)
    return linear(p["head"], jax.nn.relu(x).mean((-3, -2)))


def _halved(x: jax.Array) -> jax.Array:
    """Means of 2x2 pixels; a last row or column of an odd number is left out."""
    n, rows, columns, c = x.shape
    even = x[:, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(n, rows // 2, 2, columns // 2, 2, c).mean((2, 4))


def _cell(p: Params, x: jax.Array, mix: jax.Array) -> jax.Array:
    nodes = [layer_norm(p["norm0"], x)]
    for j in (1, 2):
        into = [(edge, i) for edge, (i, to) in enumerate(EDGES) if to == j]
        come = [conv({"w": kernel(p[f"edge{i}{j}"], mix[edge])}, jax.nn.relu(nodes[i])) for edge, i in into]
        nodes.append(layer_norm(p[f"norm{j}"], sum(come[1:], come[0])))
    return nodes[-1]


def kernel(p: Params, mix: jax.Array) -> jax.Array:
    """The kernel (3, 3, c, c) of an edge: those of its operations, by their shares (operations,)."""
    same = jnp.eye(p["conv3"]["w"].shape[-1])[None, None]
    middle = np.pad(np.ones((1, 1, 1, 1), np.float32), ((1, 1), (1, 1), (0, 0), (0, 0)))
    kernels = [middle * same, jnp.full((3, 3, 1, 1), 1 / 9) * same, middle * p["conv1"]["w"], p["conv3"]["w"]]
    return sum(share * one for share, one in zip(mix[1:], kernels, strict=True))
