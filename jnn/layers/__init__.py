"""Layers: one concept a file, each a `*_spec` that declares parameters beside a pure function.

What lives here acts on arrays and takes its parameters, noise (`key`), statistics (`stats`) and
memory (`cache`, `carry`) as arguments. What does not: losses, whole architectures, anything that
knows about training.

Axis letters, in einsum strings, comments and docstrings: `b` batch, `t` query time, `s` key time,
`d` embed, `h` heads, `k` head size, `f` hidden, `v` vocabulary; images are `b y x c`.
"""

from jnn.layers._ada_instance_norm import ada_instance_norm
from jnn.layers._adapter import adapter, adapter_spec
from jnn.layers._adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from jnn.layers._adaptive_softmax import adaptive_log_softmax, adaptive_log_softmax_spec
from jnn.layers._atrous_pyramid import atrous_pyramid, atrous_pyramid_spec
from jnn.layers._attention import Attend, QkNorm, Rotate, attention, attention_spec, pairs
from jnn.layers._attention_cache import Cache, attention_cache, cached_attention
from jnn.layers._attention_decoder import attention_decoder, greedy_decode
from jnn.layers._attention_step import bahdanau_spec, bahdanau_step, luong_spec, luong_step
from jnn.layers._batch_norm import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.layers._batch_renorm import batch_renorm, batch_renorm_spec
from jnn.layers._bidirectional import bidirectional, bidirectional_spec
from jnn.layers._bilinear import bilinear, bilinear_spec
from jnn.layers._block_patterns import (
    bigbird_blocks,
    fixed_blocks,
    global_blocks,
    random_blocks,
    sliding_window_blocks,
    strided_blocks,
)
from jnn.layers._block_sparse_attention import block_sparse_attention
from jnn.layers._blur_pool import blur_pool
from jnn.layers._capsules import capsules, capsules_spec, squash
from jnn.layers._causal_conv import long_conv, short_conv
from jnn.layers._cell_weights import cell_from_keras, cell_from_torch, layers_from_torch
from jnn.layers._channel_attention import (
    cbam,
    cbam_spec,
    efficient_channel_attention,
    efficient_channel_attention_spec,
    squeeze_excitation,
    squeeze_excitation_spec,
)
from jnn.layers._chunked_attention import chunked_attention
from jnn.layers._conditional_norm import (
    ada_layer_norm,
    ada_layer_norm_spec,
    ada_layer_norm_zero,
    ada_layer_norm_zero_spec,
    film,
    film_spec,
)
from jnn.layers._conv import conv, conv_spec
from jnn.layers._conv_lstm_cell import conv_lstm_carry, conv_lstm_cell, conv_lstm_cell_spec
from jnn.layers._conv_transpose import conv_transpose, conv_transpose_spec
from jnn.layers._convnext_block import convnext_block, convnext_block_spec
from jnn.layers._cross_attention import cross_attention, cross_cache
from jnn.layers._deep_sets import deep_sets, deep_sets_spec
from jnn.layers._deformable_conv import deformable_conv, deformable_conv_spec
from jnn.layers._depthwise import depthwise_conv, depthwise_conv_spec, separable_conv, separable_conv_spec
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._drop_block import drop_block
from jnn.layers._drop_path import drop_connect, drop_path, drop_path_rates, spatial_dropout, token_dropout
from jnn.layers._dropout import dropout
from jnn.layers._embed import embed, embed_spec, unembed
from jnn.layers._embedding_bag import embedding_bag, embedding_bag_spec
from jnn.layers._expert_choice import expert_choice, within_capacity
from jnn.layers._expert_routing import Routing, load_balance, route, router_z
from jnn.layers._factored_weight import factor_weight
from jnn.layers._fake_quantize import fake_quantize
from jnn.layers._feature_pyramid import feature_pyramid, feature_pyramid_spec, spatial_pyramid_pool
from jnn.layers._feed_forward import feed_forward, feed_forward_spec
from jnn.layers._filter_response_norm import filter_response_norm, filter_response_norm_spec
from jnn.layers._finite_scalar_quantize import finite_scalar_quantize
from jnn.layers._flow import (
    affine_coupling,
    affine_coupling_spec,
    autoregressive_flow,
    autoregressive_flow_spec,
    inverse_affine_coupling,
    inverse_autoregressive_flow,
)
from jnn.layers._fourier import fourier_features, fourier_features_spec, nerf_encoding, siren, siren_spec
from jnn.layers._fp8_linear import fp8_linear
from jnn.layers._gated_delta_net import gated_delta_net, gated_delta_net_spec
from jnn.layers._gaussian_noise import alpha_dropout, gaussian_dropout, gaussian_noise
from jnn.layers._gradient_reversal import gradient_reversal
from jnn.layers._grid_sample import affine_grid, grid_sample
from jnn.layers._group_norm import group_norm, group_norm_spec, instance_norm, instance_norm_spec
from jnn.layers._gru_cell import gru_carry, gru_cell, gru_cell_spec
from jnn.layers._highway import highway, highway_spec
from jnn.layers._hopfield import hopfield, hopfield_energy, hopfield_retrieve, hopfield_spec
from jnn.layers._hyper_linear import hyper_linear, hyper_linear_spec, hyper_weights
from jnn.layers._kan import b_spline_basis, kan, kan_spec
from jnn.layers._latent_attention import latent_attention, latent_attention_spec
from jnn.layers._latent_cache import cached_latent_attention, latent_cache
from jnn.layers._leaky_integrator import leaky_integrator
from jnn.layers._lif_cell import lif_cell, lif_cell_spec, spike
from jnn.layers._light_cells import minimal_gated_cell, minimal_gated_cell_spec, sru_cell, sru_cell_spec
from jnn.layers._linear import linear, linear_spec, merge_weight
from jnn.layers._linear_attention import kernel_attention, linear_attention, recurrent_kernel_attention
from jnn.layers._local_response_norm import local_response_norm
from jnn.layers._locally_connected import locally_connected, locally_connected_spec
from jnn.layers._lp_pool import fractional_max_pool, lp_pool
from jnn.layers._lstm_cell import lstm_carry, lstm_cell, lstm_cell_spec
from jnn.layers._mamba2 import mamba2, mamba2_spec
from jnn.layers._masks import length_mask, segment_mask, visible
from jnn.layers._mixture_of_experts import (
    Activation,
    expert_mlps,
    mixture_of_experts,
    mixture_of_experts_spec,
    routed_experts,
    weigh_experts,
)
from jnn.layers._mogrifier_lstm_cell import mogrifier_lstm_cell, mogrifier_lstm_cell_spec
from jnn.layers._neural_ode import neural_ode
from jnn.layers._norm import layer_norm, layer_norm_spec, rms_norm, rms_norm_spec
from jnn.layers._one_hot import hash_buckets, one_hot
from jnn.layers._paged_attention import paged_attention, paged_cache
from jnn.layers._peephole_lstm_cell import peephole_lstm_cell, peephole_lstm_cell_spec
from jnn.layers._pool import avg_pool, global_avg_pool, global_max_pool, max_pool
from jnn.layers._position import learned_positions, learned_positions_spec, rotary, sinusoidal_positions
from jnn.layers._position_bias import alibi, alibi_slopes, relative_bias, relative_bias_spec, relative_buckets
from jnn.layers._prefix import prefix_spec
from jnn.layers._projected_lstm_cell import projected_lstm_cell, projected_lstm_cell_spec
from jnn.layers._qrnn import qrnn, qrnn_spec
from jnn.layers._quantized_weight import (
    block_sizes,
    dequantize_weight,
    integer_weight,
    quantize_weight,
    reduce_blocks,
    weight_scales,
    weight_shape,
)
from jnn.layers._quantum_circuit import (
    data_reuploading,
    data_reuploading_spec,
    entangling_layers,
    quantum_circuit,
    quantum_circuit_spec,
)
from jnn.layers._quantum_state import amplitude_embedding, angle_embedding, z_expectations
from jnn.layers._recurrent_lif_cell import recurrent_lif_cell, recurrent_lif_cell_spec
from jnn.layers._relative_attention import relative_attention, relative_attention_spec
from jnn.layers._resize import resize, upsample
from jnn.layers._rnn import Carry, Cell, rnn
from jnn.layers._rnn_cell import rnn_carry, rnn_cell, rnn_cell_spec
from jnn.layers._rotary_rates import llama3_rates, rotary_rates, yarn_rates, yarn_scale
from jnn.layers._s4d import s4d, s4d_spec
from jnn.layers._scan_layers import scan_layers
from jnn.layers._score_attention import (
    additive_attention,
    additive_attention_spec,
    multiplicative_attention,
    multiplicative_attention_spec,
)
from jnn.layers._scores import Bias
from jnn.layers._set_transformer import (
    induced_set_attention_block,
    induced_set_attention_block_spec,
    multihead_attention_block,
    multihead_attention_block_spec,
    pooling_by_attention,
    pooling_by_attention_spec,
    set_attention_block,
    set_attention_block_spec,
)
from jnn.layers._shuffle import channel_shuffle, depth_to_space, pixel_shuffle, pixel_unshuffle, space_to_depth
from jnn.layers._spectral_norm import spectral_norm
from jnn.layers._stacked_rnn import residual_rnn, stacked_rnn
from jnn.layers._unfold import fold, unfold
from jnn.layers._unit_norm import unit_norm
from jnn.layers._unpool import max_pool_with_indices, max_unpool
from jnn.layers._vector_quantize import (
    Codebook,
    Quantized,
    codebook_stats,
    gumbel_vector_quantize,
    gumbel_vector_quantize_spec,
    update_codebook,
    vector_quantize,
    vector_quantize_spec,
)
from jnn.layers._weight_norm import weight_norm, weight_norm_spec, weight_standardization
from jnn.layers._wkv import wkv

