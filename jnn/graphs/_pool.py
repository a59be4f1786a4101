"""Pooling of nodes: one row of features for each graph of a batch, or fewer nodes.

    pool_nodes(x, graph, aggregate=segment_mean) -> (..., g, d)      sum, mean or maximum
    attention_pool(p, x, graph) -> (..., g, d)                       nodes weighted by a learned score
    set2set(p, x, graph, steps=3) -> (..., g, 2 d)                   what a recurrent cell looks for, step by step
    top_k_pool(p, x, graph, ratio=0.5) -> x, graph                   the best nodes alone, the others masked

Laws: the order of nodes does not matter; nodes of mask False have no part; graphs do not see each other.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._graph import Edges, Graph, check_masks, kept
from jnn.graphs._segments import Aggregate, gather, segment_count, segment_mean, segment_softmax, segment_sum
from jnn.initializers import Init, glorot_uniform
from jnn.layers import linear, linear_spec, lstm_cell, lstm_cell_spec, weight_shape
from jnn.param import Params, Spec
from jnn.precision import over_steps, wide


def pool_nodes(x: jax.Array, graph: Graph, *, aggregate: Aggregate = segment_mean) -> jax.Array:
    """Global pooling: the mean, sum or maximum of each graph's nodes.

    Args:
      x: (..., n, d), floating point: features of the graph's nodes.
      graph: says which nodes are whose.
      aggregate: `segment_mean`, `segment_sum` or `segment_max`.

    Returns:
      (..., g, d), in x's dtype; zeros for a graph without nodes.

    Raises:
      TypeError, ValueError: x is not floating point, or has not a row for each node.

    >>> from jnn.graphs import graph
    >>> import numpy as np
    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> pool_nodes(jnp.asarray(one.nodes), one).tolist()
    [[1.0, 1.0]]
    """
    _check("pool_nodes", x, graph)
    return aggregate(x, graph.owners, graph.graph_mask.shape[-1], mask=graph.node_mask)


def attention_pool_spec(d: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares attention pooling (`attention_pool`): {"score": {"w": (d, 1)}, "value": {"w": (d, d), "b": (d,)}}.

    >>> attention_pool_spec(3)["value"]["w"].shape
    (3, 3)
    """
    score = linear_spec(d, 1, axes=("embed", "scores"), bias=False, init=init, dtype=dtype)
    return {"score": score, "value": linear_spec(d, d, init=init, dtype=dtype)}


def attention_pool(p: Params, x: jax.Array, graph: Graph) -> jax.Array:
    """Attention pooling: a linear map of each graph's nodes, weighted by the softmax of their scores.

    See "Gated Graph Sequence Neural Networks", Li et al., 2016, and "Neural Message Passing", Gilmer et al., 2017.

    Args:
      p: as declared by `attention_pool_spec`.
      x: (..., n, d), floating point.
      graph: says which nodes are whose.

    Returns:
      (..., g, d), in x's dtype; zeros for a graph without nodes.

    Raises:
      TypeError, ValueError: x does not fit p or the graph.

    >>> from jnn.graphs import graph
    >>> import numpy as np
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), attention_pool_spec(2))
    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> attention_pool(p, jnp.ones((3, 2)), one).tolist()
    [[3.0, 3.0]]
    """
    checks.maps("attention_pool", p, "score", "value")
    _check("attention_pool", x, graph, weight_shape(p["score"]["w"])[0])
    x = kept(x, graph.node_mask)
    return _attend(linear(p["score"], x)[..., 0], linear(p["value"], x), graph)


def set2set_spec(d: int, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares Set2Set (`set2set`): an `lstm_cell_spec` of 2 d inputs and d features.

    >>> set2set_spec(3)["input"]["w"].shape
    (6, 4, 3)
    """
    return lstm_cell_spec(2 * d, d, dtype=dtype)


def set2set(p: Params, x: jax.Array, graph: Graph, *, steps: int) -> jax.Array:
    """Set2Set pooling: a memory asks each graph's nodes again and again, and reads the weighted mean that answers.

    See "Order Matters: Sequence to Sequence for Sets", Vinyals, Bengio and Kudlur, 2016.

    Args:
      p: as declared by `set2set_spec`.
      x: (..., n, d), floating point.
      graph: says which nodes are whose.
      steps: how often it asks.

    Returns:
      (..., g, 2 d), in x's dtype: the last question and the last answer.

    Raises:
      TypeError, ValueError: x does not fit p or the graph.

    >>> from jnn.graphs import graph
    >>> import numpy as np
    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), set2set_spec(2))
    >>> one = graph(np.ones((3, 2)), np.array([0, 1]), np.array([1, 2]))
    >>> set2set(p, jnp.ones((3, 2)), one, steps=2).shape
    (1, 4)
    """
    checks.maps("set2set", p, "input", "recurrent")
    d = weight_shape(p["recurrent"]["w"])[0]
    _check("set2set", x, graph, d)
    x = kept(x, graph.node_mask)
    nothing, params = jnp.zeros((*graph.graph_mask.shape, d), x.dtype), over_steps(p)

    def step(state: tuple[jax.Array, tuple[jax.Array, jax.Array]], _: None) -> tuple[tuple, None]:
        read, carry = state
        carry, asked = lstm_cell(params(), carry, read)
        score = jnp.sum(wide(x) * wide(gather(asked, graph.owners)), -1)
        return (jnp.concatenate([asked, _attend(score, x, graph)], -1), carry), None

    begun = jnp.concatenate([nothing, nothing], -1), (nothing, nothing)
    return jax.lax.scan(step, begun, None, length=steps)[0][0]


def top_k_pool_spec(d: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares top-k pooling (`top_k_pool`): {"w": (d, 1)}.

    >>> top_k_pool_spec(3)["w"].shape
    (3, 1)
    """
    return linear_spec(d, 1, axes=("embed", "scores"), bias=False, init=init, dtype=dtype)


