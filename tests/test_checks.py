"""The checks: what passes, what raises, and what is not looked at inside a trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import checks

X = jnp.ones((2, 3))


def test_good_input_passes():
    checks.floats("layer", X.astype(jnp.bfloat16), ndim=2)
    checks.trailing("layer", X, (3,))
    checks.trailing("layer", X, (2, 3))
    checks.trailing("layer", X, ())
    checks.integers("layer", jnp.arange(3))
    checks.same_shape("layer", a=X, b=X)
    checks.in_range("layer", jnp.arange(3), 3)
    checks.in_unit_interval("layer", "x", X)
    checks.maps("layer", {"q": {"w": X}, "k": {"w": X, "b": X}}, "q", "k")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: checks.floats("layer", jnp.arange(3)), TypeError, r"layer: .* found int32\[3\]. Cast it: x.astype"),
        (lambda: checks.floats("layer", X, ndim=3), ValueError, r"layer: .* rank 3 or more, found float32\[2,3\]"),
        (lambda: checks.floats("layer", X[:0]), ValueError, r"layer: .* at least one example, .* float32\[0,3\]"),
        (lambda: checks.trailing("layer", X, (4,)), ValueError, r"layer: .* \[...,4\], found float32\[2,3\]"),
        (lambda: checks.trailing("layer", X, (1, 2, 3)), ValueError, r"layer: .* \[...,1,2,3\], found float32\[2,3\]"),
        (lambda: checks.integers("layer", X), TypeError, r"layer: expected integers, found float32\[2,3\]"),
        (lambda: checks.integers("layer", X[:0].astype(int)), ValueError, "at least one example"),
        (lambda: checks.same_shape("layer", a=X, b=X[0]), ValueError, r"found a float32\[2,3\], b float32\[3\]"),
        (
            lambda: checks.in_range("layer", jnp.array([0, 3]), 3),
            ValueError,
            r"labels in 0..2 \(3 classes\), found 0..3",
        ),
        (lambda: checks.in_range("layer", jnp.array([-1]), 3), ValueError, r"found -1..-1"),
        (
            lambda: checks.in_unit_interval("layer", "p", -X),
            ValueError,
            r"layer: expected p in \[0, 1\], found .* -1.0",
        ),
        (
            lambda: checks.map_parts("layer", [{"w": X}, {"kernel": X}], 0, 1, what="params['out']"),
            ValueError,
            r"layer: expected params\['out'\]\[1\], a dict with 'w', 'b'; found 'kernel', which is 'w' here",
        ),
        (lambda: checks.in_unit_interval("layer", "p", X * jnp.nan), ValueError, "found values from nan to nan"),
    ],
)
def test_bad_input_names_what_was_found_and_expected(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_values_are_unknown_under_jit_but_shapes_are_not():
    jax.jit(lambda y: checks.in_range("layer", y, 3))(jnp.array([7]))
    jax.jit(lambda p: checks.in_unit_interval("layer", "p", p))(X * 7)
    with pytest.raises(ValueError, match="found float32"):
        jax.jit(lambda x: checks.trailing("layer", x, (4,)))(X)


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16", "int64", "bool"])
def test_a_pair_is_of_one_dtype_and_numpy_keeps_its_digits(name):
    """Of NumPy's float64 beside a JAX array none is asked that JAX does not have, which would be a warning."""
    targets = np.ones(2, jnp.dtype(name))
    predictions, found = checks.pair("error", jnp.zeros(2, jnp.bfloat16), targets)
    assert predictions.dtype == jnp.float32
    assert found.dtype == (np.float64 if name == "float64" else np.float32)
    assert checks.pair("error", np.full(2, 1 + 2**-40), targets)[0][0] == 1 + 2**-40
