"""Bilinear maps, bags, windows, shuffles, one-hot and hashed integers, adaptive softmax: against torch and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import layers
from tests.layers.channels import first, last, normals
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_bilinear_matches_torch(rng):
    leading, (i, j, o) = tuple(rng.integers(1, 4, rng.integers(0, 3))), rng.integers(1, 6, 3)
    assert_matches_torch(
        lambda x, y, w, b: layers.bilinear({"w": w, "b": b}, x, y),
        lambda x, y, w, b: F.bilinear(x, y, w.movedim(-1, 0), b),
        normals(rng, (*leading, i), (*leading, j), (i, j, o), (o,)),
    )


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_matches_torch(mode):
    rng = np.random.default_rng(0)
    table, lengths = rng.normal(size=(9, 4)).astype(np.float32), [3, 0, 5, 1]
    bags = [rng.permutation(9)[:n] for n in lengths]
    tokens = np.stack([np.pad(bag, (0, 5 - len(bag)), constant_values=99) for bag in bags])
    weights = rng.normal(size=(4, 5)).astype(np.float32)
    offsets = torch.tensor(np.cumsum([0, *lengths[:-1]]))
    inside = torch.arange(5)[None] < torch.tensor(lengths)[:, None]
    assert_matches_torch(
        lambda t, w: layers.embedding_bag(
            {"table": t}, tokens, mode=mode, weights=w if mode == "sum" else None, lengths=np.asarray(lengths)
        ),
        lambda t, w: F.embedding_bag(
            torch.tensor(np.concatenate(bags)),
            t,
            offsets,
            mode=mode,
            per_sample_weights=w[inside] if mode == "sum" else None,
        ),
        [table, weights],
    )


@pytest.mark.parametrize("rng", configurations(seed=1, fast=(0, 1)), ids=range(20))
def test_unfold_and_fold_match_torch(rng):
    window, stride, dilation = (tuple(rng.integers(1, high, 2).tolist()) for high in (4, 3, 3))
    padding = tuple(rng.integers(0, 2, 2).tolist())
    (x,) = normals(rng, (2, 7, 8, 3))
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    sizes = zip((7, 8), padding, dilation, window, stride, strict=True)
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in sizes]

    def windows(x):
        y = F.unfold(first(x), window, **how).reshape(2, 3, *window, *out)
        return y.permute(0, 4, 5, 2, 3, 1)

    assert_matches_torch(lambda x: layers.unfold(x, window, **how), windows, [x])
    (y,) = normals(rng, (2, *out, *window, 3))
    assert_matches_torch(
        lambda y: layers.fold(y, (7, 8), **how),
        lambda y: last(F.fold(y.permute(0, 5, 3, 4, 1, 2).reshape(2, -1, out[0] * out[1]), (7, 8), window, **how)),
        [y],
    )


def test_a_linear_map_of_windows_is_a_convolution():
    x, w = normals(np.random.default_rng(0), (2, 6, 5, 3), (3, 2, 3, 4))
    how = {"stride": (2, 1), "padding": "SAME"}
    unfolded = layers.linear({"w": w}, layers.unfold(x, (3, 2), **how), in_axes=3)
    np.testing.assert_allclose(unfolded, layers.conv({"w": w}, x, **how), rtol=1e-5, atol=1e-5)


def test_shuffles_match_torch():
    x = np.arange(2 * 4 * 6 * 8).reshape(2, 4, 6, 8)
    theirs = lambda f, *how: last(f(first(torch.tensor(x)), *how)).numpy()
    np.testing.assert_array_equal(layers.channel_shuffle(x, 4), theirs(F.channel_shuffle, 4))
    np.testing.assert_array_equal(layers.pixel_shuffle(x, 2), theirs(F.pixel_shuffle, 2))
    np.testing.assert_array_equal(layers.pixel_unshuffle(x, 2), theirs(F.pixel_unshuffle, 2))
    for y, x_, c in np.ndindex(2, 2, 8):  # its definition, place by place
        np.testing.assert_array_equal(layers.space_to_depth(x, 2)[..., (y * 2 + x_) * 8 + c], x[:, y::2, x_::2, c])
    np.testing.assert_array_equal(layers.depth_to_space(layers.space_to_depth(x, 2), 2), x)


def test_one_hot_matches_torch_and_says_what_lies_out_of_range():
    x = np.array([[0, 3], [2, 1]])
    np.testing.assert_array_equal(layers.one_hot(x, 4), F.one_hot(torch.tensor(x), 4))
    beyond = np.array([-1, 0, 4])
    np.testing.assert_array_equal(
        layers.one_hot(beyond, 4, out_of_range="zeros"), np.eye(4)[[0, 0, 0]] * [[0], [1], [0]]
    )
    np.testing.assert_array_equal(layers.one_hot(beyond, 4, out_of_range="clip"), np.eye(4)[[0, 0, 3]])
    unknown = jax.jit(lambda x: layers.one_hot(x, 4))(beyond)
    np.testing.assert_array_equal(np.isnan(unknown).all(-1), [True, False, True])


@pytest.mark.parametrize("buckets", [1, 10, 4096, 100_003, 2**31 - 1])
def test_hash_buckets_is_a_multiply_shift(buckets):
    """In Python's own integers, for which nothing overflows."""
    x = np.random.default_rng(0).integers(-(2**31), 2**31, 200)
    low, high, b = map(int, np.random.SeedSequence(7).generate_state(3, np.uint32))
    halves = [(int(v) & 0xFFFFFFFF, (int(v) >> 32) & 0xFFFFFFFF) for v in x]
    hashes = [(lo * (low | 1) + hi * (high | 1) + b) % 2**32 for lo, hi in halves]
    expected = [h * buckets >> 32 for h in hashes]
    found = layers.hash_buckets(x.astype(np.int32), buckets, seed=7)
    np.testing.assert_array_equal(found, expected)
    far = layers.hash_buckets(x + 2**40, buckets, seed=7)  # NumPy's 64 bits count without JAX's
    with jax.enable_x64(True):
        np.testing.assert_array_equal(layers.hash_buckets(jnp.asarray(x), buckets, seed=7), expected)
        np.testing.assert_array_equal(layers.hash_buckets(jnp.asarray(x) + 2**40, buckets, seed=7), far)
    assert buckets < 2**30 or not set(far.tolist()) & set(expected)


