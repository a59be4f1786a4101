"""Layers: one concept a file, each a `*_spec` that declares parameters beside a pure function.

What lives here acts on arrays and takes its parameters, noise (`key`), statistics (`stats`) and
memory (`cache`, `carry`) as arguments. What does not: losses, whole architectures, anything that
knows about training.

Axis letters, in einsum strings, comments and docstrings: `b` batch, `t` query time, `s` key time,
`d` embed, `h` heads, `k` head size, `f` hidden, `v` vocabulary; images are `b y x c`.
"""

from jnn.layers.adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from jnn.layers.attend import attend
from jnn.layers.attention import attention, attention_spec
from jnn.layers.attention_cache import attention_cache, cached_attention
from jnn.layers.batch_norm import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.layers.bidirectional import bidirectional, bidirectional_spec
from jnn.layers.conv import conv, conv_spec
from jnn.layers.conv_transpose import conv_transpose, conv_transpose_spec
from jnn.layers.depthwise import depthwise_conv, depthwise_conv_spec, separable_conv, separable_conv_spec
from jnn.layers.dropout import dropout
from jnn.layers.embed import embed, embed_spec, unembed
from jnn.layers.experts import Routing, experts, experts_spec, load_balance, route, router_z
from jnn.layers.group_norm import group_norm, group_norm_spec, instance_norm, instance_norm_spec
from jnn.layers.gru_cell import gru_carry, gru_cell, gru_cell_spec
from jnn.layers.layers_in_turn import layers_in_turn
from jnn.layers.linear import linear, linear_spec
from jnn.layers.lstm_cell import lstm_carry, lstm_cell, lstm_cell_spec
from jnn.layers.masks import length_mask, segment_mask
from jnn.layers.norm import layer_norm, layer_norm_spec, rms_norm, rms_norm_spec
from jnn.layers.pool import avg_pool, global_avg_pool, global_max_pool, max_pool
from jnn.layers.position import learned_positions, learned_positions_spec, rotary, sinusoidal_positions
from jnn.layers.recurrent import rnn
from jnn.layers.rnn_cell import rnn_carry, rnn_cell, rnn_cell_spec
from jnn.layers.stacked import stacked

__all__ = [
    "Routing",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "attend",
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
    "dropout",
    "embed",
    "embed_spec",
    "experts",
    "experts_spec",
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
    "layers_in_turn",
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
    "rms_norm",
    "rms_norm_spec",
    "rnn",
    "rnn_carry",
    "rnn_cell",
    "rnn_cell_spec",
    "rotary",
    "route",
    "router_z",
    "segment_mask",
    "separable_conv",
    "separable_conv_spec",
    "sinusoidal_positions",
    "stacked",
    "unembed",
]
