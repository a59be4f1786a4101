"""Gated graph convolution: a recurrent cell whose input, step after step, is what the neighbours send."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._graph import Edges, check_edges
from jnn.graphs._segments import gather, segment_sum
from jnn.initializers import Init, glorot_uniform
from jnn.layers import gru_cell, gru_cell_spec, linear, linear_spec, weight_shape
from jnn.param import Params, Spec
from jnn.precision import over_steps


def gated_graph_conv_spec(d: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a gated graph convolution (`gated_graph_conv`): {"messages": {"w": (d, d)}, "cell": a `gru_cell_spec`}.

    >>> gated_graph_conv_spec(3)["messages"]["w"].shape
    (3, 3)
    """
    messages = linear_spec(d, d, bias=False, init=init, dtype=dtype)
    return {"messages": messages, "cell": gru_cell_spec(d, d, init=init, dtype=dtype)}


def gated_graph_conv(p: Params, x: jax.Array, edges: Edges, *, steps: int) -> jax.Array:
    """Gated graph convolution: `h = gru(h, sum of the neighbours' h W)`, so many steps, beginning with h = x.

    See "Gated Graph Sequence Neural Networks", Li, Tarlow, Brockschmidt and Zemel, 2016. Smaller x are filled up with
    zeros by the caller.

    Args:
      p: as declared by `gated_graph_conv_spec`.
      x: (..., n, d), floating point.
      edges: (..., e).
      steps: how often all nodes tell each other.

    Returns:
      (..., n, d), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), gated_graph_conv_spec(3))
    >>> gated_graph_conv(p, jnp.ones((5, 3)), Edges(jnp.array([0]), jnp.array([1])), steps=2).shape
    (5, 3)
    """
    checks.maps("gated_graph_conv", p, "messages", more=("cell",))
    check_edges("gated_graph_conv", x, edges, weight_shape(p["messages"]["w"])[0])
    params = over_steps(p)

    def step(h: jax.Array, _: None) -> tuple[jax.Array, None]:
        now = params()
        sent = gather(linear(now["messages"], h), edges.senders)
        told = segment_sum(sent, edges.receivers, x.shape[-2], mask=edges.mask)
        return gru_cell(now["cell"], h, told)[0], None

    return jax.lax.scan(step, x, None, length=steps)[0]