def test_hash_buckets_spreads_neighbours_evenly():
    counts = [np.bincount(layers.hash_buckets(jnp.arange(10_000), 100, seed=s), minlength=100) for s in range(3)]
    assert np.min(counts) > 50
    assert np.max(counts) < 150
    assert layers.hash_buckets(np.arange(-128, 128).astype(np.int8), 9).tolist() == (
        layers.hash_buckets(np.arange(-128, 128), 9).tolist()
    )


@pytest.mark.parametrize(("cutoffs", "bias"), [((3,), True), pytest.param((2, 5, 6), False, marks=pytest.mark.slow)])
def test_adaptive_log_softmax_matches_torch(cutoffs, bias):
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 11, list(cutoffs), div_value=2.0, head_bias=bias)
    p = {
        "head": {"w": theirs.head.weight.T} | ({"b": theirs.head.bias} if bias else {}),
        "tail": [{"down": {"w": tail[0].weight.T}, "up": {"w": tail[1].weight.T}} for tail in theirs.tail],
    }
    p = jax.tree.map(lambda w: w.detach().numpy(), p)
    declared = layers.adaptive_log_softmax_spec(8, 11, cutoffs, divisor=2.0, bias=bias)
    assert jax.tree.map(lambda w: w.shape, p) == jax.tree.map(lambda w: w.shape, declared)
    for parameter in theirs.parameters():
        parameter.requires_grad_(False)
    (x,) = normals(np.random.default_rng(0), (5, 8))
    assert_matches_torch(lambda x: layers.adaptive_log_softmax(p, x), theirs.double().log_prob, [x])


