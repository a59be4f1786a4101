"""Shapes, convolution beyond the kernel, normalization beyond the batch, and noise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import layers
from jnn.laws import Block
from tests.table.rows import floats, integers, pair, weight


def distinct(*shape: int) -> Any:
    """Numbers that no dtype rounds and no two of which are equal."""
    n = int(np.prod(shape))
    return lambda rng: ((rng.permutation(n) / 8 - n / 16).reshape(shape).astype(np.float32),)


def inputs(*shapes: tuple[int, ...]) -> Any:
    """A normal float32 input of each shape."""
    return lambda rng: tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


def of_stats(out: tuple[jax.Array, Any], x: jax.Array) -> Any:
    """Statistics are float32 whatever x is; here they take x's dtype, which law 7 asks of every output."""
    return jax.tree.map(lambda leaf: leaf.astype(x.dtype), out)


def rearranged(x: jax.Array) -> jax.Array:
    """Every rearrangement of channels, one after another."""
    x = layers.channel_shuffle(layers.pixel_unshuffle(layers.space_to_depth(x, 2), 2), 4)
    return layers.pixel_shuffle(layers.depth_to_space(x, 2), 2)


def renormalized(p: dict, x: jax.Array, key: Any) -> Any:
    """Batch renormalization towards statistics that are not x's."""
    running = {"mean": jnp.full(3, 0.3), "var": jnp.full(3, 1.5)}
    return of_stats(layers.batch_renorm(p, x, running), x)


def of_images(p: Any, carry: Any, x: jax.Array) -> Any:
    """A step of images of 3x3 places and two channels, flat."""
    return layers.conv_lstm_cell(p, carry, x.reshape(*x.shape[:-1], 3, 3, 2))


SPECTRAL_START = np.asarray([0.6, -0.5, 0.4, 0.3], np.float32)