def top_k_pool(p: Params, x: jax.Array, graph: Graph, *, ratio: float) -> tuple[jax.Array, Graph]:
    """Top-k pooling: of each graph's nodes the share that scores best, times tanh of the score.

    See "Graph U-Nets", Gao and Ji, 2019. Shapes stay: nodes that go are masked, as are edges from or to them.

    Args:
      p: as declared by `top_k_pool_spec`.
      x: (..., n, d), floating point.
      graph: the nodes' own.
      ratio: the share that stays, rounded up, in (0, 1].

    Returns:
      x (..., n, d), zero where a node has gone, in its dtype; and the graph with these nodes and masks.

    Raises:
      TypeError, ValueError: x does not fit p or the graph, or ratio is not in (0, 1].

    >>> from jnn.graphs import graph
    >>> import numpy as np
    >>> one = graph(np.ones((3, 1)), np.array([0, 1]), np.array([1, 2]))
    >>> x, left = top_k_pool({"w": jnp.ones((1, 1))}, jnp.array([[1.0], [3.0], [2.0]]), one, ratio=0.5)
    >>> left.node_mask.tolist(), left.edges.mask.tolist()
    ([False, True, True], [False, True])
    """
    checks.params("top_k_pool", p, "w")
    _check("top_k_pool", x, graph, p["w"].shape[0])
    if not 0 < ratio <= 1:
        raise ValueError(f"top_k_pool: expected a ratio in (0, 1], found {ratio}.")
    x, w = kept(x, graph.node_mask), wide(p["w"]).astype(wide(x).dtype)
    score = jnp.tensordot(wide(x), w, 1)[..., 0] * jax.lax.rsqrt(jnp.sum(jnp.square(w)) + 1e-12)
    graphs = graph.graph_mask.shape[-1]
    counts = segment_count(graph.owners, graphs, mask=graph.node_mask)
    whole = jnp.where(graph.node_mask, graph.owners, graphs)
    order = jnp.lexsort((-score, whole), axis=-1)  # graph by graph, the best first, what fills up last
    starts = jnp.cumsum(counts, -1) - counts
    place = jnp.argsort(order, -1) - gather(starts, graph.owners)
    # of each count, on the host: in every dtype the same, and whole where it is but for rounding
    rooms = np.ceil(float(ratio) * np.arange(x.shape[-2] + 1) * (1 - 1e-12))
    keep = graph.node_mask & (place < gather(jnp.asarray(rooms, jnp.int32)[counts], graph.owners))
    y = jnp.where(keep[..., None], wide(x) * jnp.tanh(score)[..., None], 0).astype(x.dtype)
    ends = lambda ids: gather(keep.astype(score.dtype), ids) > 0
    mask = ends(graph.edges.senders) & ends(graph.edges.receivers)
    mask = mask if graph.edges.mask is None else mask & graph.edges.mask
    edges = Edges(graph.edges.senders, graph.edges.receivers, mask)
    return y, graph._replace(nodes=y, edges=edges, node_mask=keep)


def _attend(score: jax.Array, values: jax.Array, graph: Graph) -> jax.Array:
    """(..., g, d): the means of each graph's values (..., n, d), weighted by the softmax of scores (..., n)."""
    graphs = graph.graph_mask.shape[-1]
    weights = segment_softmax(wide(score), graph.owners, graphs, mask=graph.node_mask)
    total = segment_sum(wide(values) * weights[..., None], graph.owners, graphs, mask=graph.node_mask)
    return total.astype(values.dtype)


def _check(layer: str, x: jax.Array, graph: Graph, d: int | None = None) -> None:
    checks.floats(layer, x, ndim=2)
    if d is not None:
        checks.trailing(layer, x, (d,))
    check_masks(layer, graph)
    if x.shape[:-1] != graph.owners.shape:
        raise ValueError(
            f"{layer}: expected a row for each node, of leading axes {graph.owners.shape}, found {checks.describe(x)}."
        )
