"""Graph convolutions: every node takes in what its neighbours send.

    gcn(p, x, edges)               the normalized sum of them and itself
    graph_sage(p, x, edges)        a linear map of their mean, and one of itself
    gin(p, x, edges)               a network of the sum

Axes: x is (..., n, d), edges (..., e). Laws: other numbers for the nodes, the same function; other orders of the edges
change nothing, nor do edges of mask False, or nodes without edges; graphs side by side are each as if alone.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._graph import Edges, check_edges, read_edges, with_self_loops
from jnn.graphs._segments import Aggregate, gather, segment_mean, segment_sum
from jnn.initializers import Init, glorot_uniform, zeros
from jnn.layers import linear, linear_spec, weight_shape
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, wide


def gcn_spec(
    d_in: int, d_out: int, *, bias: bool = True, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a graph convolution (`gcn`): {"w": (d_in, d_out), "b": (d_out,)}.

    >>> gcn_spec(3, 5)["w"].shape
    (3, 5)
    """
    return linear_spec(d_in, d_out, bias=bias, init=init, dtype=dtype)


def gcn(p: Params, x: jax.Array, edges: Edges, *, weights: jax.Array | None = None) -> jax.Array:
    """Graph convolutional network layer: `D^-1/2 (A + I) D^-1/2 x W + b`, D the degrees of A + I.

    See "Semi-Supervised Classification with Graph Convolutional Networks", Kipf and Welling, 2017.

    Args:
      p: as declared by `gcn_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e); an undirected edge is two. Self-loops are added.
      weights: (..., e), at least 0: what stands in A; None for 1.

    Returns:
      (..., n, d_out), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> edges = Edges(jnp.array([0, 1]), jnp.array([1, 0]))
    >>> gcn({"w": jnp.ones((1, 1))}, jnp.array([[1.0], [3.0]]), edges).round(3).tolist()
    [[2.0], [2.0]]
    """
    checks.params("gcn", p, "w", may=("b",))
    check_edges("gcn", x, edges, p["w"].shape[0])
    n, (edges, weights) = x.shape[-2], read_edges(edges, weights)
    senders, receivers, mask = with_self_loops(edges, n)
    w = jnp.ones(edges.senders.shape, wide(x).dtype) if weights is None else wide(weights)
    w = jnp.concatenate([w, jnp.ones((*w.shape[:-1], n), w.dtype)], -1)
    root = jax.lax.rsqrt(segment_sum(w, receivers, n, mask=mask))  # a self-loop makes it 1 at least
    w = w * gather(root, senders) * gather(root, receivers)
    sent = wide(gather(linear({"w": p["w"]}, x), senders)) * w[..., None]
    y = segment_sum(sent, receivers, n, mask=mask).astype(x.dtype)
    return add_bias(y, p["b"]) if "b" in p else y


def graph_sage_spec(
    d_in: int, d_out: int, *, bias: bool = True, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares GraphSAGE (`graph_sage`): {"self": a linear map, "neighbors": one without bias}.

    >>> sorted(graph_sage_spec(3, 5))
    ['neighbors', 'self']
    """
    one = lambda bias: linear_spec(d_in, d_out, bias=bias, init=init, dtype=dtype)
    return {"self": one(bias), "neighbors": one(False)}


def graph_sage(p: Params, x: jax.Array, edges: Edges, *, aggregate: Aggregate = segment_mean) -> jax.Array:
    """GraphSAGE: a linear map of the node, and one of what its neighbours send.

    See "Inductive Representation Learning on Large Graphs", Hamilton, Ying and Leskovec, 2017.

    Args:
      p: as declared by `graph_sage_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      aggregate: `segment_mean`, `segment_max` or `segment_sum`.

    Returns:
      (..., n, d_out), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), graph_sage_spec(1, 1, bias=False))
    >>> graph_sage(p, jnp.array([[1.0], [3.0]]), Edges(jnp.array([0]), jnp.array([1]))).tolist()
    [[1.0], [4.0]]
    """
    checks.maps("graph_sage", p, "self", "neighbors")
    check_edges("graph_sage", x, edges, weight_shape(p["self"]["w"])[0])
    told = aggregate(gather(x, edges.senders), edges.receivers, x.shape[-2], mask=edges.mask)
    return linear(p["self"], x) + linear(p["neighbors"], told)


def gin_spec(
    d_in: int, d_hidden: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a graph isomorphism layer (`gin`): {"epsilon": (1,), "up": a linear map, "down": another}.

    >>> gin_spec(3, 8, 5)["down"]["w"].shape
    (8, 5)
    """
    return {"epsilon": Param((1,), zeros, ("one",), dtype), **mlp_spec(d_in, d_hidden, d_out, init, dtype)}


def gin(p: Params, x: jax.Array, edges: Edges) -> jax.Array:
    """Graph isomorphism network layer: `mlp((1 + epsilon) x + sum of the neighbours)`, with one hidden ReLU layer.

    See "How Powerful are Graph Neural Networks?", Xu, Hu, Leskovec and Jegelka, 2019.

    Args:
      p: as declared by `gin_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).

    Returns:
      (..., n, d_out), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gin_spec(1, 2, 1))
    >>> gin(p, jnp.array([[0.0], [3.0]]), Edges(jnp.array([0]), jnp.array([1]))).tolist()
    [[3.0], [15.0]]
    """
    checks.maps("gin", p, "up", "down", more=("epsilon",))
    check_edges("gin", x, edges, weight_shape(p["up"]["w"])[0])
    told = segment_sum(wide(gather(x, edges.senders)), edges.receivers, x.shape[-2], mask=edges.mask)
    own = wide(x) * (1 + wide(p["epsilon"]).astype(told.dtype).reshape((1,) * x.ndim))
    return mlp(p, (own + told).astype(x.dtype))


def mlp_spec(d_in: int, d_hidden: int, d_out: int, init: Init, dtype: DTypeLike) -> Spec:
    """Two linear maps, "up" and "down"."""
    one = lambda a, b, *axes: linear_spec(a, b, axes=axes, init=init, dtype=dtype)
    return {"up": one(d_in, d_hidden, "embed", "hidden"), "down": one(d_hidden, d_out, "hidden", "embed")}


def mlp(p: Params, x: jax.Array) -> jax.Array:
    """A hidden ReLU layer between two linear maps."""
    return linear(p["down"], jax.nn.relu(linear(p["up"], x)))
