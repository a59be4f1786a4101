"""Graph layers: an example is one graph of fixed sizes, some of its edges masked."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np

from jnn import graphs
from jnn.laws import Block
from jnn.layers import linear, linear_spec

N, E = 4, 6


def one_graph(rng):
    """Nodes of 3 features, two lists of edges, and which of these there are."""
    ends = rng.integers(0, N, (2, E)).astype(np.int32)
    return rng.normal(size=(N, 3)).astype(np.float32), *ends, rng.integers(0, 4, E) > 0


def passing(name, spec, layer, features=False, noisy=False):
    """A layer over edges, with or without their features, and noise."""

    def apply(p, x, senders, receivers, mask, *more, key):
        return layer(p, x, graphs.Edges(senders, receivers, mask), *more, **({"key": key} if noisy else {}))

    draw = lambda rng: (*one_graph(rng), rng.normal(size=(E, 2)).astype(np.float32))
    return Block(name, spec, apply, draw if features else one_graph, noisy=noisy)


def side_by_side(pool):
    """A function of two graphs side by side."""

    def apply(p, x, senders, receivers, mask, key):
        leading = senders.shape[:-1]
        owners = jnp.broadcast_to(jnp.array([0, 0, 1, 1], jnp.int32), (*leading, N))
        there = jnp.broadcast_to(jnp.array([True, True, True, False]), (*leading, N))
        graph_mask = jnp.ones((*leading, 2), bool)
        graph = graphs.Graph(x, graphs.Edges(senders, receivers, mask), None, owners, there, graph_mask)
        return pool(p, x, graph)

    return apply


def pooling(name, spec, pool):
    """A pooling of two graphs side by side."""
    return Block(name, spec, side_by_side(pool), one_graph)


def updated(p, x, senders, receivers, mask, edges, whole, key):
    """All of a graph network, of linear maps, on two graphs side by side, as `pooling` has them."""
    concatenated = lambda name: lambda *rows: linear(p[name], jnp.concatenate(rows, -1))
    network = lambda x, graph: graphs.graph_network(
        graph._replace(edge_features=edges, graph_features=whole),
        update_edge=concatenated("edge"),
        update_node=lambda node, sent, got, whole: concatenated("node")(node, got, whole),
        update_graph=concatenated("graph"),
    )
    found = side_by_side(lambda p, x, graph: network(x, graph))(p, x, senders, receivers, mask, key)
    return found.nodes, found.edge_features, found.graph_features


UPDATES = {  # of nodes of 3 features, edges of 2 and graphs of 2
    "edge": linear_spec(3 + 3 + 2 + 2, 4),
    "node": linear_spec(3 + 4 + 2, 5),
    "graph": linear_spec(5 + 4 + 2, 3),
}

BLOCKS = [
    passing("gcn", graphs.gcn_spec(3, 4), graphs.gcn),
    passing("graph_sage", graphs.graph_sage_spec(3, 4), graphs.graph_sage),
    passing("gin", graphs.gin_spec(3, 4, 2), graphs.gin),
    passing("edge_conv", graphs.edge_conv_spec(3, 4, 2), graphs.edge_conv),
    passing(
        "edge_conditioned_conv",
        graphs.edge_conditioned_conv_spec(3, 2, 4, 5),
        graphs.edge_conditioned_conv,
        features=True,
    ),
    passing(
        "principal_aggregation",
        graphs.principal_aggregation_spec(3, 4),
        lambda p, x, edges: graphs.principal_aggregation(p, x, edges, delta=1.5, epsilon=1e-2),
    ),
    passing("gat", graphs.gat_spec(3, 2, 4), partial(graphs.gat, rate=0.5), noisy=True),
    passing("gatv2", graphs.gatv2_spec(3, 2, 4), graphs.gatv2),
    passing("graph_transformer", graphs.graph_transformer_spec(3, 2, 4, d_edge=2), graphs.graph_transformer, True),
    passing(
        "gated_graph_conv",
        graphs.gated_graph_conv_spec(3),
        lambda p, x, edges: graphs.gated_graph_conv(p, x, edges, steps=2),
    ),
    pooling("attention_pool", graphs.attention_pool_spec(3), graphs.attention_pool),
    pooling("set2set", graphs.set2set_spec(3), lambda p, x, graph: graphs.set2set(p, x, graph, steps=2)),
    pooling("top_k_pool", graphs.top_k_pool_spec(3), lambda p, x, graph: graphs.top_k_pool(p, x, graph, ratio=0.5)[0]),
    Block(
        "graph_network",
        UPDATES,
        updated,
        lambda rng: (*one_graph(rng), *(rng.normal(size=(n, 2)).astype(np.float32) for n in (E, 2))),
    ),
]
