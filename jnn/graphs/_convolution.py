"""Graph convolutions: every node takes in what its neighbours send.

    gcn(p, x, edges), graph_sage(p, x, edges), gin(p, x, edges), edge_conv(p, x, edges)
    edge_conditioned_conv(p, x, edges, features)            NNConv: the edge says by which weights
    principal_aggregation(p, x, edges, delta=2.0)           PNA: many aggregations, scaled by degree

Axes: x is (..., n, d), edges (..., e). Laws: other numbers for the nodes, the same function; other orders of the edges
change nothing, nor do edges of mask False, or nodes without edges; graphs side by side are each as if alone.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._graph import Edges, check_edges, with_self_loops
from jnn.graphs._segments import Aggregate, gather, segment_count, segment_max, segment_mean, segment_sum
from jnn.initializers import Initializer, VarianceScaling, glorot_uniform, zeros
from jnn.layers import linear, linear_spec
from jnn.param import Param, Params, Spec
from jnn.precision import add_bias, wide

Init = Initializer | VarianceScaling


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
    n = x.shape[-2]
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
    checks.params("graph_sage", p, "self", "neighbors")
    check_edges("graph_sage", x, edges, p["self"]["w"].shape[0])
    told = aggregate(gather(x, edges.senders), edges.receivers, x.shape[-2], mask=edges.mask)
    return linear(p["self"], x) + linear(p["neighbors"], told)


def gin_spec(
    d_in: int, d_hidden: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a graph isomorphism layer (`gin`): {"epsilon": (1,), "up": a linear map, "down": another}.

    >>> gin_spec(3, 8, 5)["down"]["w"].shape
    (8, 5)
    """
    return {"epsilon": Param((1,), zeros, ("one",), dtype), **_mlp_spec(d_in, d_hidden, d_out, init, dtype)}


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
    checks.params("gin", p, "epsilon", "up", "down")
    check_edges("gin", x, edges, p["up"]["w"].shape[0])
    told = segment_sum(wide(gather(x, edges.senders)), edges.receivers, x.shape[-2], mask=edges.mask)
    own = wide(x) * (1 + wide(p["epsilon"]).astype(told.dtype).reshape((1,) * x.ndim))
    return _mlp(p, (own + told).astype(x.dtype))


def edge_conv_spec(
    d_in: int, d_hidden: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares EdgeConv (`edge_conv`): the two linear maps "up", of 2 d_in features, and "down".

    >>> edge_conv_spec(3, 8, 5)["up"]["w"].shape
    (6, 8)
    """
    return _mlp_spec(2 * d_in, d_hidden, d_out, init, dtype)


def edge_conv(p: Params, x: jax.Array, edges: Edges, *, aggregate: Aggregate = segment_max) -> jax.Array:
    """EdgeConv: the maximum over neighbours j of `mlp([x_i, x_j - x_i])`, with one hidden ReLU layer.

    See "Dynamic Graph CNN for Learning on Point Clouds", Wang et al., 2019.

    Args:
      p: as declared by `edge_conv_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      aggregate: `segment_max`, `segment_mean` or `segment_sum`.

    Returns:
      (..., n, d_out), in x's dtype; zeros for a node that nobody tells.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), edge_conv_spec(1, 1, 1))
    >>> edge_conv(p, jnp.array([[1.0], [3.0]]), Edges(jnp.array([0]), jnp.array([1]))).tolist()
    [[0.0], [3.0]]
    """
    checks.params("edge_conv", p, "up", "down")
    check_edges("edge_conv", x, edges, p["up"]["w"].shape[0] // 2)
    own, other = gather(x, edges.receivers), gather(x, edges.senders)
    return aggregate(_mlp(p, jnp.concatenate([own, other - own], -1)), edges.receivers, x.shape[-2], mask=edges.mask)


def edge_conditioned_conv_spec(
    d_in: int, d_edge: int, d_hidden: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares an edge-conditioned convolution (`edge_conditioned_conv`), or NNConv.

    Returns:
      {"edge": {"w": (d_edge, d_hidden), "b"}, "kernel": {"w": (d_hidden, d_in, d_out), "b"}, "self": {"w": (d_in,
      d_out), "b"}}

    >>> edge_conditioned_conv_spec(3, 2, 8, 5)["kernel"]["w"].shape
    (8, 3, 5)
    """
    one = lambda a, b, *axes: linear_spec(a, b, axes=axes, init=init, dtype=dtype)
    return {
        "edge": one(d_edge, d_hidden, "embed", "hidden"),
        "kernel": one(d_hidden, (d_in, d_out), "hidden", "embed", "out"),
        "self": one(d_in, d_out, "embed", "hidden"),
    }


def edge_conditioned_conv(
    p: Params, x: jax.Array, edges: Edges, features: jax.Array, *, aggregate: Aggregate = segment_sum
) -> jax.Array:
    """Edge-conditioned convolution, or NNConv: neighbours go through weights that a small network makes of the edge.

    See "Neural Message Passing for Quantum Chemistry", Gilmer et al., 2017, and "Dynamic Edge-Conditioned Filters in
    Convolutional Neural Networks on Graphs", Simonovsky and Komodakis, 2017.

    Args:
      p: as declared by `edge_conditioned_conv_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      features: (..., e, d_edge), floating point.
      aggregate: `segment_sum`, `segment_mean` or `segment_max`.

    Returns:
      (..., n, d_out), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges, features and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), edge_conditioned_conv_spec(3, 2, 8, 5))
    >>> edges = Edges(jnp.array([0]), jnp.array([1]))
    >>> edge_conditioned_conv(p, jnp.ones((4, 3)), edges, jnp.ones((1, 2))).shape
    (4, 5)
    """
    checks.params("edge_conditioned_conv", p, "edge", "kernel", "self")
    check_edges("edge_conditioned_conv", x, edges, p["self"]["w"].shape[0], features)
    kernels = linear(p["kernel"], jax.nn.relu(linear(p["edge"], features)))
    sent = jnp.einsum("...ei,...eio->...eo", gather(x, edges.senders), kernels.astype(x.dtype))
    return linear(p["self"], x) + aggregate(sent, edges.receivers, x.shape[-2], mask=edges.mask)


def principal_aggregation_spec(
    d_in: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares principal neighbourhood aggregation (`principal_aggregation`): a linear map of 13 d_in features.

    >>> principal_aggregation_spec(3, 5)["w"].shape
    (39, 5)
    """
    return linear_spec(13 * d_in, d_out, init=init, dtype=dtype)


