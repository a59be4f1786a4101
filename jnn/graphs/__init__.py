"""Graphs: message passing over lists of edges, pooling, each a `*_spec` that declares beside a pure function; walks.

What lives here acts on arrays of fixed sizes: `Edges` and `Graph` are plain tuples, filled up on the host and masked
(`batch_graphs`). What does not: layers that know no edges (`jnn.layers`), data sets of graphs.
"""

from jnn.graphs._attention import gat, gat_spec, gatv2, gatv2_spec, graph_transformer, graph_transformer_spec
from jnn.graphs._batch import batch_graphs, dynamically_batch_graphs, unbatch_graphs, unpad_graphs
from jnn.graphs._convolution import gcn, gcn_spec, gin, gin_spec, graph_sage, graph_sage_spec
from jnn.graphs._edge_conv import edge_conditioned_conv, edge_conditioned_conv_spec, edge_conv, edge_conv_spec
from jnn.graphs._gated import gated_graph_conv, gated_graph_conv_spec
from jnn.graphs._graph import Edges, Graph, graph, with_self_loops
from jnn.graphs._graph_network import Update, graph_network
from jnn.graphs._pool import (
    attention_pool,
    attention_pool_spec,
    pool_nodes,
    set2set,
    set2set_spec,
    top_k_pool,
    top_k_pool_spec,
)
from jnn.graphs._principal import principal_aggregation, principal_aggregation_spec
from jnn.graphs._sampling import Neighbors, has_edge, neighbors, random_walks, sample_edges
from jnn.graphs._segments import (
    Aggregate,
    gather,
    segment_count,
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
)

__all__ = [
    "Aggregate",
    "Edges",
    "Graph",
    "Neighbors",
    "Update",
    "attention_pool",
    "attention_pool_spec",
    "batch_graphs",
    "dynamically_batch_graphs",
    "edge_conditioned_conv",
    "edge_conditioned_conv_spec",
    "edge_conv",
    "edge_conv_spec",
    "gat",
    "gat_spec",
    "gated_graph_conv",
    "gated_graph_conv_spec",
    "gather",
    "gatv2",
    "gatv2_spec",
    "gcn",
    "gcn_spec",
    "gin",
    "gin_spec",
    "graph",
    "graph_network",
    "graph_sage",
    "graph_sage_spec",
    "graph_transformer",
    "graph_transformer_spec",
    "has_edge",
    "neighbors",
    "pool_nodes",
    "principal_aggregation",
    "principal_aggregation_spec",
    "random_walks",
    "sample_edges",
    "segment_count",
    "segment_max",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "set2set",
    "set2set_spec",
    "top_k_pool",
    "top_k_pool_spec",
    "unbatch_graphs",
    "unpad_graphs",
    "with_self_loops",
]
