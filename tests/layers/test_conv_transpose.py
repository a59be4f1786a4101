"""conv_transpose against torch and Flax, as the transpose of conv, and bad input."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import init
from jnn.layers import conv, conv_spec, conv_transpose, conv_transpose_spec
from tests.layers.channels import first, last
from tests.oracle import assert_matches_flax, assert_matches_torch, configurations

CONV_TRANSPOSE = {
    1: torch.nn.functional.conv_transpose1d,
    2: torch.nn.functional.conv_transpose2d,
    3: torch.nn.functional.conv_transpose3d,
}


def torch_kernel(w, groups):
    """(*kernel, c_in / groups, c_out) -> torch's (c_in, c_out / groups, *kernel)."""
    by_group = w.unflatten(-1, (groups, -1))  # (*kernel, c_in / groups, groups, c_out / groups)
    return by_group.movedim(-2, 0).movedim(-2, 1).flatten(0, 1).movedim(-1, 1)


@pytest.mark.parametrize("rng", configurations(24, fast=(0, 1, 2, 8, 19)), ids=range(24))
def test_matches_torch(rng):
    n, groups = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    size, dilation, stride = (rng.integers(1, high, n).tolist() for high in (5, 3, 4))
    crop = rng.integers(0, 3, n).tolist()
    extra = [int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)]
    spatial = [int(rng.integers(5, 7)) for _ in range(n)]
    c_in, c_out = (groups * rng.integers(1, 4, 2)).tolist()
    shapes = [(2, *spatial, c_in), (*size, c_in // groups, c_out), (c_out,)]

    def theirs(x, w, b):
        w = torch_kernel(w, groups)
        return last(CONV_TRANSPOSE[n](first(x), w, b, stride, crop, extra, groups, dilation))

    assert_matches_torch(
        lambda x, w, b: conv_transpose(
            {"w": w, "b": b},
            x,
            stride=stride,
            padding=[(c, c) for c in crop],
            output_padding=extra,
            dilation=dilation,
            groups=groups,
        ),
        theirs,
        [rng.normal(size=s).astype(np.float32) for s in shapes],
    )


@pytest.mark.parametrize(("size", "stride"), [((4, 4), 2), ((3, 2), (2, 1)), ((5,), 3), ((2, 2), 2), ((3, 3), 1)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_matches_flax_with_the_kernel_flipped(size, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, *(5, 6)[: len(size)], 3))
    theirs = flax.linen.ConvTranspose(4, size, strides=stride, padding=padding)
    flipped = lambda p: p | {"w": jnp.flip(p["w"], range(len(size)))}
    assert_matches_flax(lambda p, x: conv_transpose(flipped(p), x, stride=stride, padding=padding), theirs, x)


@pytest.mark.parametrize("size", [(2, 3), (4, 5), (1, 2)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_is_the_transpose_of_conv(size, stride):
    w = init(conv_spec(3, 4, size, bias=False), jax.random.key(0))["w"]
    y = jax.random.normal(jax.random.key(1), (2, 4, 3, 4))

    @jax.jit
    def both(w, y):
        ours = conv_transpose({"w": w.swapaxes(-1, -2)}, y, stride=stride)
        _, transpose = jax.vjp(lambda x: conv({"w": w}, x, stride=stride), jnp.zeros((*ours.shape[:-1], 3)))
        return ours, transpose(y)[0]

    np.testing.assert_allclose(*both(w, y), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "arguments", "error", "message"),
    [
        (
            jnp.ones((4, 4, 5)),
            {},
            ValueError,
            r"conv_transpose: its parameters expect input \[...,3\], found float32\[4,4,5\]",
        ),
        (jnp.ones((4, 4, 3), jnp.int32), {}, TypeError, r"conv_transpose: expected floating-point input"),
        (jnp.ones((0, 4, 4, 3)), {}, ValueError, r"conv_transpose: expected at least one example"),
        (jnp.ones((4, 3)), {}, ValueError, r"conv_transpose: expected an array of rank 3 or more"),
        (jnp.ones((4, 4, 3)), {"padding": "CAUSAL"}, ValueError, r"conv_transpose: padding is one of SAME, VALID"),
        (
            jnp.ones((4, 4, 3)),
            {"output_padding": 1},
            ValueError,
            r"conv_transpose: output_padding \(1, 1\) must be less",
        ),
        (jnp.ones((1, 1, 3)), {"padding": [(2, 2), (2, 2)]}, ValueError, r"conv_transpose: padding .* leaves nothing"),
        (jnp.ones((4, 4, 6)), {"groups": 2}, ValueError, r"conv_transpose: 2 groups do not divide the 5 output"),
    ],
)
def test_bad_input_is_one_clear_error(x, arguments, error, message):
    with pytest.raises(error, match=message):
        conv_transpose(init(conv_transpose_spec(3, 5, (3, 3)), jax.random.key(0)), x, **arguments)