def principal_aggregation(p: Params, x: jax.Array, edges: Edges, *, delta: float, epsilon: float = 1e-5) -> jax.Array:
    """Principal neighbourhood aggregation, PNA: mean, maximum, minimum and deviation, each scaled by degree.

    See "Principal Neighbourhood Aggregation for Graph Nets", Corso et al., 2020, with neighbours as messages: all four
    as they are, times `log(degree + 1) / delta`, and times its inverse.

    Args:
      p: as declared by `principal_aggregation_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      delta: the mean of `log(degree + 1)` over the nodes of the training set.
      epsilon: added to the variance.

    Returns:
      (..., n, d_out), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), principal_aggregation_spec(3, 5))
    >>> principal_aggregation(p, jnp.ones((4, 3)), Edges(jnp.array([0]), jnp.array([1])), delta=1.0).shape
    (4, 5)
    """
    checks.params("principal_aggregation", p, "w", may=("b",))
    check_edges("principal_aggregation", x, edges, p["w"].shape[0] // 13)
    n, receivers, mask = x.shape[-2], edges.receivers, edges.mask
    sent = wide(gather(x, edges.senders))
    mean = segment_mean(sent, receivers, n, mask=mask)
    spread = segment_mean(jnp.square(sent - gather(mean, receivers)), receivers, n, mask=mask)
    low = -segment_max(-sent, receivers, n, mask=mask)
    found = [mean, segment_max(sent, receivers, n, mask=mask), low, jnp.sqrt(spread + epsilon)]
    amount = jnp.log1p(segment_count(receivers, n, mask=mask).astype(sent.dtype))[..., None] / delta
    whole = jnp.concatenate(found, -1)
    scaled = [whole, whole * amount, whole / jnp.where(amount > 0, amount, 1)]
    return linear(p, jnp.concatenate([wide(x), *scaled], -1).astype(x.dtype))


def _mlp_spec(d_in: int, d_hidden: int, d_out: int, init: Init, dtype: DTypeLike) -> Spec:
    one = lambda a, b, *axes: linear_spec(a, b, axes=axes, init=init, dtype=dtype)
    return {"up": one(d_in, d_hidden, "embed", "hidden"), "down": one(d_hidden, d_out, "hidden", "embed")}


def _mlp(p: Params, x: jax.Array) -> jax.Array:
    return linear(p["down"], jax.nn.relu(linear(p["up"], x)))