BLOCKS = [
    # linear and shape
    Block("fp8_linear", layers.linear_spec(5, 7), lambda p, x, key: layers.fp8_linear(p, x), floats(5)),
    Block(
        "bilinear",
        layers.bilinear_spec(3, 4, 5),
        lambda p, x, y, key: layers.bilinear(p, x, y),
        inputs((3,), (4,)),
    ),
    Block(
        "embedding_bag",
        layers.embedding_bag_spec(11, 5),
        lambda p, x, n, key: layers.embedding_bag(p, x, lengths=n),
        lambda rng: (*integers(11, 4)(rng), *integers(5)(rng)),
    ),
    Block(
        "fold-unfold",
        {},
        lambda p, x, key: layers.fold(layers.unfold(x, (3, 2), stride=2, padding=1), (4, 5), stride=2, padding=1),
        floats(4, 5, 3),
    ),
    Block("rearranged", {}, lambda p, x, key: rearranged(x), floats(4, 4, 1)),
    Block(
        "adaptive_log_softmax",
        layers.adaptive_log_softmax_spec(8, 7, (2, 4), divisor=2.0, bias=True),
        lambda p, x, key: layers.adaptive_log_softmax(p, x),
        floats(8),
    ),
    # convolution
    Block(
        "resize",
        {},
        lambda p, x, key: layers.upsample(layers.resize(x, (5, 3), method="bicubic"), 2, method="bilinear"),
        floats(4, 4, 2),
    ),
    Block("blur_pool", {}, lambda p, x, key: layers.blur_pool(x, (3, 3)), floats(5, 4, 2)),
    Block(
        "squeeze_excitation",
        layers.squeeze_excitation_spec(4, 3),
        lambda p, x, key: layers.squeeze_excitation(p, x),
        floats(3, 3, 4),
    ),
    Block(
        "efficient_channel_attention",
        layers.efficient_channel_attention_spec(3),
        lambda p, x, key: layers.efficient_channel_attention(p, x),
        floats(3, 3, 4),
    ),
    Block("cbam", layers.cbam_spec(4, 3, (3, 3)), lambda p, x, key: layers.cbam(p, x), floats(3, 4, 4)),
    Block(
        "feature_pyramid",
        layers.feature_pyramid_spec((2, 3), 4),
        lambda p, x, y, key: [layers.spatial_pyramid_pool(h, (1, 2)) for h in layers.feature_pyramid(p, [x, y])],
        inputs((4, 4, 2), (2, 2, 3)),
    ),
    Block(
        "atrous_pyramid",
        layers.atrous_pyramid_spec(2, 4, 2),
        lambda p, x, key: layers.atrous_pyramid(p, x, (1, 2)),
        floats(4, 5, 2),
    ),
    Block(
        "locally_connected",
        layers.locally_connected_spec((5, 4), 2, 3, (3, 2), stride=2),
        lambda p, x, key: layers.locally_connected(p, x, stride=2),
        floats(5, 4, 2),
    ),
    Block(
        "deformable_conv",
        layers.deformable_conv_spec(2, 3, (3, 3)),
        lambda p, x, at, mask, key: layers.deformable_conv(p, x, at, mask),
        inputs((4, 3, 2), (4, 3, 3, 3, 2), (4, 3, 3, 3)),
    ),
    Block(
        "grid_sample",
        {},
        lambda p, x, theta, key: layers.grid_sample(x, layers.affine_grid(theta, (3, 5))),
        inputs((4, 3, 2), (2, 3)),
    ),
    Block(
        "max_unpool",
        {},
        lambda p, x, key: layers.max_unpool(*layers.max_pool_with_indices(x, (2, 2)), (4, 4)),
        distinct(4, 4, 3),
    ),
    Block("lp_pool", {}, lambda p, x, key: layers.lp_pool(x, (2, 2), 3.0), floats(4, 4, 2)),
    Block(
        "fractional_max_pool",
        {},
        lambda p, x, key: layers.fractional_max_pool(x, (3, 4), (2, 2), key=key),
        floats(6, 6, 2),
        noisy=True,
    ),
    Block(
        "conv_lstm",
        layers.conv_lstm_cell_spec(2, 3, (3, 3)),
        lambda p, x, key: jnp.moveaxis(layers.rnn(of_images, p, x)[0], -2, -4),
        floats(3, 18),
        causal=True,
    ),
    Block(
        "convnext_block",
        layers.convnext_block_spec(4, kernel=(3, 3), layer_scale=1.0),
        lambda p, x, key: layers.convnext_block(p, x, key=key, drop_path=0.3),
        floats(3, 4, 4),
        noisy=True,
    ),
    # normalization
    Block(
        "weight_norm",
        {"w": layers.weight_norm_spec(layers.linear_spec(3, 4)["w"])},
        lambda p, x, key: layers.linear({"w": layers.weight_norm(p["w"])}, x),
        floats(3),
    ),
    Block(
        "spectral_norm",
        layers.linear_spec(3, 4, bias=False),
        lambda p, x, key: layers.linear({"w": layers.spectral_norm(weight(p), jnp.asarray(SPECTRAL_START))[0]}, x),
        floats(3),
    ),
    Block(
        "weight_standardization",
        layers.linear_spec(3, 4, bias=False),
        lambda p, x, key: layers.linear({"w": layers.weight_standardization(weight(p))}, x),
        floats(3),
    ),
    Block("gradient_reversal", {}, lambda p, x, key: layers.gradient_reversal(x, 0.5), floats(4)),
    Block("unit_norm", {}, lambda p, x, key: layers.unit_norm(x), floats(4)),
    Block(
        "filter_response_norm",
        layers.filter_response_norm_spec(3),
        lambda p, x, key: layers.filter_response_norm(p, x),
        floats(3, 3, 3),
    ),
    Block("local_response_norm", {}, lambda p, x, key: layers.local_response_norm(x, 3, alpha=0.5), floats(5)),
    Block("batch_renorm", layers.batch_renorm_spec(3), renormalized, floats(4, 3), per_example=False),
    Block("film", layers.film_spec(3, 4), lambda p, x, c, key: layers.film(p, x, c), inputs((5, 4), (3,))),
    Block(
        "ada_layer_norm_zero",
        layers.ada_layer_norm_zero_spec(3, 4),
        lambda p, x, c, key: layers.ada_layer_norm_zero(p, x, c),
        inputs((5, 4), (3,)),
    ),
    Block("ada_instance_norm", {}, lambda p, x, y, key: layers.ada_instance_norm(x, y), pair(3, 3, 2)),
    # noise
    Block("drop_path", {}, lambda p, x, key: layers.drop_path(x, 0.3, key=key, in_axes=1), floats(6), noisy=True),
    Block(
        "drop_connect",
        layers.linear_spec(5, 8),
        lambda p, x, key: layers.linear(layers.drop_connect(p, 0.3, key=key), x),
        floats(5),
        noisy=True,
    ),
    Block("gaussian_noise", {}, lambda p, x, key: layers.gaussian_noise(x, 0.3, key=key), floats(6), noisy=True),
    Block("gaussian_dropout", {}, lambda p, x, key: layers.gaussian_dropout(x, 0.3, key=key), floats(6), noisy=True),
    Block("alpha_dropout", {}, lambda p, x, key: layers.alpha_dropout(x, 0.3, key=key), floats(6), noisy=True),
    Block("drop_block", {}, lambda p, x, key: layers.drop_block(x, 0.3, (2, 2), key=key), floats(4, 5, 2), noisy=True),
]
