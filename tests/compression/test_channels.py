"""Channels by the names of axes: what is left of a model computes what the masked one does; torch's ranks; errors."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils import prune as theirs

import jnn
from jnn import layers, models
from jnn.compression import Flat, channel_masks, channel_norms, masked, remove_channels, top_channels
from jnn.param import misfits
from tests.oracle import configurations

MLP = models.mlp_spec((4, 6, 5, 3))


def values(rng, spec):
    """Parameters of any spec, none of them at its beginning, in float64."""
    return jax.tree.map(lambda param: jnp.asarray(rng.normal(size=param.shape)), spec)


def perceptron(rng):
    """An activation that makes something of zero: readers of a channel do not read it."""
    d, f, n = rng.integers(2, 8, 3).tolist()
    return (
        models.mlp_spec((d, f, n)),
        "hidden",
        f,
        lambda p, x: models.mlp(p, x, key=None, activation=jax.nn.sigmoid),
        (d,),
    )


def convolutions(rng):
    c, k, n = rng.integers(1, 6, 3).tolist()
    channels = {"conv1/*": "channels_out", "head/fc0/w": Flat("embed")}
    spec = models.cnn_spec((8, 12, c), (3, k), n, 4)
    return spec, channels, k, lambda p, x: models.cnn(p, x, key=None), (8, 12, c)


def between(rng):
    c, k, n = rng.integers(1, 6, 3).tolist()
    spec = models.cnn_spec((8, 8, c), (k, n), 5, 4)
    channels = {"conv0/*": "channels_out", "conv1/w": "channels_in"}
    return spec, channels, k, lambda p, x: models.cnn(p, x, key=None), (8, 8, c)


def stacked(rng):
    """Hidden units of two layers' gated maps, each layer with its own."""
    f = int(rng.integers(2, 7))
    spec = {"blocks": jnn.stack(layers.feed_forward_spec(4, f, gate=True), 2)}
    one = lambda p, x, key, _: x + layers.feed_forward(p, x)
    apply = lambda p, x: layers.scan_layers(one, p["blocks"], x, "time", "embed")
    return spec, {"blocks/*": "hidden"}, f, apply, (3, 4)


def heads(rng):
    h = int(rng.integers(2, 5))
    spec = layers.attention_spec(2 * h, h)
    return spec, {"[qo]/*": "heads", "[kv]/*": "kv_heads"}, h, layers.attention, (3, 2 * h)


NETWORKS = [perceptron, convolutions, between, stacked, heads]


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_what_is_left_computes_what_the_masked_one_does(rng, make):
    with jax.enable_x64(True):
        spec, channels, n, apply, shape = make(rng)
        p, x = values(rng, spec), jnp.asarray(rng.normal(size=(2, *shape)))
        norms = channel_norms(p, spec, channels)
        assert norms.shape == ((2, n) if make is stacked else (n,))
        keep = top_channels(norms, int(rng.integers(1, max(n, 2))))
        smaller, declared = remove_channels(p, spec, channels, keep)
        assert misfits(jnn.flatten(smaller), jnn.flatten(declared), cast=True) == []
        masks = channel_masks(spec, channels, keep)
        both = jax.jit(lambda p, small, x: (apply(masked(p, masks), x), apply(small, x)))(p, smaller, x)
        np.testing.assert_allclose(*both, rtol=1e-9, atol=1e-9)


