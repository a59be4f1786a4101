"""Attention over edges: every node weighs its neighbours.

    gat(p, x, edges), gatv2(p, x, edges)                     a learned score of both ends, self-loops included
    graph_transformer(p, x, edges, features)                 queries and keys, over the edges alone

Axes: x is (..., n, d), edges (..., e), `h` heads, `k` head size. Laws: as in `_convolution`.
"""

from __future__ import annotations

from types import EllipsisType

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._graph import Edges, check_edges, read_edges, with_self_loops
from jnn.graphs._segments import gather, segment_softmax, segment_sum
from jnn.initializers import Init, glorot_uniform
from jnn.layers import dropout, linear, linear_spec, weight_shape
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, wide


def gat_spec(
    d_in: int, heads: int, head: int, *, bias: bool = True, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares graph attention (`gat`).

    Args:
      d_in: features of a node.
      heads: how many heads there are.
      head: features of each.
      bias: whether the output has one.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"w": (d_in, heads, head), "sender": (heads, head), "receiver": (heads, head), "b": (heads, head)}

    >>> gat_spec(3, 2, 4)["w"].shape
    (3, 2, 4)
    """
    names = ("heads", "head")
    score = Param((heads, head), init, names, dtype, fan_in=("head",))
    spec = {"sender": score, "receiver": score}
    return {**linear_spec(d_in, (heads, head), axes=("embed", *names), bias=bias, init=init, dtype=dtype), **spec}


def gat(
    p: Params,
    x: jax.Array,
    edges: Edges,
    *,
    slope: float = 0.2,
    rate: float = 0.0,
    key: jax.Array | EllipsisType | None = ...,
) -> jax.Array:
    """Graph attention network layer, GAT: neighbours weighted by the softmax of `leaky_relu(a [W x_i, W x_j])`.

    See "Graph Attention Networks", Velickovic et al., 2018. A node is a neighbour of itself.

    Args:
      p: as declared by `gat_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      slope: of the leaky ReLU.
      rate: of dropout of the weights of neighbours.
      key: noise for it, None for none; to be said where there is a rate.

    Returns:
      (..., n, heads * head), in x's dtype, heads side by side.

    Raises:
      TypeError, ValueError: x, edges and p do not fit; a rate without a key.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gat_spec(3, 2, 4))
    >>> gat(p, jnp.ones((5, 3)), Edges(jnp.array([0]), jnp.array([1]))).shape
    (5, 8)
    """
    checks.params("gat", p, "w", "sender", "receiver", may=("b",))
    key = checks.noise("gat", rate, key)
    check_edges("gat", x, edges, p["w"].shape[0])
    edges = with_self_loops(read_edges(edges)[0], x.shape[-2])
    h = linear({"w": p["w"]}, x)
    of_sender, of_receiver = (jnp.einsum("...hk,hk->...h", wide(h), wide(p[end])) for end in ("sender", "receiver"))
    score = jax.nn.leaky_relu(gather(of_sender, edges.senders) + gather(of_receiver, edges.receivers), slope)
    y = _weighted(score, gather(h, edges.senders), edges, x.shape[-2], rate=rate, key=key)
    return _beside(add_bias(y, p["b"]) if "b" in p else y)


def gatv2_spec(
    d_in: int, heads: int, head: int, *, bias: bool = True, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares dynamic graph attention (`gatv2`).

    Returns:
      {"sender" and "receiver": {"w": (d_in, heads, head), "b": (heads, head)}, "score": (heads, head)}; arguments as
      `gat_spec`.

    >>> gatv2_spec(3, 2, 4)["score"].shape
    (2, 4)
    """
    names = ("heads", "head")
    end = linear_spec(d_in, (heads, head), axes=("embed", *names), bias=bias, init=init, dtype=dtype)
    return {"sender": end, "receiver": end, "score": Param((heads, head), init, names, dtype, fan_in=("head",))}


def gatv2(p: Params, x: jax.Array, edges: Edges, *, slope: float = 0.2) -> jax.Array:
    """Dynamic graph attention, GATv2: neighbours weighted by the softmax of `a leaky_relu(W x_i + U x_j)`.

    See "How Attentive are Graph Attention Networks?", Brody, Alon and Yahav, 2022. A node is a neighbour of itself.

    Args:
      p: as declared by `gatv2_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      slope: of the leaky ReLU.

    Returns:
      (..., n, heads * head), in x's dtype: of what "sender" makes of the neighbours.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gatv2_spec(3, 2, 4))
    >>> gatv2(p, jnp.ones((5, 3)), Edges(jnp.array([0]), jnp.array([1]))).shape
    (5, 8)
    """
    checks.maps("gatv2", p, "sender", "receiver", more=("score",))
    check_edges("gatv2", x, edges, weight_shape(p["sender"]["w"])[0])
    edges = with_self_loops(read_edges(edges)[0], x.shape[-2])
    sent, own = gather(linear(p["sender"], x), edges.senders), gather(linear(p["receiver"], x), edges.receivers)
    score = jnp.einsum("...hk,hk->...h", jax.nn.leaky_relu(wide(sent) + wide(own), slope), wide(p["score"]))
    return _beside(_weighted(score, sent, edges, x.shape[-2]))


def graph_transformer_spec(
    d_in: int,
    heads: int,
    head: int,
    *,
    d_edge: int | None = None,
    init: Init = glorot_uniform,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a graph transformer's attention (`graph_transformer`).

    Args:
      d_in: features of a node.
      heads: how many heads there are.
      head: features of each.
      d_edge: features of an edge; None for none.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"q", "k", "v" and "self": {"w": (d_in, heads, head), "b": (heads, head)}}, and "edge" without bias.

    >>> sorted(graph_transformer_spec(3, 2, 4, d_edge=5))
    ['edge', 'k', 'q', 'self', 'v']
    """
    axes = ("embed", "heads", "head")
    one = lambda d, bias: linear_spec(d, (heads, head), axes=axes, bias=bias, init=init, dtype=dtype)
    maps = {name: one(d_in, True) for name in ("q", "k", "v", "self")}
    return maps if d_edge is None else {**maps, "edge": one(d_edge, False)}


