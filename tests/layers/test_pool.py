"""Pooling against torch and Flax, both formulations, its laws, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import backend
from jnn.layers import adaptive_avg_pool, adaptive_max_pool, avg_pool, global_avg_pool, global_max_pool, max_pool
from tests.layers.channels import first, last
from tests.oracle import assert_matches_torch, configurations

F = torch.nn.functional
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
ADAPTIVE_MAX = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
ADAPTIVE_AVG = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def window_of(rng):
    """Dimensions, window, stride, torch's symmetric padding, and an input that has no ties."""
    n = int(rng.integers(1, 4))
    window, stride = rng.integers(1, 5, n).tolist(), rng.integers(1, 4, n).tolist()
    padding = [int(rng.integers(0, k // 2 + 1)) for k in window]
    shape = (2, *(k + int(rng.integers(0, 4)) for k in window), 3)
    return n, window, stride, padding, rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32) / 50


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 8)), ids=range(20))
def test_max_pool_matches_torch(rng):
    n, window, stride, padding, x = window_of(rng)
    assert_matches_torch(
        lambda x: max_pool(x, window, stride=stride, padding=[(p, p) for p in padding]),
        lambda x: last(MAX[n](first(x), window, stride, padding)),
        [x],
    )


@pytest.mark.parametrize("rng", configurations(20, seed=1, fast=(0, 5, 8, 13)), ids=range(20))
def test_avg_pool_matches_torch(rng):
    n, window, stride, padding, x = window_of(rng)
    count = bool(rng.integers(2))
    assert_matches_torch(
        lambda x: avg_pool(x, window, stride=stride, padding=[(p, p) for p in padding], count_padding=count),
        lambda x: last(AVG[n](first(x), window, stride, padding, count_include_pad=count)),
        [x],
    )


@pytest.mark.parametrize("rng", configurations(20, seed=2, fast=(0, 1, 2)), ids=range(20))
def test_adaptive_pools_match_torch(rng):
    n, _, _, _, x = window_of(rng)
    size = [int(rng.integers(1, axis + 1)) for axis in x.shape[1:-1]]
    assert_matches_torch(lambda x: adaptive_max_pool(x, size), lambda x: last(ADAPTIVE_MAX[n](first(x), size)), [x])
    assert_matches_torch(lambda x: adaptive_avg_pool(x, size), lambda x: last(ADAPTIVE_AVG[n](first(x), size)), [x])


@pytest.mark.parametrize("rng", configurations(20, seed=3, fast=(0, 3, 6)), ids=range(20))
def test_global_pools_match_torch(rng):
    n, _, _, _, x = window_of(rng)
    axes = tuple(range(1, n + 1))
    assert_matches_torch(lambda x: global_max_pool(x, spatial=n), lambda x: torch.amax(x, axes), [x])
    assert_matches_torch(lambda x: global_avg_pool(x, spatial=n), lambda x: torch.mean(x, axes), [x])


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(1, 0), (0, 1)]])
@pytest.mark.parametrize(("window", "stride"), [((2, 2), 2), ((3, 3), 2), ((2, 3), (1, 3))])
def test_matches_flax(window, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, 7, 8, 3))
    strides = (stride, stride) if isinstance(stride, int) else stride

    @jax.jit
    def both(x):
        ours = lambda pool, **how: pool(x, window, stride=stride, padding=padding, **how)
        theirs = lambda pool, **how: pool(x, window, strides, padding, **how)
        averages = [
            (ours(avg_pool, count_padding=count), theirs(flax.linen.avg_pool, count_include_pad=count))
            for count in (True, False)
        ]
        return (ours(max_pool), theirs(flax.linen.max_pool)), averages

    maxima, averages = both(x)
    np.testing.assert_allclose(*maxima, rtol=1e-6)
    for pair in averages:
        np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("window", "stride", "padding"), [((2, 2), None, "VALID"), ((3, 2), 2, "SAME")])
def test_formulations_of_max_pool_agree(window, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, 5, 6, 3))
    square = lambda x: jnp.sum(jnp.square(max_pool(x, window, stride=stride, padding=padding)))
    run = jax.jit(jax.value_and_grad(square))
    here = run(x)
    with backend.target("tpu"):
        there = run(x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), here, there)


