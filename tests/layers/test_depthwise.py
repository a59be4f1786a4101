"""Depthwise and separable convolution against torch and Flax, both formulations, forward mode, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import backend, init
from jnn.layers import conv, depthwise_conv, depthwise_conv_spec, separable_conv, separable_conv_spec
from jnn.layers._window import Window
from jnn.layers.kernels._taps import depthwise_by_taps
from tests.layers.channels import first, kernel, last, pad_argument
from tests.layers.test_conv import CONV
from tests.oracle import assert_matches_flax, assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2, 9)), ids=range(20))
def test_depthwise_matches_torch(rng):
    n, channels, multiplier = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    size, dilation, stride = (rng.integers(1, high, n).tolist() for high in (4, 3, 4))
    spatial = [(k - 1) * d + 1 + int(rng.integers(0, 4)) for k, d in zip(size, dilation, strict=True)]
    pairs = [tuple(rng.integers(0, 3, 2).tolist()) for _ in range(n)]

    def theirs(x, w, b):
        x = torch.nn.functional.pad(first(x), pad_argument(pairs))
        return last(CONV[n](x, kernel(w), b, stride=stride, dilation=dilation, groups=channels))

    wide = channels * multiplier
    shapes = [(2, *spatial, channels), (*size, 1, wide), (wide,)]
    assert_matches_torch(
        lambda x, w, b: depthwise_conv({"w": w, "b": b}, x, stride=stride, padding=pairs, dilation=dilation),
        theirs,
        [rng.normal(size=s).astype(np.float32) for s in shapes],
    )


@pytest.mark.parametrize("rng", configurations(20, seed=1, fast=(0, 5, 8, 10)), ids=range(20))
def test_separable_matches_torch(rng):
    n, c_in, multiplier, c_out = int(rng.integers(1, 4)), *rng.integers(1, 4, 3).tolist()
    size = (2 * rng.integers(0, 2, n) + 1).tolist()
    between = c_in * multiplier

    def theirs(x, depthwise, pointwise, b):
        h = CONV[n](first(x), kernel(depthwise), groups=c_in, padding=[k // 2 for k in size])
        return last(h) @ pointwise + b

    shapes = [(2, *rng.integers(3, 6, n), c_in), (*size, 1, between), (between, c_out), (c_out,)]
    assert_matches_torch(
        lambda x, d, w, b: separable_conv({"depthwise": {"w": d}, "pointwise": {"w": w, "b": b}}, x),
        theirs,
        [rng.normal(size=s).astype(np.float32) for s in shapes],
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR", "REFLECT"])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_matches_flax(padding, stride):
    x = jax.random.normal(jax.random.key(0), (2, 6, 7, 3))
    theirs = flax.linen.Conv(6, (3, 2), strides=stride, padding=padding, feature_group_count=3)
    assert_matches_flax(lambda p, x: depthwise_conv(p, x, stride=stride, padding=padding), theirs, x)


def test_formulations_agree_and_are_conv_with_groups():
    p = init(depthwise_conv_spec(3, (3, 3), multiplier=2), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 3))
    run = lambda layer: jax.jit(jax.value_and_grad(lambda p, x: jnp.sum(layer(p, x) ** 2), argnums=(0, 1)))(p, x)
    here = run(depthwise_conv)
    with backend.target("tpu"):
        there = run(depthwise_conv)
    grouped = run(lambda p, x: conv(p, x, groups=3))
    for other in (there, grouped):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), here, other)


@pytest.mark.parametrize("spatial", [(8, 3), (3, 17), (1, 9), (24,)])
def test_places_and_taps_beyond_one_reduction_are_summed(spatial):
    """Gradients by filters are sums of runs of places, what is left behind them, and of a few taps at once."""
    size = (4, 3)[: len(spatial)]
    p = init(depthwise_conv_spec(3, size), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, *spatial, 3))
    run = lambda: jax.jit(jax.grad(lambda p: jnp.sum(depthwise_conv(p, x) ** 3)))(p)
    here = run()
    with backend.target("tpu"):
        there = run()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), here, there)


@pytest.mark.parametrize("sizes", ["2, n, 10, 3", "2, 10, n, 3", "2, n, 3"])
def test_gradients_are_written_for_spatial_axes_of_any_size(sizes):
    x = jax.random.normal(jax.random.key(1), [11 if size == "n" else int(size) for size in sizes.split(", ")])
    p = init(depthwise_conv_spec(3, (3, 2)[: x.ndim - 2]), jax.random.key(0))
    run = jax.jit(jax.grad(lambda p, x: jnp.sum(depthwise_conv(p, x, stride=2) ** 3), (0, 1)))
    written = jax.export.export(run)(p, jax.ShapeDtypeStruct(jax.export.symbolic_shape(sizes), x.dtype))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), written.call(p, x), run(p, x))


def _dot(a, b):
    return sum(map(jnp.vdot, jax.tree.leaves(a), jax.tree.leaves(b)))


def _sharded(f, p, x):
    """Rows on eight devices, by hand."""
    mesh, rows = jax.sharding.Mesh(np.array(jax.devices()), ("rows",)), jax.sharding.PartitionSpec("rows")
    run = jax.shard_map(f, mesh=mesh, in_specs=(jax.sharding.PartitionSpec(), rows), out_specs=rows)
    return jax.grad(lambda p, x: jnp.sum(run(p, x) ** 2), argnums=(0, 1))(p, jnp.tile(x, (4, 1, 1, 1)))


DERIVATIVES = {
    "gradient along a direction": lambda f, p, x: jax.jvp(
        jax.grad(lambda *a: jnp.sum(f(*a) ** 3), (0, 1)), (p, x), (p, x)
    ),
    "gradient of a gradient": lambda f, p, x: jax.grad(
        lambda *a: _dot(jax.grad(lambda *b: jnp.sum(f(*b) ** 3), (0, 1))(*a), a), (0, 1)
    )(p, x),
    "gradients of each example": lambda f, p, x: jax.vmap(
        jax.grad(lambda p, x: jnp.sum(f(p, x) ** 2), (0, 1)), (None, 0)
    )(p, x),
    "gradients of each network": lambda f, p, x: jax.vmap(jax.grad(lambda p: jnp.sum(f(p, x) ** 2)))(
        jax.tree.map(lambda w: jnp.stack([w, 2 * w]), p)
    ),
    "gradient within shard_map": _sharded,
}


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("stride", [1, 2])
def test_derivatives_are_those_of_a_convolution(derivative, stride):
    p = init(depthwise_conv_spec(3, (3, 2)), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 5, 6, 3))
    run = jax.jit(lambda p, x: DERIVATIVES[derivative](lambda p, x: depthwise_conv(p, x, stride=stride), p, x))
    here = run(p, x)
    with backend.target("tpu"):
        there = run(p, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), here, there)


def test_no_examples_have_gradients_of_zeros():
    window = Window("depthwise_conv", (3, 3), (2, 1), "SAME", (1, 1))
    run = lambda w, x: depthwise_by_taps(w, x, window).sum()
    dw, dx = jax.grad(run, (0, 1))(jnp.ones((3, 3, 1, 2)), jnp.ones((0, 5, 7, 2)))
    assert dx.shape == (0, 5, 7, 2)
    assert not dw.any()


def test_forward_mode_equals_reverse_mode():
    p = init(depthwise_conv_spec(2, (3, 3)), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (4, 4, 2))
    run = lambda x: depthwise_conv(p, x, stride=2)
    both = jax.jit(lambda x: (jax.jacfwd(run)(x), jax.jacrev(run)(x)))
    np.testing.assert_allclose(*both(x), rtol=1e-5, atol=1e-6)


def test_separable_is_one_convolution_by_the_product_of_its_kernels():
    p = init(separable_conv_spec(3, 5, (3, 3)), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 3))

    @jax.jit
    def both(p, x):
        product = p["depthwise"]["w"][:, :, 0, :, None] * p["pointwise"]["w"][None, None]
        return separable_conv(p, x), conv({"w": product}, x)

    np.testing.assert_allclose(*both(p, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            jnp.ones((4, 4, 4, 5)),
            ValueError,
            r"depthwise_conv: w \(3, 3, 1, 3\) does not hold .* an input of 5 channels",
        ),
        (jnp.ones((4, 4, 4, 3), jnp.int32), TypeError, r"depthwise_conv: expected floating-point input"),
        (jnp.ones((0, 4, 4, 3)), ValueError, r"depthwise_conv: expected at least one example"),
        (jnp.ones((4, 3)), ValueError, r"depthwise_conv: expected an array of rank 3 or more"),
    ],
)
def test_bad_input_is_one_clear_error(x, error, message):
    p = init(depthwise_conv_spec(3, (3, 3)), jax.random.key(0))
    with pytest.raises(error, match=message):
        depthwise_conv(p, x)
