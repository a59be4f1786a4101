"""What a graph layer says of nodes, edges and parameters that do not fit."""

import jax
import jax.numpy as jnp
import pytest

from jnn import graphs
from jnn.graphs import Edges

X = jnp.ones((4, 3))
ENDS = jnp.zeros(5, jnp.int32)
WHOLE = graphs.graph(X, ENDS, ENDS)
GCN = {"w": jnp.ones((3, 2))}
TRANSFORMER, WITH_EDGES = (
    jax.tree.map(lambda p: jnp.ones(p.shape), graphs.graph_transformer_spec(3, 1, 2, d_edge=d)) for d in (None, 2)
)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: graphs.gcn(GCN, X[:, :2], Edges(ENDS, ENDS)), ValueError, r"gcn: its parameters expect input \[...,3"),
        (lambda: graphs.gcn(GCN, X, Edges(ENDS * 1.0, ENDS)), TypeError, "expected senders, integers, found float32"),
        (
            lambda: graphs.gcn(GCN, X, graphs.graph(X, ENDS, ENDS)),
            TypeError,
            r"found a Graph. Give its own: graph\.edges",
        ),
        (lambda: graphs.gcn(GCN, X, Edges(ENDS, ENDS[:4])), ValueError, r"senders \(5,\), receivers \(4,\)"),
        (lambda: graphs.gcn(GCN, X, Edges(ENDS, ENDS, ENDS)), TypeError, "a bool mask of edges, found int32"),
        (lambda: graphs.gcn(GCN, X[None], Edges(ENDS, ENDS)), ValueError, r"the leading axes \(1,\) of x, found"),
        (
            lambda: graphs.graph_transformer(TRANSFORMER, X, Edges(ENDS, ENDS), X),
            ValueError,
            "edge_features",
        ),
        (
            lambda: graphs.graph_transformer(WITH_EDGES, X, Edges(ENDS, ENDS)),
            ValueError,
            "features of edges iff params have 'edge', found none",
        ),
        (
            lambda: graphs.graph_network(WHOLE._replace(graph_mask=jnp.ones((2, 1), bool))),
            ValueError,
            r"graph_network: expected owners .* and graph_mask \(\.\.\., graphs\), found .* graph_mask bool\[2,1\]",
        ),
        (
            lambda: graphs.graph_network(WHOLE._replace(graph_mask=None)),
            TypeError,
            "graph_network: expected an array for graph_mask, found NoneType",
        ),
        (
            lambda: graphs.pool_nodes(X, WHOLE._replace(node_mask=jnp.ones(3, bool))),
            ValueError,
            r"pool_nodes: expected owners .* found owners int32\[4\], node_mask bool\[3\]",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
