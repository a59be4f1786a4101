"""Gates, pyramids and ConvNeXt's block against the same written in torch; bad input."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.channels import assert_block_matches, first, kernel, last
from tests.oracle import assert_matches_torch

F = torch.nn.functional
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


def same(x, w, b=None, **how):
    """torch's convolution of images, channels last."""
    return last(F.conv2d(first(x), kernel(w), b, padding="same", **how))


def gate(p, means):
    """Two maps with a ReLU between."""
    hidden = torch.relu(means @ p["down"]["w"] + p["down"]["b"])
    return hidden @ p["up"]["w"] + p["up"]["b"]


@pytest.mark.parametrize("seed", SEEDS)
def test_channel_attention_matches_torch(seed):
    assert_block_matches(
        layers.squeeze_excitation_spec(6, 3),
        layers.squeeze_excitation,
        lambda p, x: x * torch.sigmoid(gate(p, x.mean((1, 2))))[:, None, None],
        (2, 3, 4, 6),
        seed=seed,
    )
    assert_block_matches(
        layers.efficient_channel_attention_spec(3),
        layers.efficient_channel_attention,
        lambda p, x: x * torch.sigmoid(F.conv1d(x.mean((1, 2))[:, None], kernel(p["w"]), padding=1))[:, 0, None, None],
        (2, 3, 4, 6),
        seed=seed,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_cbam_matches_torch(seed):
    def theirs(p, x):
        x = x * torch.sigmoid(sum(gate(p["channel"], m) for m in (x.mean((1, 2)), x.amax((1, 2)))))[:, None, None]
        return x * torch.sigmoid(same(torch.stack([x.mean(-1), x.amax(-1)], -1), p["place"]["w"]))

    assert_block_matches(layers.cbam_spec(6, 3, (3, 3)), layers.cbam, theirs, (2, 3, 4, 6), seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_feature_pyramid_matches_torch(seed):
    def theirs(p, fine, coarse):
        lateral = [x @ one["w"] + one["b"] for x, one in zip((fine, coarse), p["lateral"], strict=True)]
        lateral[0] = lateral[0] + last(F.interpolate(first(lateral[1]), (5, 4)))
        maps = [same(x, o["w"], o["b"]) for x, o in zip(lateral, p["out"], strict=True)]
        return torch.cat([m.flatten(1) for m in maps], 1)

    flat = lambda p, *x: jnp.concatenate([m.reshape(2, -1) for m in layers.feature_pyramid(p, x)], 1)
    assert_block_matches(layers.feature_pyramid_spec((2, 3), 4), flat, theirs, (2, 5, 4, 2), (2, 3, 2, 3), seed=seed)


def test_spatial_pyramid_pool_matches_torch():
    x = np.random.default_rng(0).permutation(2 * 5 * 7 * 3).reshape(2, 5, 7, 3).astype(np.float32)
    assert_matches_torch(
        lambda x: layers.spatial_pyramid_pool(x, (1, 3)),
        lambda x: torch.cat([last(F.adaptive_max_pool2d(first(x), n)).flatten(1) for n in (1, 3)], 1),
        [x],
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_atrous_pyramid_matches_torch(seed):
    def theirs(p, x):
        mean = x.mean((1, 2), keepdim=True).expand_as(x) @ p["mean"]["w"] + p["mean"]["b"]
        dilated = [same(x, b["w"], b["b"], dilation=d) for b, d in zip(p["branches"], (1, 2), strict=True)]
        seen = torch.relu(torch.cat([x @ p["place"]["w"] + p["place"]["b"], *dilated, mean], -1))
        return torch.relu(seen @ p["out"]["w"] + p["out"]["b"])

    ours = lambda p, x: layers.atrous_pyramid(p, x, (1, 2))
    assert_block_matches(layers.atrous_pyramid_spec(3, 4, 2), ours, theirs, (2, 5, 4, 3), seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_convnext_block_matches_torch(seed):
    def theirs(p, x):
        h = same(x, p["depthwise"]["w"], p["depthwise"]["b"], groups=4)
        h = F.layer_norm(h, (4,), p["norm"]["scale"], p["norm"]["bias"], 1e-6)
        h = F.gelu(h @ p["up"]["w"] + p["up"]["b"]) @ p["down"]["w"] + p["down"]["b"]
        return x + p["layer_scale"] * h

    spec = layers.convnext_block_spec(4, kernel=(5, 3))
    assert_block_matches(spec, partial(layers.convnext_block, key=None), theirs, (2, 5, 4, 4), seed=seed)


X = jnp.ones((4, 4, 3))
SQUEEZE = {"down": {"w": jnp.ones((2, 1))}, "up": {"w": jnp.ones((1, 2))}}
ZEROS = lambda spec: jax.tree.map(lambda p: jnp.zeros(p.shape), spec)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.squeeze_excitation(SQUEEZE, X), r"squeeze_excitation: its parameters expect input \[...,2\]"),
        (lambda: layers.cbam(ZEROS(layers.cbam_spec(2, 1)), X), r"cbam: its parameters expect input \[...,2\]"),
        (lambda: layers.efficient_channel_attention({"w": jnp.ones((3, 1, 1))}, X[0]), r"expected an array of rank 3"),
        (lambda: layers.feature_pyramid(ZEROS(layers.feature_pyramid_spec((2, 3), 4)), [X]), r"expected 2 maps"),
        (lambda: layers.spatial_pyramid_pool(X, (1, 5)), r"adaptive_max_pool: the output size \(5, 5\) is larger"),
        (
            lambda: layers.atrous_pyramid(ZEROS(layers.atrous_pyramid_spec(3, 4)), X, (1, 2)),
            r"a dilation per branch, 3",
        ),
        (
            lambda: layers.convnext_block({"norm": {}}, X, key=None),
            r"convnext_block: expected params, a dict with 'depthwise'",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