def graph_transformer(p: Params, x: jax.Array, edges: Edges, features: jax.Array | None = None) -> jax.Array:
    """Graph transformer layer: attention of every node to its neighbours, with edges in keys and values, plus itself.

    See "Masked Label Prediction: Unified Message Passing Model for Semi-Supervised Classification", Shi et al., 2021.

    Args:
      p: as declared by `graph_transformer_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      features: (..., e, d_edge), iff p has "edge".

    Returns:
      (..., n, heads * head), in x's dtype: a linear map of the node, and the weighted values of its neighbours.

    Raises:
      TypeError: x or features are not floating point.
      ValueError: x, edges, features and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), graph_transformer_spec(3, 2, 4))
    >>> graph_transformer(p, jnp.ones((5, 3)), Edges(jnp.array([0]), jnp.array([1]))).shape
    (5, 8)
    """
    checks.maps("graph_transformer", p, "q", "k", "v", "self", may=("edge",))
    check_edges("graph_transformer", x, edges, weight_shape(p["q"]["w"])[0], features)
    if (features is None) != ("edge" not in p):
        found = "none" if features is None else checks.describe(features)
        raise ValueError(f"graph_transformer: expected features of edges iff params have 'edge', found {found}.")
    edges, features = read_edges(edges, features)
    q, k, v = (linear(p[name], x) for name in ("q", "k", "v"))
    q, k, v = gather(q, edges.receivers), gather(k, edges.senders), gather(v, edges.senders)
    if features is not None:
        told = linear(p["edge"], features).astype(x.dtype)
        k, v = k + told, v + told
    score = jnp.einsum("...hk,...hk->...h", wide(q), wide(k)) / q.shape[-1] ** 0.5
    return _beside(linear(p["self"], x) + _weighted(score, v, edges, x.shape[-2]))


def _weighted(
    score: jax.Array, sent: jax.Array, edges: Edges, n: int, *, rate: float = 0.0, key: jax.Array | None = None
) -> jax.Array:
    """(..., n, h, k): the means of what is sent (..., e, h, k), weighted by the softmax of scores (..., e, h)."""
    weights = dropout(segment_softmax(score, edges.receivers, n, mask=edges.mask), rate, key=key)
    return segment_sum(wide(sent) * weights[..., None], edges.receivers, n, mask=edges.mask).astype(sent.dtype)


def _beside(y: jax.Array) -> jax.Array:
    """(..., h, k) -> (..., h * k)."""
    return y.reshape(*y.shape[:-2], -1)
