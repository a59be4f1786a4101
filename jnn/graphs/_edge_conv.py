"""Convolutions whose messages are of an edge: of both its ends, or by weights that its own features make.

    edge_conv(p, x, edges)                             a network of a node and how its neighbour differs
    edge_conditioned_conv(p, x, edges, features)       NNConv: the edge says by which weights

Axes: x is (..., n, d), edges (..., e). Laws: as in `_convolution`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._convolution import mlp, mlp_spec
from jnn.graphs._graph import Edges, check_edges, read_edges
from jnn.graphs._segments import Aggregate, gather, segment_max, segment_sum
from jnn.initializers import Init, glorot_uniform
from jnn.layers import linear, linear_spec, weight_shape
from jnn.param import Params, Spec


def edge_conv_spec(
    d_in: int, d_hidden: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares EdgeConv (`edge_conv`): the two linear maps "up", of 2 d_in features, and "down".

    >>> edge_conv_spec(3, 8, 5)["up"]["w"].shape
    (6, 8)
    """
    return mlp_spec(2 * d_in, d_hidden, d_out, init, dtype)


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
    checks.maps("edge_conv", p, "up", "down")
    check_edges("edge_conv", x, edges, weight_shape(p["up"]["w"])[0] // 2)
    edges, _ = read_edges(edges)
    own, other = gather(x, edges.receivers), gather(x, edges.senders)
    return aggregate(mlp(p, jnp.concatenate([own, other - own], -1)), edges.receivers, x.shape[-2], mask=edges.mask)


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
    checks.maps("edge_conditioned_conv", p, "edge", "kernel", "self")
    check_edges("edge_conditioned_conv", x, edges, weight_shape(p["self"]["w"])[0], features)
    edges, features = read_edges(edges, features)
    kernels = linear(p["kernel"], jax.nn.relu(linear(p["edge"], features)))
    sent = jnp.einsum("...ei,...eio->...eo", gather(x, edges.senders), kernels.astype(x.dtype))
    return linear(p["self"], x) + aggregate(sent, edges.receivers, x.shape[-2], mask=edges.mask)