def test_batch_norms_and_their_statistics_lose_the_same_channels():
    """Within a residual block: what its first convolution makes, and its second reads."""
    spec = models.resnet_spec((1,), (4,), 3, stem=4, kernel=3)
    stats_spec = models.batch_stats_spec(spec)
    rng = np.random.default_rng(0)
    p, stats = values(rng, spec), jax.tree.map(jnp.abs, values(rng, stats_spec))
    p, stats = (jax.tree.map(lambda x: x.astype(jnp.float32), tree) for tree in (p, stats))
    unit = "stage1/first/unit"
    first = {f"{unit}1/conv/w": "channels_out", f"{unit}1/norm/*": "channels"}
    channels, keep = {**first, f"{unit}2/conv/w": "channels_in"}, jnp.array([1, 3])
    smaller, declared = remove_channels(p, spec, channels, keep)
    fewer, _ = remove_channels(stats, stats_spec, {f"{unit}1/norm/*": "channels"}, keep)
    assert declared["stage1"]["first"]["unit2"]["conv"]["w"].shape[2:] == (2, 4)
    left = masked(p, channel_masks(spec, channels, keep))
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))
    network = lambda p, stats: models.resnet(p, x, stats, key=None)[0]
    wanted, found = network(left, stats), network(smaller, fewer)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())
    np.testing.assert_allclose(*(models.resnet(q, x, key=None)[0] for q in (left, smaller)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rng", configurations(fast=range(3)), ids=range(20))
def test_ranks_of_filters_are_those_of_torch(rng):
    c, k, side, n = (*rng.integers(2, 7, 2).tolist(), int(rng.integers(1, 4)), 1)
    module = torch.nn.Conv2d(c, k, side).double()
    n = int(rng.integers(1, k))
    theirs.ln_structured(module, "weight", amount=k - n, n=2, dim=0)
    with jax.enable_x64(True):
        spec = layers.conv_spec(c, k, (side, side))
        p = {"w": jnp.asarray(module.weight_orig.detach().numpy().transpose(2, 3, 1, 0)), "b": jnp.zeros(k)}
        keep = top_channels(channel_norms(p, spec, "channels_out"), n)
        mask = channel_masks(spec, "channels_out", keep)["w"]
    np.testing.assert_array_equal(np.asarray(mask).transpose(3, 2, 0, 1), module.weight_mask.numpy() != 0)


def test_ranks_are_of_all_weights_of_a_channel_or_of_those_that_are_asked_for():
    p = {"up": {"w": jnp.array([[3.0, 0.0]]), "b": jnp.full(2, 9.0)}, "down": {"w": jnp.array([[4.0], [1.0]])}}
    spec = {
        "up": layers.linear_spec(1, 2),
        "down": layers.linear_spec(2, 1, axes=("hidden", "embed"), bias=False),
    }
    assert channel_norms(p, spec, "hidden").tolist() == [5, 1]
    assert channel_norms(p, spec, "hidden", where="up/w").tolist() == [3, 0]
    assert channel_norms(p, spec, "hidden", where="*/b").tolist() == [9, 9]


def test_queries_meet_the_keys_that_they_met():
    spec = layers.attention_spec(8, 4, kv_heads=2)
    p, x = jnn.init(spec, jax.random.key(0)), jax.random.normal(jax.random.key(1), (3, 8))
    found = layers.attention(remove_channels(p, spec, "heads", [1, 2])[0], x)
    np.testing.assert_allclose(found, layers.attention(masked(p, channel_masks(spec, "heads", [1, 2])), x), rtol=1e-5)
    for keep in ([0, 1], [2, 1], [0, 1, 2]):
        with pytest.raises(ValueError, match=r"4 heads of .* share 2 of keys and values: keep as many of each"):
            remove_channels(p, spec, "heads", keep)
    together = {"[qo]/*": "heads", "[kv]/*": "kv_heads"}
    spec = layers.attention_spec(8, 4)
    assert remove_channels(jnn.init(spec, jax.random.key(0)), spec, together, [0, 3])[0]["k"]["w"].shape == (8, 2, 2)


def test_a_flat_image_has_its_channels_last():
    spec = {"fc": layers.linear_spec(6, 1, bias=False), "conv": layers.conv_spec(1, 3, (1,), bias=False)}
    channels = {"conv/w": "channels_out", "fc/w": Flat("embed")}
    p = {"fc": {"w": jnp.arange(6.0)[:, None]}, "conv": {"w": jnp.ones((1, 1, 3))}}
    smaller, _ = remove_channels(p, spec, channels, [0, 2])
    assert smaller["fc"]["w"].ravel().tolist() == [0, 2, 3, 5]
    np.testing.assert_allclose(
        channel_norms(p, spec, channels, where="fc/w"), [3, math.sqrt(17), math.sqrt(29)], rtol=1e-6
    )


def test_layers_that_are_stacked_may_lose_the_same_or_each_its_own():
    spec = jnn.stack(layers.linear_spec(1, 3), 2)
    p = {"w": jnp.arange(6.0).reshape(2, 1, 3), "b": jnp.zeros((2, 3))}
    cut = lambda keep: remove_channels(p, spec, "hidden", keep)[0]["w"][:, 0].tolist()
    assert cut([0, 2]) == [[0, 2], [3, 5]]
    assert cut([[0, 2], [1, 2]]) == [[0, 2], [4, 5]]


@pytest.mark.parametrize(
    ("channels", "keep", "words"),
    [
        ("heads", [0], "no leaf of the spec has channels='heads'. Its axes are: embed, hidden, out"),
        ("embed", [0], "channels='embed' are of several sizes: 4 in fc0/w, 5 in fc1/b"),
        ({"*": "hidden"}, [0, 0], r"keep of different numbers in 0..5, found \[\[0, 0\]\]"),
        ({"*": "hidden"}, [6], r"in 0..5, found \[\[6\]\]"),
        ({"*": "hidden"}, [0.5], r"keep of integers \(n,\) or \(layers, n\), found float32\[1\]"),
        ({"*": "hidden"}, [[0], [1]], r"keep is of 2 layers, and fc0/b \(6,\) is not stacked to as many"),
        ({"fc0/*": "hidden", "fc1/*": "embed"}, [0], "are of several sizes: 6 in fc0/b"),
    ],
)
def test_errors(channels, keep, words):
    p = jax.tree.map(lambda param: jnp.zeros(param.shape), MLP)
    with pytest.raises(ValueError, match=f"remove_channels: .*{words}"):
        remove_channels(p, MLP, channels, keep)


@pytest.mark.parametrize(
    ("spec", "axis", "words"),
    [
        (
            models.mlp_spec((4, 6, 4, 6, 3)),
            "hidden",
            r"'hidden' is made by fc0/w, fc2/w: .*\{\"fc0/\*\": \"hidden\", ...\}",
        ),
        (
            models.transformer_spec(5, 8, layers=1, heads=2, embed=4),
            "embed",
            "'embed' is made by .*a stream that they add to",
        ),
    ],
)
def test_a_name_that_several_maps_make_is_ambiguous(spec, axis, words):
    with pytest.raises(ValueError, match=words):
        channel_masks(spec, axis, [0])
    channel_masks(spec, {"fc0/*": axis, "fc1/w": axis} if "fc0" in spec else {"*": axis}, [0])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: channel_norms(p, MLP, 5), TypeError, "channel_norms: expected channels, the name of an axis.* int"),
        (lambda p: channel_norms({}, MLP, {"*": "hidden"}), ValueError, "channel_norms: .* none at 'fc0/w'"),
        (lambda p: channel_masks(p, "hidden", [0]), TypeError, "channel_masks: expected a spec"),
        (lambda p: top_channels(p, 2), TypeError, "top_channels: expected an array for x, found dict"),
        (lambda p: remove_channels({}, MLP, {"*": "hidden"}, [0]), ValueError, "remove_channels: .* none at 'fc0/b'"),
        (
            lambda p: remove_channels(p | {"fc0": p["fc1"]}, MLP, {"*": "hidden"}, [0]),
            ValueError,
            r"remove_channels: expected fc0/b \(6,\), as the spec declares it, found float32\[5\]",
        ),
    ],
)
def test_what_is_of_another_kind(call, error, words):
    with pytest.raises(error, match=words):
        call(jax.tree.map(lambda param: jnp.zeros(param.shape), MLP))
