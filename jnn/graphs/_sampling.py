"""Sampling of graphs: neighbours drawn, and walks from neighbour to neighbour, as pure functions of a key.

    neighbors(edges, n) -> Neighbors                        on the host, once
    sample_edges(near, k, key=key) -> Edges                 k neighbours of each node
    random_walks(near, starts, steps, key=key, p=1, q=1)    (..., steps + 1)
    has_edge(near, senders, receivers)                      whether one tells the other

Laws: what is drawn is an edge that there is, or a node that has none stays where it is; the same key, the same draws.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.graphs._graph import Edges, check_ends
from jnn.param import check_key


class Neighbors(NamedTuple):
    """Neighbours of each of n nodes, also called compressed sparse rows.

    Attributes:
      starts: (n + 1,), int32: of node i they are `nodes[starts[i]:starts[i + 1]]`, ascending.
      nodes: (e,), int32.
    """

    starts: Any
    nodes: Any


def neighbors(edges: Edges, n: int) -> Neighbors:
    """Neighbours of each node: those that tell it something, in arrays of NumPy.

    Args:
      edges: (e,), whole or masked; an undirected edge is two.
      n: how many nodes there are.

    Raises:
      TypeError: senders or receivers are not integers.
      ValueError: there is no edge, or one begins or ends at no node.

    >>> near = neighbors(Edges(np.array([2, 0, 1]), np.array([0, 1, 0])), 3)
    >>> near.starts.tolist(), near.nodes.tolist()
    ([0, 2, 3, 3], [1, 2, 0])
    """
    there = slice(None) if edges.mask is None else np.asarray(edges.mask)
    senders, receivers = (np.asarray(ends)[there] for ends in (edges.senders, edges.receivers))
    check_ends("neighbors", Edges(senders, receivers))
    ends = np.concatenate([senders, receivers])
    if not ends.size or ends.min() < 0 or ends.max() >= n:
        found = f"{ends.min()}..{ends.max()}" if ends.size else "no edge"
        raise ValueError(f"neighbors: expected one edge or more, in 0..{n - 1} ({n} nodes), found {found}.")
    starts = np.concatenate([[0], np.cumsum(np.bincount(receivers, minlength=n))])
    return Neighbors(starts.astype(np.int32), senders[np.lexsort((senders, receivers))].astype(np.int32))


def sample_edges(near: Neighbors, k: int, *, key: jax.Array) -> Edges:
    """Neighbour sampling: k edges to each node, drawn evenly and with replacement among those it has.

    See "Inductive Representation Learning on Large Graphs", Hamilton, Ying and Leskovec, 2017.

    Args:
      near: of n nodes.
      k: how many are drawn for a node.
      key: of the draw.

    Returns:
      (n * k,), with mask False where a node has no neighbour.

    Raises:
      TypeError: key is none.
      ValueError: k is below 1.

    >>> near = neighbors(Edges(np.array([0, 1]), np.array([1, 0])), 3)
    >>> edges = sample_edges(near, 2, key=jax.random.key(0))
    >>> edges.senders.tolist(), edges.mask.tolist()
    ([1, 1, 0, 0, 2, 2], [True, True, True, True, False, False])
    """
    checks.count("sample_edges", "k", k)
    check_key("sample_edges", key)
    starts = jnp.asarray(near.starts)
    receivers = jnp.repeat(jnp.arange(len(starts) - 1, dtype=starts.dtype), k)
    return Edges(_drawn(near, receivers, key), receivers, starts[receivers + 1] > starts[receivers])


def random_walks(
    near: Neighbors, starts: jax.Array, steps: int, *, key: jax.Array, p: float = 1.0, q: float = 1.0
) -> jax.Array:
    """Random walks of second order, those of node2vec: from neighbour to neighbour, with a view to the node before.

    See "node2vec: Scalable Feature Learning for Networks", Grover and Leskovec, 2016. From v, where t was before, a
    neighbour x is drawn with a weight of 1 / p if it is t, 1 if t tells x, and 1 / q otherwise: a large p returns
    less often, a large q stays near; the first step is drawn evenly, and a dead end is left as it was come to. By
    rejection: a neighbour is drawn evenly until one is taken.

    Args:
      near: of n nodes; a walk goes from a node to one that tells it, so edges of one direction are walked backwards.
      starts: (...), integers in 0..n-1: where walks begin.
      steps: of each walk.
      key: of the draws.
      p, q: above 0; with 1 and 1 a walk does not know where it was before (DeepWalk), with an infinite p it goes back
        from dead ends alone. q is finite.

    Returns:
      (..., steps + 1), starts first. A node without neighbours is not left.

    Raises:
      TypeError: starts are not integers, or key is none.
      ValueError: steps below 1, p or q not above 0, q infinite.

    >>> ring = neighbors(Edges(np.arange(4), (np.arange(4) + 1) % 4), 4)
    >>> random_walks(ring, jnp.array([0, 2]), 3, key=jax.random.key(0)).tolist()
    [[0, 3, 2, 1], [2, 1, 0, 3]]
    """
    starts = checks.integers("random_walks", starts, name="starts")
    checks.count("random_walks", "steps", steps)
    check_key("random_walks", key)
    if not (p > 0 and 0 < q < math.inf):
        raise ValueError(f"random_walks: expected p and q above 0, and q finite, found {p=}, {q=}.")
    most = max(1 / p, 1.0, 1 / q)

    def step(walk: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        before, at = walk
        dead_end = _is_dead_end(near, at)

        def draw(tried: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            i, chosen, done = tried
            which, whether = jax.random.split(jax.random.fold_in(key, i))
            drawn = _drawn(near, at, which)
            close = (before < 0) | has_edge(near, before, drawn)  # of no node before there is no preference
            weight = jnp.where(drawn == before, 1 / p, jnp.where(close, 1.0, 1 / q))
            taken = dead_end | (jax.random.uniform(whether, at.shape) * most < weight)
            return i + 1, jnp.where(done, chosen, drawn), done | taken

        first = (jnp.int32(0), at, jnp.zeros(at.shape, bool))
        _, chosen, _ = jax.lax.while_loop(lambda tried: ~tried[2].all(), draw, first)
        return (at, chosen), chosen

    starts = starts.astype(near.nodes.dtype)
    _, visited = jax.lax.scan(step, (jnp.full_like(starts, -1), starts), jax.random.split(key, steps))
    return jnp.concatenate([starts[..., None], jnp.moveaxis(visited, 0, -1)], -1)


def has_edge(near: Neighbors, senders: jax.Array, receivers: jax.Array) -> jax.Array:
    """Whether there is an edge from each of senders (...) to the one of receivers (...): bool.

    >>> near = neighbors(Edges(np.array([2, 0, 1]), np.array([0, 1, 0])), 3)
    >>> has_edge(near, jnp.array([2, 1, 0]), jnp.array([0, 0, 2])).tolist()
    [True, True, False]
    """
    first, nodes = jnp.asarray(near.starts), jnp.asarray(near.nodes)
    end = first[receivers + 1]

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) // 2
        less = (low < high) & (nodes[middle] < senders)
        return jnp.where(less, middle + 1, low), jnp.where(less, high, middle)

    low, _ = jax.lax.fori_loop(0, len(nodes).bit_length(), halve, (first[receivers], end))
    return (low < end) & (nodes[low] == senders)


def _is_dead_end(near: Neighbors, ids: jax.Array) -> jax.Array:
    """Whether nodes (...) have no two neighbours to choose between."""
    first, nodes = jnp.asarray(near.starts), jnp.asarray(near.nodes)
    return nodes[first[ids]] == nodes[jnp.maximum(first[ids], first[ids + 1] - 1)]


def _drawn(near: Neighbors, ids: jax.Array, key: jax.Array) -> jax.Array:
    """A neighbour of each node (...), drawn evenly; the node itself where there is none."""
    first, nodes = jnp.asarray(near.starts), jnp.asarray(near.nodes)
    count = first[ids + 1] - first[ids]
    place = jax.random.randint(key, ids.shape, 0, jnp.maximum(count, 1))
    return jnp.where(count > 0, nodes[first[ids] + place], ids)