__all__ = [
    "Activation",
    "Attend",
    "Bias",
    "Cache",
    "Carry",
    "Cell",
    "Codebook",
    "QkNorm",
    "Quantized",
    "Rotate",
    "Routing",
    "ada_instance_norm",
    "ada_layer_norm",
    "ada_layer_norm_spec",
    "ada_layer_norm_zero",
    "ada_layer_norm_zero_spec",
    "adapter",
    "adapter_spec",
    "adaptive_avg_pool",
    "adaptive_log_softmax",
    "adaptive_log_softmax_spec",
    "adaptive_max_pool",
    "additive_attention",
    "additive_attention_spec",
    "affine_coupling",
    "affine_coupling_spec",
    "affine_grid",
    "alibi",
    "alibi_slopes",
    "alpha_dropout",
    "amplitude_embedding",
    "angle_embedding",
    "atrous_pyramid",
    "atrous_pyramid_spec",
    "attention",
    "attention_cache",
    "attention_decoder",
    "attention_spec",
    "autoregressive_flow",
    "autoregressive_flow_spec",
    "avg_pool",
    "b_spline_basis",
    "bahdanau_spec",
    "bahdanau_step",
    "batch_norm",
    "batch_norm_spec",
    "batch_norm_stats_spec",
    "batch_renorm",
    "batch_renorm_spec",
    "bidirectional",
    "bidirectional_spec",
    "bigbird_blocks",
    "bilinear",
    "bilinear_spec",
    "block_sizes",
    "block_sparse_attention",
    "blur_pool",
    "cached_attention",
    "cached_latent_attention",
    "capsules",
    "capsules_spec",
    "cbam",
    "cbam_spec",
    "cell_from_keras",
    "cell_from_torch",
    "channel_shuffle",
    "chunked_attention",
    "codebook_stats",
    "conv",
    "conv_lstm_carry",
    "conv_lstm_cell",
    "conv_lstm_cell_spec",
    "conv_spec",
    "conv_transpose",
    "conv_transpose_spec",
    "convnext_block",
    "convnext_block_spec",
    "cross_attention",
    "cross_cache",
    "data_reuploading",
    "data_reuploading_spec",
    "deep_sets",
    "deep_sets_spec",
    "deformable_conv",
    "deformable_conv_spec",
    "depth_to_space",
    "depthwise_conv",
    "depthwise_conv_spec",
    "dequantize_weight",
    "dot_product_attention",
    "drop_block",
    "drop_connect",
    "drop_path",
    "drop_path_rates",
    "dropout",
    "efficient_channel_attention",
    "efficient_channel_attention_spec",
    "embed",
    "embed_spec",
    "embedding_bag",
    "embedding_bag_spec",
    "entangling_layers",
    "expert_choice",
    "expert_mlps",
    "factor_weight",
    "fake_quantize",
    "feature_pyramid",
    "feature_pyramid_spec",
    "feed_forward",
    "feed_forward_spec",
    "film",
    "film_spec",
    "filter_response_norm",
    "filter_response_norm_spec",
    "finite_scalar_quantize",
    "fixed_blocks",
    "fold",
    "fourier_features",
    "fourier_features_spec",
    "fp8_linear",
    "fractional_max_pool",
    "gated_delta_net",
    "gated_delta_net_spec",
    "gaussian_dropout",
    "gaussian_noise",
    "global_avg_pool",
    "global_blocks",
    "global_max_pool",
    "gradient_reversal",
    "greedy_decode",
    "grid_sample",
    "group_norm",
    "group_norm_spec",
    "gru_carry",
    "gru_cell",
    "gru_cell_spec",
    "gumbel_vector_quantize",
    "gumbel_vector_quantize_spec",
    "hash_buckets",
    "highway",
    "highway_spec",
    "hopfield",
    "hopfield_energy",
    "hopfield_retrieve",
    "hopfield_spec",
    "hyper_linear",
    "hyper_linear_spec",
    "hyper_weights",
    "induced_set_attention_block",
    "induced_set_attention_block_spec",
    "instance_norm",
    "instance_norm_spec",
    "integer_weight",
    "inverse_affine_coupling",
    "inverse_autoregressive_flow",
    "kan",
    "kan_spec",
    "kernel_attention",
    "latent_attention",
    "latent_attention_spec",
    "latent_cache",
    "layer_norm",
    "layer_norm_spec",
    "layers_from_torch",
    "leaky_integrator",
    "learned_positions",
    "learned_positions_spec",
    "length_mask",
    "lif_cell",
    "lif_cell_spec",
    "linear",
    "linear_attention",
    "linear_spec",
    "llama3_rates",
    "load_balance",
    "local_response_norm",
    "locally_connected",
    "locally_connected_spec",
    "long_conv",
    "lp_pool",
    "lstm_carry",
    "lstm_cell",
    "lstm_cell_spec",
    "luong_spec",
    "luong_step",
    "mamba2",
    "mamba2_spec",
    "max_pool",
    "max_pool_with_indices",
    "max_unpool",
    "merge_weight",
    "minimal_gated_cell",
    "minimal_gated_cell_spec",
    "mixture_of_experts",
    "mixture_of_experts_spec",
    "mogrifier_lstm_cell",
    "mogrifier_lstm_cell_spec",
    "multihead_attention_block",
    "multihead_attention_block_spec",
    "multiplicative_attention",
    "multiplicative_attention_spec",
    "nerf_encoding",
    "neural_ode",
    "one_hot",
    "paged_attention",
    "paged_cache",
    "pairs",
    "peephole_lstm_cell",
    "peephole_lstm_cell_spec",
    "pixel_shuffle",
    "pixel_unshuffle",
    "pooling_by_attention",
    "pooling_by_attention_spec",
    "prefix_spec",
    "projected_lstm_cell",
    "projected_lstm_cell_spec",
    "qrnn",
    "qrnn_spec",
    "quantize_weight",
    "quantum_circuit",
    "quantum_circuit_spec",
    "random_blocks",
    "recurrent_kernel_attention",
    "recurrent_lif_cell",
    "recurrent_lif_cell_spec",
    "reduce_blocks",
    "relative_attention",
    "relative_attention_spec",
    "relative_bias",
    "relative_bias_spec",
    "relative_buckets",
    "residual_rnn",
    "resize",
    "rms_norm",
    "rms_norm_spec",
    "rnn",
    "rnn_carry",
    "rnn_cell",
    "rnn_cell_spec",
    "rotary",
    "rotary_rates",
    "route",
    "routed_experts",
    "router_z",
    "s4d",
    "s4d_spec",
    "scan_layers",
    "segment_mask",
    "separable_conv",
    "separable_conv_spec",
    "set_attention_block",
    "set_attention_block_spec",
    "short_conv",
    "sinusoidal_positions",
    "siren",
    "siren_spec",
    "sliding_window_blocks",
    "space_to_depth",
    "spatial_dropout",
    "spatial_pyramid_pool",
    "spectral_norm",
    "spike",
    "squash",
    "squeeze_excitation",
    "squeeze_excitation_spec",
    "sru_cell",
    "sru_cell_spec",
    "stacked_rnn",
    "strided_blocks",
    "token_dropout",
    "unembed",
    "unfold",
    "unit_norm",
    "update_codebook",
    "upsample",
    "vector_quantize",
    "vector_quantize_spec",
    "visible",
    "weigh_experts",
    "weight_norm",
    "weight_norm_spec",
    "weight_scales",
    "weight_shape",
    "weight_standardization",
    "within_capacity",
    "wkv",
    "yarn_rates",
    "yarn_scale",
    "z_expectations",
]
