"""Batches of graphs, on the host: many side by side in arrays of fixed sizes, and taken apart again.

    batch_graphs(graphs, nodes=64, edges=256, size=8) -> batch              those there are, filled up
    dynamically_batch_graphs(graphs, nodes=64, edges=256, size=8) -> ...    batch after batch, each as full as it gets
    unbatch_graphs(batch) -> [graph, ...]                                   each alone and whole
    unpad_graphs(batch) -> batch                                            without what fills it up

Laws: batching keeps every graph as it is, `unbatch_graphs` gives it back; what fills a batch up has mask False and is
never read; all batches of one room have one shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from jnn import checks
from jnn.graphs._graph import Edges, Graph, check_ends, graph


def batch_graphs(graphs: Sequence[Graph], *, nodes: int, edges: int, size: int) -> Graph:
    """Batch of graphs, side by side in arrays of fixed sizes, so that one compilation serves all batches.

    Args:
      graphs: of NumPy arrays, as `graph` makes them, each alone and whole; all with the same features, or none.
      nodes, edges, size: how many nodes, edges and graphs the batch has room for.

    Returns:
      Arrays of NumPy: nodes (nodes, d), edges (edges,), graphs (size,).

    Raises:
      TypeError: one is no Graph, or has edges that are not integers.
      ValueError: there are none, or they do not fit; one is a batch, or has other features than the others.

    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> batch_graphs([one, one], nodes=8, edges=5, size=3).edges.senders.tolist()
    [0, 1, 3, 4, 0]
    """
    _check_graphs("batch_graphs", graphs)
    room, needed = {"nodes": nodes, "edges": edges, "size": size}, _sizes(graphs)
    if not graphs or any(needed[name] > room[name] for name in room):
        raise ValueError(f"batch_graphs: expected one graph or more that fit into {room}, found {needed}.")
    for g in graphs:
        _check_whole(g)
    counts = [len(g.nodes) for g in graphs]
    starts = np.cumsum([0, *counts])[:-1]
    ends = lambda name: _fill([getattr(g.edges, name) + at for g, at in zip(graphs, starts, strict=True)], edges)
    return Graph(
        _fill([g.nodes for g in graphs], nodes),
        Edges(ends("senders").astype(np.int32), ends("receivers").astype(np.int32), np.arange(edges) < needed["edges"]),
        _features(graphs, "edge_features", edges),
        _fill([np.full(count, i, np.int32) for i, count in enumerate(counts)], nodes),
        np.arange(nodes) < needed["nodes"],
        np.arange(size) < len(graphs),
        _features(graphs, "graph_features", size),
    )


def dynamically_batch_graphs(graphs: Iterable[Graph], *, nodes: int, edges: int, size: int) -> Iterator[Graph]:
    """Dynamic batching: batch after batch of the next graphs that fit into a budget of nodes, edges and graphs.

    Args:
      graphs: as in `batch_graphs`, in their order; may be endless.
      nodes, edges, size: the budget, and so the shapes of every batch.

    Yields:
      Batches as `batch_graphs` makes them; every graph is in one of them. The last may be far from full.

    Raises:
      TypeError: one is no Graph.
      ValueError: a graph alone is more than the budget.

    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> [int(b.graph_mask.sum()) for b in dynamically_batch_graphs([one] * 5, nodes=8, edges=5, size=4)]
    [2, 2, 1]
    """
    room = {"nodes": nodes, "edges": edges, "size": size}
    for name, value in room.items():
        checks.count("dynamically_batch_graphs", name, value)
    chosen: list[Graph] = []
    held = dict.fromkeys(room, 0)
    for i, g in enumerate(graphs):
        _check_graphs("dynamically_batch_graphs", [g])
        more = _sizes([g])
        if any(more[name] > room[name] for name in room):
            raise ValueError(
                f"dynamically_batch_graphs: expected graphs that fit into {room}, found {more} in graph {i}. Leave it "
                "out, or give more room."
            )
        if any(held[name] + more[name] > room[name] for name in room):
            yield batch_graphs(chosen, nodes=nodes, edges=edges, size=size)
            chosen, held = [], dict.fromkeys(room, 0)
        chosen.append(g)
        held = {name: held[name] + more[name] for name in room}
    if chosen:
        yield batch_graphs(chosen, nodes=nodes, edges=edges, size=size)


def unbatch_graphs(batch: Graph) -> list[Graph]:
    """Unbatching: the graphs of a batch, each alone, with the features that it has now; what is masked is left out.

    Args:
      batch: as `batch_graphs` makes it, or as a function of it returns it, with masks of its own; no leading axes.

    Returns:
      Graphs of NumPy arrays, in the batch's order.

    Raises:
      TypeError: the batch is no Graph.
      ValueError: it has leading axes.

    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> [g.edges.senders.tolist() for g in unbatch_graphs(batch_graphs([one, one], nodes=8, edges=5, size=3))]
    [[0, 1], [0, 1]]
    """
    _check_graphs("unbatch_graphs", [batch])
    owners, size = np.asarray(batch.owners), np.size(batch.graph_mask)
    if owners.ndim != 1:
        raise ValueError(f"unbatch_graphs: expected a batch without leading axes, found owners {owners.shape}.")
    nodes = _parts(owners, np.asarray(batch.node_mask), size)
    place = np.full(len(owners), -1)  # of each node among those of its graph
    for ids in nodes:
        place[ids] = np.arange(len(ids))
    senders, receivers = (np.asarray(ends) for ends in batch.edges[:2])
    there = np.ones(len(senders), bool) if batch.edges.mask is None else np.asarray(batch.edges.mask)
    of = np.where(there, senders, 0), np.where(there, receivers, 0)
    edges = _parts(owners[of[0]], there & (place[of[0]] >= 0) & (place[of[1]] >= 0), size)
    row = lambda features, ids: None if features is None else np.asarray(features)[ids]
    return [
        graph(
            row(batch.nodes, nodes[i]),
            place[senders[edges[i]]],
            place[receivers[edges[i]]],
            row(batch.edge_features, edges[i]),
            row(batch.graph_features, i),
        )
        for i in np.flatnonzero(np.asarray(batch.graph_mask))
    ]


def unpad_graphs(batch: Graph) -> Graph:
    """Unpadding: a batch without what fills it up: `batch_graphs` of its graphs, in just the room that they need.

    Args:
      batch: as in `unbatch_graphs`.

    Returns:
      Arrays of NumPy: of as many nodes, edges and graphs as are not masked.

    Raises:
      ValueError: the batch has leading axes, or holds no graph.

    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> unpad_graphs(batch_graphs([one, one], nodes=8, edges=5, size=3)).nodes.shape
    (6, 2)
    """
    graphs = unbatch_graphs(batch)
    return batch_graphs(graphs, **_sizes(graphs))


def _check_graphs(where: str, graphs: Sequence[Graph]) -> None:
    alone = isinstance(graphs, Graph)  # a tuple itself
    if other := ["Graph, alone"] if alone else [type(g).__name__ for g in graphs if not isinstance(g, Graph)]:
        raise TypeError(
            f"{where}: expected graphs, as jnn.graphs.graph(nodes, senders, receivers) makes them, in a sequence of "
            f"them; found a {other[0]}."
        )


def _sizes(graphs: Sequence[Graph]) -> dict[str, int]:
    """What graphs need, by the names of what a batch has room for."""
    return {
        "nodes": sum(len(g.nodes) for g in graphs),
        "edges": sum(len(g.edges.senders) for g in graphs),
        "size": len(graphs),
    }


def _fill(parts: Sequence[Any], to: int) -> np.ndarray:
    """One array of all parts, and zeros for the rest."""
    if len(shapes := {np.shape(part)[1:] for part in parts}) > 1:
        raise ValueError(f"batch_graphs: expected features of one shape in all graphs, found {sorted(shapes)}.")
    whole = np.concatenate(parts)
    return np.concatenate([whole, np.zeros((to - len(whole), *whole.shape[1:]), whole.dtype)])


def _features(graphs: Sequence[Graph], name: str, to: int) -> np.ndarray | None:
    """These features of all graphs, or None where they have none."""
    parts = [getattr(g, name) for g in graphs]
    having = sum(part is not None for part in parts)
    if having not in (0, len(parts)):
        raise ValueError(f"batch_graphs: expected {name} of all graphs or of none, found {having} of {len(parts)}.")
    return _fill(parts, to) if having else None


def _check_whole(g: Graph) -> None:
    """Raises unless a graph is alone and nothing of it masked, its edges of integers."""
    check_ends("batch_graphs", g.edges)
    masks = g.node_mask, g.graph_mask, True if g.edges.mask is None else g.edges.mask
    if np.size(g.graph_mask) != 1 or not all(np.all(mask) for mask in masks):
        raise ValueError(
            f"batch_graphs: expected graphs alone and whole, found a batch with room for {np.size(g.graph_mask)}. Take "
            "it apart first: unbatch_graphs(batch)."
        )


def _parts(owners: np.ndarray, mask: np.ndarray, size: int) -> list[np.ndarray]:
    """The rows that each of `size` owners has where the mask says so, in their order."""
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(owners[rows], kind="stable")]
    return np.split(rows, np.searchsorted(owners[rows], np.arange(1, size)))