def test_classes_may_be_more_than_their_integers_reach():
    x = np.array([3, 127], np.int8)
    for choice in ("raise", "clip"):
        np.testing.assert_array_equal(layers.one_hot(x, 1000, out_of_range=choice), np.eye(1000)[[3, 127]])


def test_distances_of_positions_without_a_sign_have_one():
    here, table = np.arange(3), {"table": jnp.arange(8.0)[:, None]}
    plain = here.astype(np.uint8)
    np.testing.assert_array_equal(layers.alibi(1)(plain, plain), layers.alibi(1)(here, here))
    np.testing.assert_array_equal(layers.relative_bias(table, plain, plain), layers.relative_bias(table, here, here))


def test_weights_past_the_length_of_a_bag_are_never_read():
    weights, lengths = np.array([2.0, np.nan], np.float32), np.array(1)
    bag = lambda p: layers.embedding_bag(p, np.array([0, 1]), mode="sum", weights=weights, lengths=lengths).sum()
    np.testing.assert_array_equal(jax.grad(bag)({"table": jnp.eye(2)})["table"], [[2, 2], [0, 0]])


X, T = jnp.ones((4, 4, 3)), jnp.zeros((2, 3), int)
TABLE = {"table": jnp.ones((5, 2))}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.bilinear({"w": jnp.ones((3, 4, 2))}, X, X), ValueError, r"bilinear: its parameters expect"),
        (
            lambda: layers.bilinear({"w": jnp.ones((3, 3, 2))}, X, X[0]),
            ValueError,
            r"bilinear: expected two inputs with the same leading axes",
        ),
        (lambda: layers.embedding_bag(TABLE, T, mode="min"), ValueError, r"embedding_bag: mode is one of sum, mean"),
        (lambda: layers.embedding_bag(TABLE, T + 9), ValueError, r"embedding_bag: expected tokens in 0..4"),
        (lambda: layers.embedding_bag(TABLE, T, weights=T + 0.5), ValueError, r'weights are for mode="sum"'),
        (
            lambda: layers.embedding_bag(TABLE, T, lengths=T[0]),
            ValueError,
            r"embedding_bag: expected one length per bag",
        ),
        (lambda: layers.embedding_bag(TABLE, T, lengths=T[:, 0] + 4), ValueError, r"expected lengths in 0..3"),
        (
            lambda: layers.adaptive_log_softmax({"head": {"w": jnp.ones((3, 4))}}, X),
            ValueError,
            r"expected params\['tail'\], a list of clusters",
        ),
        (lambda: layers.unfold(X, (5, 1)), ValueError, r"unfold: a window that reaches \(5, 1\) does not fit"),
        (lambda: layers.fold(jnp.ones((3, 3, 2, 2, 1)), (5, 5)), ValueError, r"fold: an image \(5, 5\) has \(4, 4\)"),
        (lambda: layers.channel_shuffle(X, 2), ValueError, r"channel_shuffle: the number of groups 2 does not divide"),
        (lambda: layers.pixel_shuffle(X, 2), ValueError, r"pixel_shuffle: the size of a block 4 does not divide"),
        (
            lambda: layers.space_to_depth(X, 3),
            ValueError,
            r"space_to_depth: scale 3 does not divide the spatial axis 4",
        ),
        (lambda: layers.one_hot(jnp.array([4]), 4), ValueError, r"one_hot: expected labels in 0..3"),
        (
            lambda: layers.one_hot(jnp.array([4]), 4, out_of_range="wrap"),
            ValueError,
            r"one_hot: out_of_range is one of",
        ),
        (lambda: layers.hash_buckets(T, 0), ValueError, r"hash_buckets: expected buckets in"),
        (lambda: layers.hash_buckets(X, 5), TypeError, r"hash_buckets: expected integers"),
        (lambda: layers.adaptive_log_softmax_spec(8, 9, (4, 4)), ValueError, r"expected cutoffs that increase"),
        (lambda: layers.adaptive_log_softmax_spec(8, 9, (9,)), ValueError, r"expected cutoffs that increase"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
