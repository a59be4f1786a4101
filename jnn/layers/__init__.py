"""Layers: one concept a file, each a `*_spec` that declares parameters beside a pure function.

What lives here acts on arrays and takes its parameters, noise (`key`), statistics (`stats`) and
memory (`cache`, `carry`) as arguments. What does not: losses, whole architectures, anything that
knows about training.

Axis letters, in einsum strings, comments and docstrings: `b` batch, `t` query time, `s` key time,
`d` embed, `h` heads, `k` head size, `f` hidden, `v` vocabulary; images are `b y x c`.
"""

from jnn.layers.adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from jnn.layers.batch_norm import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.layers.conv import conv, conv_spec
from jnn.layers.conv_transpose import conv_transpose, conv_transpose_spec
from jnn.layers.depthwise import depthwise_conv, depthwise_conv_spec, separable_conv, separable_conv_spec
from jnn.layers.dropout import dropout
from jnn.layers.linear import linear, linear_spec
from jnn.layers.norm import (
    group_norm,
    group_norm_spec,
    instance_norm,
    instance_norm_spec,
    layer_norm,
    layer_norm_spec,
    rms_norm,
    rms_norm_spec,
)
from jnn.layers.pool import avg_pool, global_avg_pool, global_max_pool, max_pool

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "batch_norm",
    "batch_norm_spec",
    "batch_norm_stats_spec",
    "conv",
    "conv_spec",
    "conv_transpose",
    "conv_transpose_spec",
    "depthwise_conv",
    "depthwise_conv_spec",
    "dropout",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "group_norm_spec",
    "instance_norm",
    "instance_norm_spec",
    "layer_norm",
    "layer_norm_spec",
    "linear",
    "linear_spec",
    "max_pool",
    "rms_norm",
    "rms_norm_spec",
    "separable_conv",
    "separable_conv_spec",
]
