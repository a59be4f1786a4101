"""Gates, pyramids and ConvNeXt's block against the same written in torch; bad input."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.channels import assert_block_matches, first, kernel, last, pad_argument, some_biases
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional
LEADING = [(), (2,), (2, 2)]
random_ones = lambda *fast: pytest.mark.parametrize("rng", configurations(fast=fast), ids=range(20))


def check(rng, spec, ours, theirs, *shapes):
    """Against torch, whose examples have one axis: ours have none, one or two; and some maps have no bias."""
    leading = LEADING[rng.integers(3)]
    n = math.prod(leading)

    def run(p, *x):
        y = ours(p, *(a.reshape(*leading, *a.shape[1:]) for a in x))
        return y.reshape(n, *y.shape[len(leading) :])

    assert_block_matches(some_biases(rng, spec), run, theirs, *((n, *shape) for shape in shapes), rng=rng)


def sizes(rng, n, high=6):
    """n sizes of 1 to high - 1."""
    return tuple(rng.integers(1, high, n).tolist())


def dense(p, x):
    return x @ p["w"] + p.get("b", 0)


def same(p, x, dilation=1, groups=1):
    """torch's convolution of images, channels last, of as many axes as the kernel has."""
    reach = [dilation * (n - 1) for n in p["w"].shape[:-2]]
    padded = F.pad(first(x), pad_argument((r // 2, r - r // 2) for r in reach))
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(reach) - 1]
    return last(conv(padded, kernel(p["w"]).contiguous(), p.get("b"), dilation=dilation, groups=groups))


def over(gate, x):
    """A number for each channel, for all places of an image."""
    return gate.reshape(len(x), *[1] * (x.ndim - 2), -1)


places = lambda x: tuple(range(1, x.ndim - 1))


@random_ones(0)
def test_squeeze_excitation_matches_torch(rng):
    spatial, c, hidden = int(rng.integers(1, 4)), *sizes(rng, 2)
    ours, theirs = [(jax.nn.relu, torch.relu), (jax.nn.silu, F.silu)][rng.integers(2)]
    check(
        rng,
        layers.squeeze_excitation_spec(c, hidden),
        partial(layers.squeeze_excitation, activation=ours, spatial=spatial),
        lambda p, x: x * torch.sigmoid(over(dense(p["up"], theirs(dense(p["down"], x.mean(places(x))))), x)),
        (*sizes(rng, spatial), c),
    )


@random_ones(0)
def test_efficient_channel_attention_matches_torch(rng):
    spatial, c, size = int(rng.integers(1, 4)), *sizes(rng, 2, 8)
    check(
        rng,
        layers.efficient_channel_attention_spec(size),
        partial(layers.efficient_channel_attention, spatial=spatial),
        lambda p, x: x * torch.sigmoid(over(same(p, x.mean(places(x))[..., None])[..., 0], x)),
        (*sizes(rng, spatial), c),
    )


@random_ones(0)
def test_cbam_matches_torch(rng):
    spatial, c, hidden = int(rng.integers(1, 4)), *sizes(rng, 2)

    def theirs(p, x):
        two = lambda means: dense(p["channel"]["up"], torch.relu(dense(p["channel"]["down"], means)))
        x = x * torch.sigmoid(over(two(x.mean(places(x))) + two(x.amax(places(x))), x))
        return x * torch.sigmoid(same(p["place"], torch.stack([x.mean(-1), x.amax(-1)], -1)))

    check(rng, layers.cbam_spec(c, hidden, sizes(rng, spatial)), layers.cbam, theirs, (*sizes(rng, spatial), c))


@random_ones(0)
def test_feature_pyramid_matches_torch(rng):
    spatial, levels, c_out = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
    channels, shapes = sizes(rng, levels), np.sort(rng.integers(1, 6, (levels, spatial)), 0)[::-1]

    def theirs(p, *maps):
        merged = [dense(one, x) for one, x in zip(p["lateral"], maps, strict=True)]
        for i in reversed(range(levels - 1)):
            merged[i] = merged[i] + last(F.interpolate(first(merged[i + 1]), tuple(merged[i].shape[1:-1])))
        return torch.cat([same(o, x).flatten(1) for o, x in zip(p["out"], merged, strict=True)], 1)

    def ours(p, *maps):
        leading = maps[0].shape[: maps[0].ndim - spatial - 1]
        return jnp.concatenate([m.reshape(*leading, -1) for m in layers.feature_pyramid(p, maps)], -1)

    spec = layers.feature_pyramid_spec(channels, c_out, kernel=sizes(rng, spatial, 4))
    check(rng, spec, ours, theirs, *((*shape.tolist(), c) for shape, c in zip(shapes, channels, strict=True)))


@random_ones(0)
def test_spatial_pyramid_pool_matches_torch(rng):
    """Of numbers of which no two are equal: torch gives the gradient of a maximum to the first of those that are."""
    spatial, leading = int(rng.integers(1, 4)), LEADING[rng.integers(3)]
    shape = (*leading, *rng.integers(3, 6, spatial).tolist(), int(rng.integers(1, 4)))
    levels = rng.integers(1, 4, rng.integers(1, 4)).tolist()
    pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[spatial - 1]

    def theirs(x):
        images = first(x.reshape(-1, *shape[len(leading) :]))
        return torch.cat([last(pool(images, n)).flatten(1) for n in levels], 1).reshape(*leading, -1)

    x = rng.permutation(math.prod(shape)).reshape(shape).astype(np.float32)
    assert_matches_torch(lambda x: layers.spatial_pyramid_pool(x, levels, spatial=spatial), theirs, [x])


@random_ones(0)
def test_atrous_pyramid_matches_torch(rng):
    spatial, branches, c_in, c_out = int(rng.integers(1, 4)), int(rng.integers(1, 4)), *sizes(rng, 2, 5)
    dilations = sizes(rng, branches, 4)

    def theirs(p, x):
        mean = dense(p["mean"], x.mean(places(x), keepdim=True).expand_as(x))
        dilated = [same(b, x, dilation=d) for b, d in zip(p["branches"], dilations, strict=True)]
        return torch.relu(dense(p["out"], torch.relu(torch.cat([dense(p["place"], x), *dilated, mean], -1))))

    spec = layers.atrous_pyramid_spec(c_in, c_out, branches, kernel=sizes(rng, spatial, 4))
    ours = lambda p, x: layers.atrous_pyramid(p, x, dilations)
    check(rng, spec, ours, theirs, (*sizes(rng, spatial), c_in))


@random_ones(0)
def test_convnext_block_matches_torch(rng):
    spatial, c, epsilon = int(rng.integers(1, 4)), int(rng.integers(3, 7)), float(rng.uniform(1e-3, 0.1))
    spec = layers.convnext_block_spec(c, kernel=sizes(rng, spatial), expand=int(rng.integers(1, 5)))
    if rng.integers(3) == 0:
        del spec["layer_scale"]

    def theirs(p, x):
        h = same(p["depthwise"], x, groups=c)
        h = F.layer_norm(h, (c,), p["norm"]["scale"], p["norm"]["bias"], epsilon)
        return x + p.get("layer_scale", 1) * dense(p["down"], F.gelu(dense(p["up"], h)))

    ours = partial(layers.convnext_block, key=None, epsilon=epsilon)
    check(rng, spec, ours, theirs, (*sizes(rng, spatial), c))


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
