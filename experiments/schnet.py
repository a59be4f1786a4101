"""SchNet: message passing between atoms, through filters of their distances; whatever is turned or moved is the same.

    schnet_spec(d, rounds, properties)
    schnet(p, batch) -> (mean, sum) over the atoms

See "SchNet: A continuous-filter convolutional neural network for modeling quantum interactions", Schütt et al., 2017.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from experiments.geometry import CUTOFF, ELEMENTS
from jnn import graphs, layers
from jnn.graphs import Edges, Graph
from jnn.models import mlp, mlp_spec

GAUSSIANS = 32  # by which a distance is told, up to the cut-off
ATOMS = 18  # of a molecule, about: sums over as many begin at the scale of means


def schnet_spec(d: int, rounds: int, properties: int) -> dict:
    """Declares `schnet`, of d features an atom."""
    one = {
        "filter": mlp_spec((GAUSSIANS, d, d)),
        "in": layers.linear_spec(d, d, axes=("embed", "hidden"), bias=False),
        "out": mlp_spec((d, d, d)),
    }
    return {
        "atoms": layers.embed_spec(int(ELEMENTS.max()) + 1, d),
        "layers": [one] * rounds,
        "out": mlp_spec((d, d // 2, properties)),
    }


def shifted_softplus(x: jax.Array) -> jax.Array:
    """Softplus that is 0 at 0; smooth, as energies are."""
    return jax.nn.softplus(x) - jnp.log(2.0)


def schnet(p: dict, batch: dict) -> tuple[jax.Array, jax.Array]:
    """What the atoms of molecules (b, atoms) say of each property: their mean and their sum, (b, properties) each.

    Args:
      p: as declared by `schnet_spec`.
      batch: "x", atomic numbers (b, atoms), 0 for none; "senders" and "distances" (b, atoms, neighbours), of which
        those at the cut-off or beyond are none.
    """
    h = layers.embed(p["atoms"], batch["x"])
    graph, distances = as_graph(batch, h)
    centres = jnp.linspace(0, CUTOFF, GAUSSIANS)
    near = jnp.exp(-0.5 * ((distances[..., None] - centres[None, None]) / (centres[1] - centres[0])) ** 2)
    fades = 0.5 * (jnp.cos(jnp.pi * distances / CUTOFF) + 1)[..., None]
    dense = partial(mlp, key=None, activation=shifted_softplus)
    for one in p["layers"]:
        filters = fades * dense(one["filter"], near)
        h = h + dense(one["out"], heard(graph._replace(nodes=layers.linear(one["in"], h), edge_features=filters)))
    each = dense(p["out"], h)
    mean, total = (graphs.pool_nodes(each, graph, aggregate=how) for how in (graphs.segment_mean, graphs.segment_sum))
    return mean[:, 0], total[:, 0] / ATOMS


def heard(graph: Graph) -> jax.Array:
    """What each atom hears: a continuous-filter convolution, a case of a graph network."""
    filtered = lambda edge, sender, *_: edge * sender
    received = lambda node, sent, received, _: received
    return graphs.graph_network(graph, update_edge=filtered, update_node=received).nodes


def as_graph(batch: dict, h: jax.Array) -> tuple[Graph, jax.Array]:
    """Molecules along a leading axis, with edges to each atom from its neighbours, and their lengths."""
    rows, count, each = batch["senders"].shape
    flat = lambda x: x.reshape(rows, count * each)
    receivers = jnp.broadcast_to(jnp.repeat(jnp.arange(count), each), (rows, count * each))
    there, distances = batch["x"] > 0, flat(batch["distances"])
    edges = Edges(flat(batch["senders"]), receivers, distances < CUTOFF)
    owners = jnp.zeros_like(batch["x"])
    return Graph(h, edges, None, owners, there, jnp.ones((rows, 1), bool)), distances
