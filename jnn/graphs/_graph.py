"""Graphs as arrays: features of nodes, edges as two lists of indices, and masks for what fills them up.

    graph(nodes, senders, receivers) -> Graph               one, whole
    with_self_loops(edges, n) -> Edges                      an edge from every node to itself as well

(Many, side by side: `_batch`.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks


class Edges(NamedTuple):
    """Edges: node `senders[i]` tells node `receivers[i]`, where `mask[i]`.

    Attributes:
      senders, receivers: (..., e), integers in 0..n-1.
      mask: (..., e), bool, or None for all True.
    """

    senders: Any
    receivers: Any
    mask: Any = None


class Graph(NamedTuple):
    """Graphs side by side: nodes and edges of all of them in one list each.

    Attributes:
      nodes: (..., n, d), features.
      edges: which nodes tell which.
      edge_features: (..., e, d_edge), or None.
      owners: (..., n), integers: the graph that a node is of.
      node_mask: (..., n), bool: whether there is a node.
      graph_mask: (..., g), bool: whether there is a graph.
      graph_features: (..., g, d_graph), or None.
    """

    nodes: Any
    edges: Edges
    edge_features: Any
    owners: Any
    node_mask: Any
    graph_mask: Any
    graph_features: Any = None


def graph(nodes: Any, senders: Any, receivers: Any, edge_features: Any = None, graph_features: Any = None) -> Graph:
    """Graph of these nodes and edges, alone and whole.

    Args:
      nodes: (n, d), floating point.
      senders, receivers: (e,), integers in 0..n-1.
      edge_features: (e, d_edge), or None.
      graph_features: (d_graph,), or None.

    Raises:
      TypeError: senders or receivers are not integers.
      ValueError: an edge begins or ends at no node, or there are not as many senders as receivers.

    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> one.node_mask.tolist(), one.graph_mask.tolist()
    ([True, True, True], [True])
    """
    n, e = len(nodes), len(senders)
    check_ends("graph", Edges(np.asarray(senders), np.asarray(receivers)))
    ends = np.concatenate([np.asarray(senders), np.asarray(receivers)])
    if len(receivers) != e or (edge_features is not None and len(edge_features) != e):
        told = len(receivers) if edge_features is None else f"{len(receivers)} and {len(edge_features)} edge_features"
        raise ValueError(f"graph: expected one receiver for each of {e} senders, found {told}.")
    if ends.size and not (ends.min() >= 0 and ends.max() < n):
        raise ValueError(f"graph: expected edges in 0..{n - 1} ({n} nodes), found {ends.min()}..{ends.max()}.")
    edges = Edges(np.asarray(senders, np.int32), np.asarray(receivers, np.int32), np.ones(e, bool))
    features = None if edge_features is None else np.asarray(edge_features)
    owners, whole = np.zeros(n, np.int32), None if graph_features is None else np.asarray(graph_features)[None]
    return Graph(np.asarray(nodes), edges, features, owners, np.ones(n, bool), np.ones(1, bool), whole)


def with_self_loops(edges: Edges, n: int) -> Edges:
    """Edges, and one more from each of n nodes to itself: (..., e) -> (..., e + n).

    >>> with_self_loops(Edges(jnp.array([0]), jnp.array([1])), 2).senders.tolist()
    [0, 0, 1]
    """
    leading = edges.senders.shape[:-1]
    own = jnp.broadcast_to(jnp.arange(n), (*leading, n))
    mask = None if edges.mask is None else jnp.concatenate([edges.mask, jnp.ones((*leading, n), bool)], -1)
    return Edges(jnp.concatenate([edges.senders, own], -1), jnp.concatenate([edges.receivers, own], -1), mask)


def check_edges(layer: str, x: jax.Array, edges: Edges, d_in: int, features: jax.Array | None = None) -> None:
    """Raises unless x (..., n, d_in) and edges (..., e) fit, with features (..., e, d_edge) if there are any."""
    checks.floats(layer, x, ndim=2)
    checks.trailing(layer, x, (d_in,))
    if isinstance(edges, Graph):
        raise TypeError(f"{layer}: expected Edges, found a Graph. Give its own: graph.edges.")
    check_ends(layer, edges)
    lists = {"senders": edges.senders, "receivers": edges.receivers}
    if edges.mask is not None:
        checks.array(layer, edges.mask, "mask")
        if edges.mask.dtype != jnp.bool_:
            raise TypeError(f"{layer}: expected a bool mask of edges, found {checks.describe(edges.mask)}.")
        lists["mask"] = edges.mask
    if features is not None:
        if np.size(features):
            checks.floats(f"{layer}: edge_features", features, ndim=2)
        lists["edge_features"] = features[..., 0]
    if any(a.shape[:-1] != x.shape[:-2] or a.shape != edges.senders.shape for a in lists.values()):
        found = ", ".join(f"{name} {a.shape}" for name, a in lists.items())
        raise ValueError(
            f"{layer}: expected lists of edges of one shape with the leading axes {x.shape[:-2]} of x, found {found}."
        )


def check_ends(layer: str, edges: Edges) -> None:
    """Raises unless the ends of edges are integers, or there are none."""
    for name, ends in (("senders", edges.senders), ("receivers", edges.receivers)):
        checks.array(layer, ends, name)
        if ends.size and not jnp.issubdtype(ends.dtype, jnp.integer):
            raise TypeError(f"{layer}: expected {name}, integers, found {checks.describe(ends)}.")


def check_masks(layer: str, graph: Graph) -> None:
    """Raises unless a graph has a mask for each of its nodes, and one of graphs with the leading axes of those."""
    masks = {"owners": graph.owners, "node_mask": graph.node_mask, "graph_mask": graph.graph_mask}
    for name, a in masks.items():
        checks.array(layer, a, name)
    nodes, rows = graph.owners.shape, graph.graph_mask.shape
    if graph.node_mask.shape != nodes or rows[:-1] != nodes[:-1] or len(rows) != len(nodes):
        found = ", ".join(f"{name} {checks.describe(a)}" for name, a in masks.items())
        raise ValueError(
            f"{layer}: expected owners and node_mask (..., nodes), and graph_mask (..., graphs), found {found}."
        )


def read_edges(edges: Edges, features: Any = None) -> tuple[Edges, Any]:
    """What a layer reads of edges: zeros where masked, ends and features; where there are none, one that is masked."""
    if edges.senders.shape[-1]:
        senders, receivers = (kept(end, edges.mask) for end in (edges.senders, edges.receivers))
        return Edges(senders, receivers, edges.mask), kept(features, edges.mask)
    one = lambda a: (
        None if a is None else jnp.zeros_like(a, shape=(*edges.senders.shape[:-1], 1, *a.shape[edges.senders.ndim :]))
    )
    mask = jnp.zeros((*edges.senders.shape[:-1], 1), bool)
    return Edges(one(edges.senders), one(edges.receivers), mask), one(features)


def kept(x: Any, mask: jax.Array | None) -> Any:
    """x (..., m, *f) with zeros where the mask (..., m) is False, so that whatever stood there has no gradient."""
    if x is None or mask is None:
        return x
    return jnp.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim)), x, 0)
