"""The cells: initial values, Keras's weights, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.layers import gru_cell
from tests.layers.recurrences import CELLS, SPECS, close, inputs, kinds, random_params


@kinds
def test_recurrent_weights_start_orthogonal_gate_by_gate(kind):
    w = jnn.init(SPECS[kind](3, 6), jax.random.key(0))["recurrent"]["w"].reshape(6, -1, 6)
    for gate in range(w.shape[1]):
        np.testing.assert_allclose(w[:, gate].T @ w[:, gate], np.eye(6), atol=1e-5)
    assert len({float(w[0, gate, 0]) for gate in range(w.shape[1])}) == w.shape[1]


def test_the_forget_gate_starts_open():
    b = jnn.init(jnn.layers.lstm_cell_spec(3, 4, forget_bias=2.0), jax.random.key(0))["input"]["b"]
    np.testing.assert_array_equal(b, np.array([0, 2, 0, 0])[:, None] * np.ones((1, 4)))


def test_low_precision_parameters_can_be_drawn():
    spec = jnn.layers.gru_cell_spec(3, 4, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(jnn.init(spec, jax.random.key(0)))} == {jnp.dtype(jnp.bfloat16)}


def test_keras_gru_weights_load_by_reordering_the_gates():
    """Keras's GRU (`reset_after=True`) by its own equations: gates z r h, biases the rows of one array."""
    rng = np.random.default_rng(0)
    d, h = 3, 4
    kernel, recurrent, bias = (rng.normal(size=s).astype(np.float32) for s in [(d, 3 * h), (h, 3 * h), (2, 3 * h)])
    x, state = inputs(2, d), inputs(2, h)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    xz, xr, xh = np.split(x @ kernel + bias[0], 3, axis=-1)
    hz, hr, hh = np.split(state @ recurrent + bias[1], 3, axis=-1)
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    expected = z * state + (1 - z) * np.tanh(xh + r * hh)
    order = [1, 0, 2]
    p = {
        "input": {"w": kernel.reshape(d, 3, h)[:, order], "b": bias[0].reshape(3, h)[order]},
        "recurrent": {"w": recurrent.reshape(h, 3, h)[:, order], "b": bias[1].reshape(3, h)[order]},
    }
    close(gru_cell(p, state, x)[1], expected)


@kinds
@pytest.mark.parametrize(
    ("x", "carry", "error", "message"),
    [
        (jnp.ones((2, 4)), None, ValueError, r"_cell: its parameters expect input \[...,3\], found float32\[2,4\]"),
        (jnp.ones((2, 3), int), None, TypeError, r"_cell: expected floating-point input, found int32\[2,3\]"),
        (jnp.ones((0, 3)), None, ValueError, r"_cell: expected at least one example"),
        (jnp.ones(()), None, ValueError, r"_cell: expected an array of rank 1 or more"),
        (jnp.ones((2, 3)), jnp.ones(5), ValueError, r"_cell: for x float32\[2,3\] expected the carry .*float32\[2,4\]"),
    ],
)
def test_bad_input_of_a_cell_is_one_clear_error(kind, x, carry, error, message):
    with pytest.raises(error, match=kind + message):
        CELLS[kind](random_params(SPECS[kind](3, 4)), carry, x)
