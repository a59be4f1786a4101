"""The scan over layers is the loop over them, noise and all; what is no stack, and no layer, is one clear error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.layers import dropout, linear, linear_spec, scan_layers

SPEC = linear_spec(3, 3)
X, KEY = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), jax.random.key(0)
KEPT = lambda p, x, key, _: x


def layer(p, x, key, _):
    return x + dropout(jnp.tanh(linear(p, x)), 0.5, key=key)


def test_it_is_the_loop_with_the_keys_that_it_says():
    stacked, y = jnn.init(jnn.stack(SPEC, 3), KEY), X
    for i in range(3):
        one = jax.tree.map(lambda a, i=i: a[i], stacked)
        y = layer(one, y, jax.random.fold_in(KEY, i + 1), None)
    np.testing.assert_allclose(scan_layers(layer, stacked, X, "embed", key=KEY), y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("stacked", "error", "message"),
    [
        ({}, ValueError, "found no array at all"),
        (
            {"a": np.ones((2, 3)), "b": np.ones(3)},
            ValueError,
            r"found a float64\[2,3\], b float64\[3\].*jnn.stack\(spec",
        ),
        ({"a": np.ones(())}, ValueError, r"one leading axis of layers, found a float64\[\]"),
        (SPEC, TypeError, r"expected an array for stacked/b, found jnn.Param. That is a spec"),
        (2.0, TypeError, "expected an array for stacked, found float"),
    ],
)
def test_what_is_no_stack(stacked, error, message):
    with pytest.raises(error, match=f"scan_layers: .*{message}"):
        scan_layers(KEPT, stacked, X, "embed")


@pytest.mark.parametrize(
    ("of", "error", "message"),
    [
        (lambda p, x: x, TypeError, r"called as layer\(p, x, key, beside\), found one of \(p, x\)"),
        (3, TypeError, "found int"),
        (
            lambda p, x, key, _: x.astype(jnp.bfloat16),
            ValueError,
            r"found bfloat16\[4,3\]. Cast it: y.astype\(x.dtype\)",
        ),
        (lambda p, x, key, _: x[:, :2], ValueError, r"like the one it gets, float32\[4,3\]; found float32\[4,2\]"),
        (lambda p, x, key, _: (x, x), ValueError, "found tuple"),
    ],
)
def test_what_is_no_layer(of, error, message):
    with pytest.raises(error, match=f"scan_layers: .*{message}"):
        scan_layers(of, np.ones((2, 3), np.float32), X, "embed")


def test_no_layers_change_nothing():
    np.testing.assert_array_equal(scan_layers(KEPT, np.ones((0, 3)), X, "embed"), X)