def test_ties_share_one_gradient():
    x = jnp.zeros((4, 4, 1))
    shares = jax.grad(lambda x: max_pool(x, (2, 2)).sum())(x)
    np.testing.assert_allclose(shares.reshape(2, 2, 2, 2).sum((1, 3)), 1)


def test_adaptive_pooling_generalizes_the_other_two():
    x = jax.random.normal(jax.random.key(0), (2, 6, 4, 3))
    np.testing.assert_allclose(adaptive_avg_pool(x, (3, 2)), avg_pool(x, (2, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(adaptive_max_pool(x, (1, 1))[:, 0, 0], global_max_pool(x))
    np.testing.assert_array_equal(adaptive_max_pool(x, (6, 4)), x)


def test_padding_never_wins_a_maximum():
    x = jnp.full((3, 3, 1), -5.0)
    np.testing.assert_array_equal(max_pool(x, (2, 2), stride=1, padding=[(1, 1), (1, 1)]), jnp.full((4, 4, 1), -5.0))


def test_an_average_in_half_precision_is_summed_in_single():
    x = jnp.ones((2049, 1), jnp.bfloat16)
    np.testing.assert_array_equal(avg_pool(x, (2049,)), jnp.ones((1, 1), jnp.bfloat16))


@pytest.mark.parametrize("pool", [max_pool, avg_pool], ids=["max_pool", "avg_pool"])
@pytest.mark.parametrize(
    ("x", "arguments", "error", "message"),
    [
        (jnp.ones((4, 4, 3), jnp.int32), {}, TypeError, r"_pool: expected floating-point input"),
        (jnp.ones((0, 4, 4, 3)), {}, ValueError, r"_pool: expected at least one example"),
        (jnp.ones((4, 3)), {}, ValueError, r"_pool: expected an array of rank 3 or more"),
        (jnp.ones((1, 4, 3)), {}, ValueError, r"_pool: a window that reaches \(2, 2\) does not fit"),
        (
            jnp.ones((4, 4, 3)),
            {"window": 2},
            ValueError,
            r"_pool: expected one window size per spatial axis, .* images \(2, 2\)",
        ),
        (jnp.ones((4, 4, 3)), {"stride": -1}, ValueError, r"_pool: stride is an int >= 1"),
        (jnp.ones((4, 4, 3)), {"padding": "REFLECT"}, ValueError, r"_pool: padding is one of SAME, VALID"),
        (
            jnp.ones((4, 4, 3)),
            {"padding": [(2, 0), (0, 0)]},
            ValueError,
            r"_pool: padding .* must be less than the window",
        ),
    ],
)
def test_bad_input_is_one_clear_error(pool, x, arguments, error, message):
    with pytest.raises(error, match=message):
        pool(x, **{"window": (2, 2)} | arguments)


@pytest.mark.parametrize("pool", [adaptive_max_pool, adaptive_avg_pool], ids=["max", "avg"])
@pytest.mark.parametrize(
    ("x", "size", "error", "message"),
    [
        (jnp.ones((4, 4, 3)), (5, 1), ValueError, r"adaptive_..._pool: the output size \(5, 1\) is larger"),
        (jnp.ones((4, 4, 3)), (0, 1), ValueError, r"adaptive_..._pool: window is an int >= 1"),
        (jnp.ones((4, 4, 3), jnp.int32), (1, 1), TypeError, r"adaptive_..._pool: expected floating-point|found int32"),
        (jnp.ones((4, 3)), (1, 1), ValueError, r"adaptive_..._pool: expected an array of rank 3 or more"),
    ],
)
def test_bad_adaptive_input_is_one_clear_error(pool, x, size, error, message):
    with pytest.raises(error, match=message):
        pool(x, size)


@pytest.mark.parametrize("pool", [global_max_pool, global_avg_pool], ids=["max", "avg"])
def test_bad_global_input_is_one_clear_error(pool):
    with pytest.raises(TypeError, match=r"global_..._pool: expected floating-point input"):
        pool(jnp.ones((4, 4, 3), jnp.int32))
    with pytest.raises(ValueError, match=r"global_..._pool: expected an array of rank 4 or more"):
        pool(jnp.ones((4, 4, 3)), spatial=3)
    with pytest.raises(ValueError, match=r"global_..._pool: expected at least one example"):
        pool(jnp.ones((0, 4, 4, 3)))
