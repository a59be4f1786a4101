"""Classifiers of the nodes of a graph, and of whole graphs, for any graph layer.

    node_classifier(p, x, edges, key=key, layer=gcn)       logits of every node
    graph_classifier(p, graph, key=key)                    logits of every graph: sums of all layers' nodes

Laws: as in `jnn.graphs`: the order of nodes and edges does not matter; what is masked has no part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.graphs import Aggregate, Edges, Graph, gcn, gcn_spec, gin, gin_spec, pool_nodes, segment_sum
from jnn.layers import dropout, linear, linear_spec
from jnn.param import Params, Spec, check_key, path_key

Layer = Callable[[Params, jax.Array, Edges], jax.Array]


def node_classifier_spec(
    d: int,
    hidden: int,
    classes: int,
    *,
    layers: int = 2,
    layer_spec: Callable[..., Spec] = gcn_spec,
    heads: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a classifier of nodes.

    Args:
      d: features of a node.
      hidden: between layers.
      classes: how many logits.
      layers: how many there are.
      layer_spec: `(d_in, d_out, *, dtype) -> spec`: `gcn_spec`, `graph_sage_spec` or a partial; with heads `(d_in,
        heads, head, *, dtype) -> spec`: `gat_spec` or `gatv2_spec`.
      heads: of all layers but the last, which has one; None for layers without heads.
      dtype: of all.

    Returns:
      {"layers": [one spec a layer]}

    Raises:
      ValueError: there is no layer, or hidden is no multiple of heads.

    >>> from jnn.graphs import gat_spec
    >>> spec = node_classifier_spec(1433, 64, 7, layer_spec=gat_spec, heads=8)
    >>> [layer["w"].shape for layer in spec["layers"]]
    [(1433, 8, 8), (64, 1, 7)]
    """
    if layers < 1 or hidden % (heads or 1):
        raise ValueError(
            f"node_classifier_spec: expected one layer or more and a multiple of {heads} heads, found {layers=}, "
            f"{hidden=}."
        )
    sizes = [d, *[hidden] * (layers - 1), classes]
    specs = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes), 1):
        split = [] if heads is None else [1 if i == layers else heads]
        specs.append(layer_spec(a, *split, b // math.prod(split), dtype=dtype))
    return {"layers": specs}


def node_classifier(
    p: Params,
    x: jax.Array,
    edges: Edges,
    *,
    key: jax.Array | None,
    layer: Layer = gcn,
    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu,
    rate: float = 0.5,
) -> jax.Array:
    """Node classifier: graph layers, with dropout before each and an activation between them.

    See "Semi-Supervised Classification with Graph Convolutional Networks", Kipf and Welling, 2017; with attention and
    `jax.nn.elu`: "Graph Attention Networks", Velickovic et al., 2018, whose weights of edges are not dropped here.

    Args:
      p: as declared by `node_classifier_spec`.
      x: (..., n, d), floating point.
      edges: (..., e); an undirected edge is two.
      key: for dropout, or None for no noise.
      layer: the function that belongs to the spec's `layer_spec`: `gcn`, `gat`, `gatv2`, `graph_sage` or a partial.
      activation: between layers.
      rate: the probability of dropping a feature.

    Returns:
      (..., n, classes) logits, in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> from jnn.param import abstract
    >>> p, edges = abstract(node_classifier_spec(3, 4, 2)), Edges(jnp.array([0]), jnp.array([1]))
    >>> jax.eval_shape(lambda p: node_classifier(p, jnp.ones((5, 3)), edges, key=None), p).shape
    (5, 2)
    """
    checks.floats("node_classifier", x, ndim=2)
    check_key("node_classifier", key, optional=True)
    for i, one in enumerate(p["layers"]):
        x = dropout(activation(x) if i else x, rate, key=None if key is None else path_key(key, f"layers/{i}"))
        x = layer(gather(one, f"layers/{i}"), x, edges)
    return x


def graph_classifier_spec(
    d: int, hidden: int, classes: int, *, layers: int = 5, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a classifier of graphs.

    Args:
      d: features of a node.
      hidden: of every layer.
      classes: how many logits.
      layers: how many `gin` layers there are.
      dtype: of all.

    Returns:
      {"layers": [as `gin_spec`], "out": a linear map of d + layers * hidden features}

    >>> graph_classifier_spec(3, 8, 2, layers=4)["out"]["w"].shape
    (35, 2)
    """
    sizes = [d, *[hidden] * layers]
    return {
        "layers": [gin_spec(a, b, b, dtype=dtype) for a, b in itertools.pairwise(sizes)],
        "out": linear_spec(sum(sizes), classes, axes=("embed", "classes"), dtype=dtype),
    }


def graph_classifier(
    p: Params,
    graph: Graph,
    *,
    key: jax.Array | None,
    aggregate: Aggregate = segment_sum,
    rate: float = 0.5,
) -> jax.Array:
    """Graph classifier: graph isomorphism layers, and logits of the pooled nodes before and behind each of them.

    See "How Powerful are Graph Neural Networks?", Xu, Hu, Leskovec and Jegelka, 2019; without batch norm.

    Args:
      p: as declared by `graph_classifier_spec`.
      graph: one or more, as `batch_graphs` puts them side by side.
      key: for dropout before the logits, or None for no noise.
      aggregate: how nodes are pooled: `segment_sum`, `segment_mean` or `segment_max`.
      rate: the probability of dropping a feature.

    Returns:
      (..., g, classes) logits, in the nodes' dtype; those of graphs that are not there are of zeros.

    Raises:
      TypeError, ValueError: graph and p do not fit.

    >>> import numpy as np
    >>> from jnn.graphs import graph
    >>> from jnn.param import abstract
    >>> one = graph(np.ones((3, 2), np.float32), np.array([0, 1]), np.array([1, 2]))
    >>> p = abstract(graph_classifier_spec(2, 4, 5, layers=2))
    >>> jax.eval_shape(lambda p: graph_classifier(p, one, key=None), p).shape
    (1, 5)
    """
    checks.params("graph_classifier", p, "out")
    check_key("graph_classifier", key, optional=True)
    checks.floats("graph_classifier", graph.nodes, ndim=2)
    x = jnp.asarray(graph.nodes)
    pooled = [pool_nodes(x, graph, aggregate=aggregate)]
    for i, one in enumerate(p["layers"]):
        x = jax.nn.relu(gin(gather(one, f"layers/{i}"), x, graph.edges))
        pooled.append(pool_nodes(x, graph, aggregate=aggregate))
    h = dropout(jnp.concatenate(pooled, -1), rate, key=None if key is None else path_key(key, "out"))
    return linear(gather(p["out"], "out"), h)
