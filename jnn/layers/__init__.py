"""Layers: one concept a file, each a `*_spec` that declares parameters beside a pure function.

What lives here acts on arrays and takes its parameters, noise (`key`), statistics (`stats`) and
memory (`cache`, `carry`) as arguments. What does not: losses, whole architectures, anything that
knows about training.

Axis letters, in einsum strings, comments and docstrings: `b` batch, `t` query time, `s` key time,
`d` embed, `h` heads, `k` head size, `f` hidden, `v` vocabulary; images are `b y x c`.
"""

from jnn.layers._adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from jnn.layers._attention import Rotate, attention, attention_spec, pairs
from jnn.layers._attention_cache import Cache, attention_cache, cached_attention
from jnn.layers._batch_norm import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.layers._bidirectional import bidirectional, bidirectional_spec
from jnn.layers._conv import conv, conv_spec
from jnn.layers._conv_transpose import conv_transpose, conv_transpose_spec
from jnn.layers._depthwise import depthwise_conv, depthwise_conv_spec, separable_conv, separable_conv_spec
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._dropout import dropout
from jnn.layers._embed import embed, embed_spec, unembed
from jnn.layers._group_norm import group_norm, group_norm_spec, instance_norm, instance_norm_spec
from jnn.layers._gru_cell import gru_carry, gru_cell, gru_cell_spec
from jnn.layers._linear import linear, linear_spec
from jnn.layers._lstm_cell import lstm_carry, lstm_cell, lstm_cell_spec
from jnn.layers._masks import length_mask, segment_mask, visible
from jnn.layers._mixture_of_experts import (
    Activation,
    Routing,
    expert_mlps,
    load_balance,
    mixture_of_experts,
    mixture_of_experts_spec,
    route,
    router_z,
    weigh_experts,
)
from jnn.layers._norm import layer_norm, layer_norm_spec, rms_norm, rms_norm_spec
from jnn.layers._pool import avg_pool, global_avg_pool, global_max_pool, max_pool
from jnn.layers._position import learned_positions, learned_positions_spec, rotary, sinusoidal_positions
from jnn.layers._rnn import Carry, Cell, rnn
from jnn.layers._rnn_cell import rnn_carry, rnn_cell, rnn_cell_spec
from jnn.layers._scan_layers import scan_layers
from jnn.layers._stacked_rnn import stacked_rnn

__all__ = [
    "Activation",
    "Cache",
    "Carry",
    "Cell",
    "Rotate",
    "Routing",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "attention",
    "attention_cache",
    "attention_spec",
    "avg_pool",
    "batch_norm",
    "batch_norm_spec",
    "batch_norm_stats_spec",
    "bidirectional",
    "bidirectional_spec",
    "cached_attention",
    "conv",
    "conv_spec",
    "conv_transpose",
    "conv_transpose_spec",
    "depthwise_conv",
    "depthwise_conv_spec",
    "dot_product_attention",
    "dropout",
    "embed",
    "embed_spec",
    "expert_mlps",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "group_norm_spec",
    "gru_carry",
    "gru_cell",
    "gru_cell_spec",
    "instance_norm",
    "instance_norm_spec",
    "layer_norm",
    "layer_norm_spec",
    "learned_positions",
    "learned_positions_spec",
    "length_mask",
    "linear",
    "linear_spec",
    "load_balance",
    "lstm_carry",
    "lstm_cell",
    "lstm_cell_spec",
    "max_pool",
    "mixture_of_experts",
    "mixture_of_experts_spec",
    "pairs",
    "rms_norm",
    "rms_norm_spec",
    "rnn",
    "rnn_carry",
    "rnn_cell",
    "rnn_cell_spec",
    "rotary",
    "route",
    "router_z",
    "scan_layers",
    "segment_mask",
    "separable_conv",
    "separable_conv_spec",
    "sinusoidal_positions",
    "stacked_rnn",
    "unembed",
    "visible",
    "weigh_experts",
]
