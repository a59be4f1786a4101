"""conv against torch and Flax, its formulations against each other, causality by gradient, bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import backend, init
from jnn.layers import conv, conv_spec
from tests.layers.channels import first, kernel, last, pad_argument
from tests.oracle import assert_matches_flax, assert_matches_torch, configurations

CONV = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}


def random_arrays(rng, n, size, spatial, groups):
    c_in, c_out = groups * rng.integers(1, 4, 2)
    shapes = [(2, *spatial, c_in), (*size, c_in // groups, c_out), (c_out,)]
    return [rng.normal(size=s).astype(np.float32) for s in shapes]


@pytest.mark.parametrize("rng", configurations(24, fast=(4, 5, 8, 9, 12, 17, 19)), ids=range(24))
def test_matches_torch(rng):
    n, groups = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    size, dilation, stride = (rng.integers(1, high, n).tolist() for high in (4, 3, 3))
    extent = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    spatial = [e + int(rng.integers(1, 4)) for e in extent]
    both_sides = [((e - 1) // 2, e // 2) for e in extent]
    anything = [tuple(rng.integers(0, 3, 2).tolist()) for _ in range(n)]
    named = {
        "VALID": ([(0, 0)] * n, "constant"),
        "CIRCULAR": (both_sides, "circular"),
        "REFLECT": (both_sides, "reflect"),
        "pairs": (anything, "constant"),
    }
    if n == 1:
        named["CAUSAL"] = ([(extent[0] - 1, 0)], "constant")
    if set(stride) == {1}:
        named["SAME"] = (both_sides, "constant")
    name = str(rng.choice(list(named)))
    pairs, mode = named[name]

    def theirs(x, w, b):
        x = torch.nn.functional.pad(first(x), pad_argument(pairs), mode=mode)
        return last(CONV[n](x, kernel(w), b, stride=stride, dilation=dilation, groups=groups))

    assert_matches_torch(
        lambda x, w, b: conv(
            {"w": w, "b": b},
            x,
            stride=stride,
            padding=anything if name == "pairs" else name,
            dilation=dilation,
            groups=groups,
        ),
        theirs,
        random_arrays(rng, n, size, spatial, groups),
    )


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [((3, 3), 2, "SAME"), ((2, 5), (3, 1), "SAME"), ((4,), 3, "CAUSAL"), ((4, 3), 2, "CIRCULAR"), ((3,), 2, "REFLECT")],
)
def test_matches_flax(size, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, *(9, 8)[: len(size)], 5))
    theirs = flax.linen.Conv(6, size, strides=stride, padding=padding)
    assert_matches_flax(lambda p, x: conv(p, x, stride=stride, padding=padding), theirs, x)


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((1, 1), {}),
        ((1,), {"padding": "REFLECT"}),
        ((1, 1), {"stride": 2}),
        ((1, 1), {"padding": [(1, 1), (1, 1)], "stride": 2}),  # out comes the input's shape, and yet it is no product
    ],
)
def test_formulations_agree(size, arguments):
    p = init(conv_spec(5, 4, size), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, *(3,) * len(size), 5))
    run = jax.jit(jax.value_and_grad(lambda p, x: jnp.sum(jnp.square(conv(p, x, **arguments))), argnums=(0, 1)))
    here = run(p, x)
    with backend.target("tpu"):
        there = run(p, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), here, there)


@pytest.mark.parametrize(
    ("size", "arguments"),
    [
        ((3,), {"stride": 2, "dilation": 2}),
        ((2, 3), {"stride": (2, 1), "padding": [(1, 0), (2, 2)]}),
        ((3, 3, 2), {"padding": "VALID"}),
    ],
)
def test_gradients_in_a_loop_are_convolutions_with_channels_last_and_every_derivative_is_there(size, arguments):
    p = init(conv_spec(5, 4, size), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, *(6,) * len(size), 5))
    square = lambda p, x: jnp.sum(jnp.square(conv(p, x, **arguments)))
    looped = lambda p, x: jax.lax.map(lambda x: square(p, x), x[None])[0]
    program = str(jax.make_jaxpr(jax.grad(looped, (0, 1)))(p, x).pretty_print(use_color=False))
    last = f"lhs_spec=(0, {len(size) + 1}, 1"
    assert program.count("lhs_spec=") == program.count(last) == 3
    kernels = f"rhs_spec=({len(size) + 1}, {len(size)}, 0"
    assert program.count("rhs_spec=") == program.count(kernels)

    along = lambda of: jax.jit(lambda p, x: jax.jvp(of, (p, x), (p, x)))(p, x)
    here = along(jax.value_and_grad(square, (0, 1)))
    with backend.target("tpu"):
        there = along(jax.value_and_grad(square, (0, 1)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), here, there)


def test_causal_output_reads_no_later_input():
    p = init(conv_spec(2, 3, (3,)), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (8, 2))
    reads = jax.jit(jax.jacobian(lambda x: conv(p, x, padding="CAUSAL", dilation=2)))(x)  # (t, c_out, s, c_in)
    reads = np.abs(reads).sum((1, 3)) > 0
    t, s = np.indices((8, 8))
    np.testing.assert_array_equal(reads, (t - s >= 0) & (t - s <= 4) & ((t - s) % 2 == 0))


def test_circular_commutes_with_shifts():
    p = init(conv_spec(2, 3, (3, 4)), jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (6, 5, 2))
    shift = lambda x: jnp.roll(x, (2, 1), axis=(0, 1))
    both = jax.jit(lambda x: (conv(p, shift(x), padding="CIRCULAR"), shift(conv(p, x, padding="CIRCULAR"))))
    np.testing.assert_allclose(*both(x), rtol=1e-5, atol=1e-5)


def test_initial_variance_keeps_a_relu_network_alive():
    w = init(conv_spec(64, 32, (3, 3), groups=2), jax.random.key(0))["w"]
    np.testing.assert_allclose(w.var(), 2 / (3 * 3 * 32), rtol=0.05)


@pytest.mark.parametrize(
    ("x", "arguments", "error", "message"),
    [
        (
            jnp.ones((4, 8, 8, 5)),
            {},
            ValueError,
            r"conv: its parameters expect input \[...,3\], found float32\[4,8,8,5\]",
        ),
        (jnp.ones((4, 8, 8, 3), jnp.int32), {}, TypeError, r"conv: expected floating-point input, found int32"),
        (jnp.ones((0, 8, 8, 3)), {}, ValueError, r"conv: expected at least one example"),
        (jnp.ones((8, 3)), {}, ValueError, r"conv: expected an array of rank 3 or more, found float32\[8,3\]"),
        (jnp.ones((2, 8, 3)), {"padding": "VALID"}, ValueError, r"conv: a window that reaches \(3, 3\) does not fit"),
        (jnp.ones((8, 8, 3)), {"padding": "full"}, ValueError, r"conv: padding is one of SAME, .* found 'FULL'"),
        (jnp.ones((8, 8, 3)), {"padding": "CAUSAL"}, ValueError, r"conv: CAUSAL padding is for one axis"),
        (
            jnp.ones((8, 8, 3)),
            {"padding": (1, 1, 1)},
            ValueError,
            r"conv: explicit padding is an int, or 2 ints or pairs",
        ),
        (
            jnp.ones((8, 8, 3)),
            {"padding": [(1, -1), (0, 0)]},
            ValueError,
            r"conv: explicit padding is an int, or 2 ints or pairs",
        ),
        (jnp.ones((8, 8, 3)), {"stride": 0}, ValueError, r"conv: stride is an int >= 1, .* found 0"),
        (
            jnp.ones((8, 8, 3)),
            {"dilation": (1, 1, 1)},
            ValueError,
            r"conv: dilation is an int >= 1, or one for each of 2",
        ),
        (jnp.ones((8, 8, 6)), {"groups": 2}, ValueError, r"conv: 2 groups do not divide the 5 output channels"),
    ],
)
def test_bad_input_is_one_clear_error(x, arguments, error, message):
    with pytest.raises(error, match=message):
        conv(init(conv_spec(3, 5, (3, 3)), jax.random.key(0)), x, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"kernel": 3},
            r"conv_spec: expected one window size per spatial axis, .* found 3. .* images \(3, 3\)",
        ),
        ({"kernel": (3, 0)}, r"conv_spec: window is an int >= 1"),
        ({"kernel": (1, 1, 1, 1)}, r"conv_spec: expected one window size per spatial axis"),
        ({"kernel": (3,), "groups": 2}, r"conv_spec: 2 groups do not divide c_in=3 and c_out=4"),
    ],
)
def test_bad_declarations_are_one_clear_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        conv_spec(3, 4, **arguments)
