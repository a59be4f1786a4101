"""8-bit linear maps against NumPy's products of rounded operands, and against `linear`; ranges and errors."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

import jnn
from jnn import layers
from tests.oracle import configurations

RANGE = {ml_dtypes.float8_e4m3fn: 448.0, ml_dtypes.float8_e5m2: 57344.0}


def rounded(a, axis, kind):
    """What 8 bits hold of an array, each slice along this axis scaled by its greatest."""
    greatest = np.abs(a).max(axis, keepdims=True).astype(np.float32)
    unit = RANGE[kind] / greatest
    return (a * unit).astype(np.float32).astype(kind).astype(np.float64) / unit


@jax.jit
def of_both(p, x, g):
    """Outputs and gradients of `fp8_linear` and of `linear`."""
    found = []
    for layer in (layers.fp8_linear, layers.linear):
        y, back = jax.vjp(lambda p, x, layer=layer: layer(p, x, in_axes=2), p, x)
        found.append((y, *back(g)))
    return found


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_is_the_product_of_rounded_operands(rng):
    p = {"w": rng.normal(size=(4, 8, 16)).astype(np.float32), "b": rng.normal(size=16).astype(np.float32)}
    x = (rng.normal(size=(3, 5, 4, 8)) * 10.0 ** rng.integers(-8, 8, (3, 5, 1, 1))).astype(np.float32)
    g = (rng.normal(size=(3, 5, 16)) * 10.0 ** rng.integers(-8, 8, (3, 5, 1))).astype(np.float32)
    (y, dp, dx), (y_wide, dp_wide, dx_wide) = of_both(p, x, g)
    w, rows, e4m3 = p["w"].reshape(32, 16), x.reshape(3, 5, 32), ml_dtypes.float8_e4m3fn
    expected = rounded(rows, -1, e4m3) @ rounded(w, 0, e4m3)
    same = {"rtol": 0, "atol": 0.02}  # where NumPy's scale is another to the last bit, a number may round otherwise
    size = np.linalg.norm(rows, axis=-1, keepdims=True) * np.linalg.norm(w, axis=0) / 32**0.5
    np.testing.assert_allclose((np.asarray(y) - p["b"]) / (size + 1), expected / (size + 1), **same)
    back = rounded(g, -1, ml_dtypes.float8_e5m2) @ rounded(w, 1, e4m3).T
    size = np.linalg.norm(g, axis=-1, keepdims=True) * np.linalg.norm(w, axis=1) / 16**0.5
    np.testing.assert_allclose(np.asarray(dx).reshape(3, 5, 32) / size, back / size, **same)
    for name in p:
        np.testing.assert_allclose(dp[name], dp_wide[name], rtol=0, atol=1e-5 * np.abs(dp_wide[name]).max())
    y, y_wide, dx, dx_wide = (np.asarray(a) for a in (y, y_wide, dx, dx_wide))
    near = lambda a, b: np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)
    assert near(y, y_wide).mean() < 0.05
    assert near(dx.reshape(3, 5, 32), dx_wide.reshape(3, 5, 32)).mean() < 0.1


def test_scales_reach_over_the_range_of_float32_and_a_row_sees_no_other():
    sizes = np.array([[0.0], [1e-30], [1.0], [1e18], [3e38]], np.float32)
    x = sizes * np.linspace(-1, 1, 8, dtype=np.float32)
    p = {"w": jnp.eye(8)}
    y, alone = jax.jit(lambda x: (layers.fp8_linear(p, x), jax.lax.map(lambda row: layers.fp8_linear(p, row), x)))(x)
    np.testing.assert_allclose(y, x, rtol=1 / 16)
    np.testing.assert_allclose(y, alone, rtol=1e-6)


def test_operands_are_of_8_bits():
    x = jnp.ones((2, 4), jnp.bfloat16)
    jaxpr = str(jax.make_jaxpr(jax.grad(lambda x: layers.fp8_linear({"w": jnp.ones((4, 3))}, x).sum()))(x))
    assert "f8_e4m3fn[2,4]" in jaxpr
    assert "f8_e5m2[2,3]" in jaxpr


@pytest.mark.slow
def test_a_network_learns_as_with_linear():
    """Three layers learn what three others, of random weights, say; as far as with products of float32."""
    spec = [layers.linear_spec(m, n) for m, n in ((16, 64), (64, 64), (64, 4))]
    x = jax.random.normal(jax.random.key(0), (256, 16))

    def network(layer, p, x):
        for part in p[:-1]:
            x = jax.nn.relu(layer(part, x))
        return layer(p[-1], x)

    y = network(layers.linear, jnn.init(spec, jax.random.key(1)), x)
    adam = optax.adam(3e-3)

    def fit(layer):
        def step(state, _):
            p, memory = state
            value, grads = jax.value_and_grad(lambda p: jnp.mean((network(layer, p, x) - y) ** 2))(p)
            updates, memory = adam.update(grads, memory)
            return (optax.apply_updates(p, updates), memory), value

        p = jnn.init(spec, jax.random.key(2))
        return jax.lax.scan(step, (p, adam.init(p)), None, 300)[1]

    narrow, wide = jax.jit(lambda: (fit(layers.fp8_linear), fit(layers.linear)))()
    assert wide[-1] < 0.02 * wide[0]
    assert narrow[-1] < 0.02 * narrow[0]


@pytest.mark.parametrize(
    ("p", "x", "error", "message"),
    [
        ({"w": jnp.ones((4, 3))}, jnp.ones((2, 5)), ValueError, r"its parameters expect input \[\.\.\.,4\], found"),
        ({"w": jnp.ones((4, 3))}, jnp.ones((2, 4), int), TypeError, "expected floating-point input, found int32"),
        (
            {"kernel": jnp.ones((4, 3))},
            jnp.ones(4),
            ValueError,
            "expected params, a dict with 'w', 'b'; found 'kernel'",
        ),
        (
            {"w": jnp.ones((4, 3, 2))},
            jnp.ones((5, 4, 3)),
            ValueError,
            "w .4, 3, 2. and x .* fit with in_axes=2, found 1",
        ),
    ],
)
def test_bad_input_is_one_clear_error(p, x, error, message):
    with pytest.raises(error, match=f"^fp8_linear: {message}"):
        layers.fp8_linear(p, x)
