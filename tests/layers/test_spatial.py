"""Locally connected, deformable and recurrent convolution, more poolings: against Flax and torch; bad input."""

import os

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init, layers
from tests.layers.channels import first, last, normals
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [((3, 2), (2, 1), "SAME"), pytest.param((3,), (1,), "VALID", marks=pytest.mark.slow)]
)
def test_locally_connected_matches_flax(size, stride, padding):
    spatial = (5, 4)[: len(size)]
    x = jax.random.normal(jax.random.key(0), (2, *spatial, 3))
    theirs = flax.linen.ConvLocal(6, size, strides=stride, padding=padding)

    @jax.jit
    def both(key, x):
        p = theirs.init(key, x)["params"]
        out = p["kernel"].shape[: len(size)]
        w = p["kernel"].reshape(*out, 3, *size, 6)  # its windows hold channels first
        w, b = jnp.moveaxis(w, len(size), -2), p["bias"] + jnp.arange(6.0).reshape((1,) * len(size) + (6,))
        ours = layers.locally_connected({"w": w, "b": b}, x, stride=stride, padding=padding)
        return ours, theirs.apply({"params": {**p, "bias": b}}, x)

    np.testing.assert_allclose(*both(jax.random.key(1), x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=(0,)), ids=range(20))
def test_deformable_conv_matches_torch(rng):
    """Its sum over the kernel, each element of which reads by torch's `grid_sample`."""
    size, stride, dilation = ([int(n) for n in rng.integers(1, high, 2)] for high in (4, 3, 3))
    n, padding = (6, 5), [1, 1]
    out = [(a + 2 - d * (k - 1) - 1) // s + 1 for a, d, k, s in zip(n, dilation, size, stride, strict=True)]
    x, w, b, offsets, mask = normals(rng, (2, *n, 3), (*size, 3, 4), (4,), (2, *out, *size, 2), (2, *out, *size))

    def theirs(x, w, b, offsets, mask):
        total = b
        for i, j in np.ndindex(*size):
            y, x_ = (
                np.indices(out) * np.reshape(stride, (2, 1, 1)) - 1 + np.reshape(dilation, (2, 1, 1)) * [[[i]], [[j]]]
            )
            at = torch.tensor(np.stack([y, x_], -1), dtype=torch.float32) + offsets[:, :, :, i, j]
            at = at * 2 / torch.tensor([n[0] - 1, n[1] - 1]) - 1
            read = F.grid_sample(first(x), at.flip(-1), align_corners=True)
            total = total + (last(read) * mask[:, :, :, i, j, None]) @ w[i, j]
        return total

    assert_matches_torch(
        lambda x, w, b, offsets, mask: layers.deformable_conv(
            {"w": w, "b": b}, x, offsets, mask, stride=stride, padding=padding, dilation=dilation
        ),
        theirs,
        [x, w, b, offsets, mask],
    )


@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sample_matches_torch(align_corners):
    x, theta = normals(np.random.default_rng(0), (2, 5, 4, 3), (2, 2, 3))
    how = {"align_corners": align_corners}
    swapped = [1, 0, 2]  # torch's maps are of x and y

    def theirs(x, theta):
        grid = F.affine_grid(theta[:, [1, 0]][..., swapped] / 2, [2, 3, 3, 6], **how)
        return last(F.grid_sample(first(x), grid, **how))

    ours = lambda x, theta: layers.grid_sample(x, layers.affine_grid(theta / 2, (3, 6), **how), **how)
    assert_matches_torch(ours, theirs, [x, theta])


def test_a_deformable_convolution_without_offsets_is_one():
    p = init(layers.conv_spec(2, 3, (3, 2)), jax.random.key(0))
    (x,) = normals(np.random.default_rng(0), (2, 5, 4, 2))
    at = jnp.zeros((2, 3, 2, 3, 2, 2))
    both = jax.jit(lambda x: (layers.deformable_conv(p, x, at, stride=2), layers.conv(p, x, stride=2)))
    np.testing.assert_allclose(*both(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rng", configurations(seed=1, fast=(0,)), ids=range(20))
def test_unpooling_matches_torch(rng):
    window, shape = [int(k) for k in rng.integers(1, 4, 2)], [int(n) for n in rng.integers(4, 8, 2)]
    padding = [int(rng.integers(0, k // 2 + 1)) for k in window]
    x = rng.permutation(np.prod(shape) * 6).reshape(2, *shape, 3).astype(np.float32) / 8
    y, at = F.max_pool2d(first(torch.tensor(x)), window, padding=padding, return_indices=True)
    run = jax.jit(lambda x: layers.max_pool_with_indices(x, window, padding=padding))
    for ours, theirs in zip(run(x), (y, at), strict=True):
        np.testing.assert_array_equal(ours, last(theirs))
    assert_matches_torch(
        lambda x: layers.max_unpool(*layers.max_pool_with_indices(x, window, padding=padding), shape),
        lambda x: last(
            F.max_unpool2d(
                *F.max_pool2d(first(x), window, padding=padding, return_indices=True),
                window,
                padding=padding,
                output_size=shape,
            )
        ),
        [x],
    )


def test_indices_of_overlapping_windows_match_torch():
    x = np.random.default_rng(0).permutation(90).reshape(1, 5, 6, 3).astype(np.float32)
    theirs = F.max_pool2d(first(torch.tensor(x)), 3, stride=1, padding=1, return_indices=True)
    run = jax.jit(lambda x: layers.max_pool_with_indices(x, (3, 3), stride=1, padding=1))
    for ours, y in zip(run(x), theirs, strict=True):
        np.testing.assert_array_equal(ours, last(y))


@pytest.mark.parametrize("norm", [1.0, 2.0, pytest.param(3.5, marks=pytest.mark.slow)])
def test_lp_pool_matches_torch(norm):
    (x,) = normals(np.random.default_rng(0), (2, 6, 5, 3))
    assert_matches_torch(
        lambda x: layers.lp_pool(x, (3, 2), norm, stride=2),
        lambda x: last(F.lp_pool2d(first(x.abs()), norm, (3, 2), stride=2)),
        [x],
    )


def test_lp_pool_of_large_numbers_does_not_overflow():
    x = jnp.array([[3e30], [4e30]])
    value, grad = jax.jit(jax.value_and_grad(lambda x: layers.lp_pool(x, (2,), 2.0).sum()))(x)
    np.testing.assert_allclose(value, 5e30, rtol=1e-5)
    np.testing.assert_allclose(grad, [[0.6], [0.8]], rtol=1e-5)


def test_lp_pool_has_a_gradient_of_its_norm():
    x = np.array([[3.0], [0.0], [-4.0]], np.float32)
    assert_matches_torch(
        lambda x, norm: layers.lp_pool(x, (3,), norm),
        lambda x, norm: (x.abs() ** norm).sum(0, keepdim=True) ** (1 / norm),
        [x, np.float32(2.5)],
    )


@pytest.mark.parametrize("rng", configurations(seed=2, fast=(0, 1)), ids=range(20))
def test_fractional_max_pool_matches_torch(rng):
    n, window = rng.integers(6, 10, 2), rng.integers(1, 4, 2)
    size = [int(rng.integers(1, a - k + 2)) for a, k in zip(n, window, strict=True)]
    x = rng.permutation(np.prod(n) * 4).reshape(2, *n, 2).astype(np.float32)
    key = jax.random.key(int(rng.integers(99)))
    with jax.enable_x64(os.environ["JNN_ORACLE_DTYPE"] == "float64"):  # the draw is of the widest dtype that there is
        u = np.asarray(jax.random.uniform(key, (2, 2)))
    samples = torch.tensor(np.repeat(u[:, None, ::-1], 2, axis=1), dtype=torch.float64)  # one a channel, x before y
    assert_matches_torch(
        lambda x: layers.fractional_max_pool(x, size, window.tolist(), key=key),
        lambda x: last(F.fractional_max_pool2d(first(x), window.tolist(), size, _random_samples=samples)),
        [x],
    )


def test_conv_lstm_cell_matches_flax():
    theirs = flax.linen.ConvLSTMCell(4, (3, 3))
    rng = np.random.default_rng(0)
    x, h, c = normals(rng, (2, 5, 4, 3), (2, 5, 4, 4), (2, 5, 4, 4))

    @jax.jit
    def both(key, x, h, c):
        p = theirs.init(key, (c, h), x)["params"]
        gates = lambda w: w.reshape(*w.shape[:-1], 4, -1)[..., np.array([0, 2, 1, 3]), :]  # theirs: i g f o
        ours = {"input": {"w": gates(p["ih"]["kernel"])}, "recurrent": {"w": gates(p["hh"]["kernel"])}}
        ours["input"]["b"] = gates(p["ih"]["bias"]).at[1].add(1.0)  # theirs adds 1 to the forget gate
        (c_new, h_new), y = theirs.apply({"params": p}, (c, h), x)
        return layers.conv_lstm_cell(ours, (h, c), x), ((h_new, c_new), y)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *both(jax.random.key(0), x, h, c))


def test_a_video_is_the_cell_step_by_step():
    p = init(layers.conv_lstm_cell_spec(2, 3, (3, 3)), jax.random.key(0))
    (video,) = normals(np.random.default_rng(0), (2, 3, 4, 4, 2))
    y, last_carry = jax.jit(lambda v: layers.rnn(layers.conv_lstm_cell, p, jnp.moveaxis(v, -4, -2)))(video)
    carry, cell = layers.conv_lstm_carry(p, video[:, 0]), jax.jit(layers.conv_lstm_cell)
    for t in range(3):
        carry, step = cell(p, carry, video[:, t])
        np.testing.assert_allclose(y[..., t, :], step, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last_carry[1], carry[1], rtol=1e-5, atol=1e-5)


X = jnp.ones((4, 4, 3))
LSTM = {"input": {"w": jnp.ones((3, 3, 3, 4, 2))}, "recurrent": {"w": jnp.ones((3, 3, 2, 4, 2))}}
W = {"w": jnp.ones((3, 3, 3, 2))}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: layers.locally_connected({"w": jnp.ones((2, 2, 3, 3, 3, 1))}, X),
            ValueError,
            r"are for \(2, 2\) places",
        ),
        (
            lambda: layers.locally_connected({"w": jnp.ones((2, 2, 3, 3, 1, 1))}, X),
            ValueError,
            r"its parameters expect",
        ),
        (
            lambda: layers.deformable_conv(W, X, jnp.ones((4, 4, 3, 2, 2))),
            ValueError,
            r"expected offsets \(4, 4, 3, 3, 2",
        ),
        (lambda: layers.deformable_conv(W, X[..., :2], X), ValueError, r"deformable_conv: its parameters expect input"),
        (
            lambda: layers.grid_sample(X[None], X[..., :2]),
            ValueError,
            r"grid_sample: expected a grid \(..., \*out, 2\)",
        ),
        (lambda: layers.affine_grid(X, (2, 2)), ValueError, r"affine_grid: expected theta \(..., 2, 3\)"),
        (lambda: layers.max_pool_with_indices(X, (5, 5)), ValueError, r"max_pool_with_indices: a window that reaches"),
        (lambda: layers.max_unpool(X, jnp.ones((4, 4, 3), int) * 64, (8, 8)), ValueError, r"expected indices in 0..63"),
        (lambda: layers.max_unpool(X, X, (8, 8)), TypeError, r"max_unpool: expected integers"),
        (lambda: layers.lp_pool(X, (2, 2), 0.5), ValueError, r"lp_pool: expected norm >= 1, found 0.5"),
        (
            lambda: layers.fractional_max_pool(X, (4, 4), (2, 2), key=None),
            ValueError,
            r"\(4, 4\) windows \(2, 2\) do not",
        ),
        (lambda: layers.fractional_max_pool(X, (2, 2), (2, 2), key=3), TypeError, r"expected one PRNG key"),
        (lambda: layers.conv_lstm_cell(LSTM, None, X[..., :2]), ValueError, r"conv_lstm_cell: its parameters expect"),
        (lambda: layers.conv_lstm_cell(LSTM, (X, X), X), ValueError, r"conv_lstm_cell: for x .* expected the carry"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
