"""Derivatives along many directions at once are those along each: at sizes for which XLA:CPU has kernels of its own.

JAX 0.10.2 gives other numbers here, in silence (github.com/jax-ml/jax/issues/39103), but for what sums by a dot."""

import jax
import numpy as np
import pytest

from jnn import layers
from jnn.activations import log_softmax, softmax
from jnn.vectors import unit

ROWS, FEATURES, DIRECTIONS = 256, 32, 16
SCALES = np.random.default_rng(0).normal(size=(2, FEATURES)).astype(np.float32)
P = dict(zip(("scale", "bias"), SCALES, strict=True))
FUNCTIONS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "layer_norm": lambda x: layers.layer_norm(P, x),
    "rms_norm": lambda x: layers.rms_norm({"scale": P["scale"]}, x),
    "batch_norm": lambda x: layers.batch_norm(P, x)[0],
    "group_norm": lambda x: layers.group_norm(P, x.reshape(8, -1, FEATURES), 4, spatial=1).reshape(x.shape),
    "squash": layers.squash,
    "unit": unit,
}
WAYS = {
    "forward": lambda f: lambda x, v: jax.jvp(f, (x,), (v,))[1],
    "back": lambda f: lambda x, v: jax.vjp(f, x)[1](v)[0],
}


OF_XLA = pytest.mark.xfail(jax.__version__ == "0.10.2", reason="XLA:CPU of 0.10.2 is wrong", strict=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [n if n == "softmax" else pytest.param(n, marks=OF_XLA) for n in FUNCTIONS])
def test_derivatives_along_many_directions_and_at_many_points_are_those_of_each(name, way):
    many = np.random.default_rng(1).normal(size=(DIRECTIONS, ROWS, FEATURES)).astype(np.float32)
    run = WAYS[way](FUNCTIONS[name])
    each = jax.jit(run)
    for axes, expected in (
        ((None, 0), [each(many[0], v) for v in many]),
        ((0, None), [each(x, many[0]) for x in many]),
    ):
        given = [many[0] if axis is None else many for axis in axes]
        np.testing.assert_allclose(jax.jit(jax.vmap(run, axes))(*given), np.stack(expected), rtol=1e-3, atol=1e-4)
