"""Graph networks: edges, nodes and whole graphs, each updated by a function of one's own of what it knows.

    graph_network(graph, update_edge=f, update_node=g, update_graph=h) -> graph

Axes: nodes are (..., n, d), edges (..., e), graphs (..., g). Laws: as in `_convolution`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.graphs._graph import Graph, check_edges, check_masks, kept, read_edges
from jnn.graphs._segments import Aggregate, gather, segment_softmax, segment_sum
from jnn.precision import wide

Update = Callable[..., jax.Array]  # of rows of features, None where there are none -> rows of new ones


def graph_network(
    graph: Graph,
    *,
    update_edge: Update | None = None,
    update_node: Update | None = None,
    update_graph: Update | None = None,
    score_edge: Update | None = None,
    edges_to_nodes: Aggregate = segment_sum,
    edges_to_graphs: Aggregate = segment_sum,
    nodes_to_graphs: Aggregate = segment_sum,
) -> Graph:
    """Graph network block: edges are updated first, then nodes by what their edges tell, then graphs by both.

    See "Relational inductive biases, deep learning, and graph networks", Battaglia et al., 2018. What is not updated
    stays as it is, so these are cases of it:

    - the full block: `update_edge`, `update_node` and `update_graph`;
    - an interaction network ("Interaction Networks for Learning about Objects, Relations and Physics", Battaglia et
      al., 2016): `update_edge` and `update_node`;
    - a relation network ("A simple neural network module for relational reasoning", Santoro et al., 2017):
      `update_edge` and `update_graph`, of nodes and edges alone;
    - deep sets: `update_node` and `update_graph`, without edges;
    - graph attention (GraphNetGAT): with `score_edge`.

    Args:
      graph: nodes in floating point, with or without features of edges and of graphs.
      update_edge: `(edge, sender, receiver, graph) -> (..., e, d')`, of rows for each edge: its features, and those of
        both its ends and of its graph. None to keep the edges.
      update_node: `(node, sent, received, graph) -> (..., n, d')`, of rows for each node: its features, what the edges
        that leave it and that reach it amount to, and its graph's. None to keep the nodes.
      update_graph: `(nodes, edges, graph) -> (..., g, d')`, of rows for each graph: what its nodes and edges amount to,
        and its features. None to keep the graphs.
      score_edge: `(edge, sender, receiver, graph) -> (..., e, 1)`, or one score for each feature, of the updated edge:
        its features are multiplied by the softmax over the edges that reach the same node. None for no attention.
      edges_to_nodes, edges_to_graphs, nodes_to_graphs: what rows amount to: `segment_sum`, `segment_mean`,
        `segment_max`.

    Returns:
      The graph with what has been updated; zeros where a mask is False.

    Raises:
      TypeError: features are not floating point.
      ValueError: shapes do not fit, or a function did not return a row for each row.

    >>> from jnn.graphs import graph
    >>> one = graph(jnp.array([[1.0], [3.0]]), [0], [1], jnp.array([[10.0]]))
    >>> told = lambda edge, sender, receiver, graph: edge + sender
    >>> graph_network(one, update_edge=told, update_node=lambda node, sent, got, graph: node + got).nodes.tolist()
    [[1.0], [14.0]]
    """
    _check(graph)
    (senders, receivers, mask), edges = read_edges(graph.edges, graph.edge_features)
    n, g = graph.owners.shape[-1], graph.graph_mask.shape[-1]
    owners = gather(graph.owners, receivers)  # of edges
    nodes, whole = kept(graph.nodes, graph.node_mask), kept(graph.graph_features, graph.graph_mask)
    to_edges = lambda x, ids: None if x is None else kept(gather(x, ids), mask)
    around = to_edges(nodes, senders), to_edges(nodes, receivers), to_edges(whole, owners)
    if update_edge is not None:
        edges = _updated("update_edge", update_edge(edges, *around), receivers, mask)
    if score_edge is not None:
        score = _updated("score_edge", score_edge(edges, *around), receivers, mask)
        edges = _weighted(edges, segment_softmax(wide(score), receivers, n, mask=mask))
    if update_node is not None:
        sent, got = (_told(edges_to_nodes, edges, ends, n, mask) for ends in (senders, receivers))
        own = None if whole is None else kept(gather(whole, graph.owners), graph.node_mask)
        nodes = _updated("update_node", update_node(nodes, sent, got, own), graph.owners, graph.node_mask)
    if update_graph is not None:
        told = (
            _told(nodes_to_graphs, nodes, graph.owners, g, graph.node_mask),
            _told(edges_to_graphs, edges, owners, g, mask),
        )
        whole = _updated("update_graph", update_graph(*told, whole), graph.graph_mask, graph.graph_mask)
    if edges is not None and not graph.edges.senders.shape[-1]:
        edges = edges[..., :0, :]  # of the one that stood in for none
    return graph._replace(nodes=nodes, edge_features=edges, graph_features=whole)


def _told(aggregate: Aggregate, x: jax.Array | None, ids: jax.Array, n: int, mask: jax.Array | None) -> Any:
    """What rows amount to, where there are any."""
    return None if x is None else aggregate(x, ids, n, mask=mask)


def _updated(name: str, x: jax.Array, rows: jax.Array, mask: jax.Array | None) -> jax.Array:
    """What a function returned, once it is known to have a row for each."""
    checks.floats(f"graph_network: {name}", x, ndim=rows.ndim)
    if x.shape[: rows.ndim] != rows.shape:
        raise ValueError(
            f"graph_network: expected {name} to return a row for each, with leading axes {rows.shape}, found "
            f"{checks.describe(x)}."
        )
    return jnp.asarray(kept(x, mask))


def _weighted(edges: jax.Array | None, weights: jax.Array) -> jax.Array:
    """Features of edges times their weights."""
    if edges is None or weights.shape[-1] not in (1, edges.shape[-1]) or weights.ndim != edges.ndim:
        found = "none" if edges is None else checks.describe(edges)
        raise ValueError(
            f"graph_network: expected score_edge to return one score for each edge, or for each of its features "
            f"{found}, found {checks.describe(weights)}."
        )
    return (wide(edges) * weights).astype(edges.dtype)


def _check(graph: Graph) -> None:
    """Raises unless the parts of a graph fit each other."""
    checks.floats("graph_network", graph.nodes, ndim=2)
    check_edges("graph_network", graph.nodes, graph.edges, graph.nodes.shape[-1], graph.edge_features)
    if np.shape(graph.owners) != graph.nodes.shape[:-1]:
        raise ValueError(
            f"graph_network: expected an owner and a mask for each node, found owners {np.shape(graph.owners)} with "
            f"nodes {checks.describe(graph.nodes)}."
        )
    check_masks("graph_network", graph)
    if graph.graph_features is not None:
        checks.floats("graph_network: graph_features", graph.graph_features, ndim=2)
        if graph.graph_features.shape[:-1] != graph.graph_mask.shape:
            raise ValueError(
                f"graph_network: expected graph_features for each of {graph.graph_mask.shape} graphs, found "
                f"{checks.describe(graph.graph_features)}."
            )
