"""Quantum circuits: states as by matrices of the whole state in NumPy, gradients as by shifted angles, embeddings."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import layers
from tests.oracle import configurations

PAULI = {0: [[0, 1], [1, 0]], 1: [[0, -1j], [1j, 0]], 2: [[1, 0], [0, -1]]}


def on(gates):
    """The Kronecker product of a gate for each qubit."""
    return functools.reduce(np.kron, gates)


def turned(state, angle, axis, i, q):
    """A state behind a rotation of one qubit."""
    eye = np.eye(2)
    gate = np.cos(angle / 2) * eye - 1j * np.sin(angle / 2) * np.array(PAULI[axis])
    return on([gate if k == i else eye for k in range(q)]) @ state


def through(state, angles, entangle):
    """A state behind layers of rotations and controlled gates."""
    q, eye = angles.shape[1], np.eye(2)
    up, down, second = np.diag([1, 0]), np.diag([0, 1]), np.array(PAULI[0 if entangle == "cnot" else 2])
    pick = lambda at: on([at.get(k, eye) for k in range(q)])
    for layer in angles:
        for i, axis in np.ndindex(q, 3):
            state = turned(state, layer[i, axis], axis, i, q)
        for i in range(q if q > 2 else q - 1):
            state = (pick({i: up}) + pick({i: down, (i + 1) % q: second})) @ state
    return state


def measured(state, q):
    z = lambda i: on([np.array(PAULI[2]) if k == i else np.eye(2) for k in range(q)])
    return [(state.conj() @ z(i) @ state).real for i in range(q)]


@pytest.mark.parametrize("entangle", ["cnot", "cz"])
@pytest.mark.parametrize("rng", configurations(fast=[2]), ids=range(20))
def test_circuits_are_products_of_kroneckers_matrices(entangle, rng):
    """The state vector of layers; expectations of a circuit; and of one that its input enters again and again."""
    q, depth, d = int(rng.integers(1, 5)), 2, int(rng.integers(1, 7))
    angles, scale = rng.normal(size=(2, depth, q, 3), scale=2)
    x, again = rng.normal(size=(3, q), scale=2), rng.normal(size=(3, d))
    first = rng.normal(size=(3, 2**q)) + 1j * rng.normal(size=(3, 2**q))
    with jax.enable_x64(True):
        state = jax.jit(partial(layers.entangling_layers, entangle=entangle))({"angles": angles}, jnp.asarray(first))
        found = jax.jit(partial(layers.quantum_circuit, entangle=entangle))({"angles": angles}, x)
        uploaded = jax.jit(partial(layers.data_reuploading, entangle=entangle))(
            {"angles": angles, "scale": scale}, again[:, : angles.size]
        )
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
    close(state, [through(row, angles, entangle) for row in first])
    embedded = lambda row: functools.reduce(lambda s, i: turned(s, row[i], 0, i, q), range(q), np.eye(2**q)[0])
    close(found, [measured(through(embedded(row), angles, entangle), q) for row in x])
    of = lambda row: angles + scale * np.resize(row[: angles.size], angles.shape)
    close(uploaded, [measured(through(np.eye(2**q)[0], of(row), entangle), q) for row in again])


def by_parameter_shift(f, angles):
    """Half the differences of f a quarter turn before and behind, angle by angle."""
    moves = np.pi / 2 * np.eye(angles.size).reshape(-1, *angles.shape)
    return np.stack([(f(angles + move) - f(angles - move)) / 2 for move in moves], -1).reshape(-1, *angles.shape)


def test_a_gradient_is_that_of_the_parameter_shift_rule():
    rng = np.random.default_rng(0)
    angles, scale, x = rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3, 3)), rng.normal(size=3)
    with jax.enable_x64(True):
        f = jax.jit(lambda angles: layers.quantum_circuit({"angles": angles}, x))
        np.testing.assert_allclose(jax.jacobian(f)(angles), by_parameter_shift(f, angles), atol=1e-12)
        p = {"angles": angles, "scale": scale}
        again = jax.jit(lambda angles: layers.data_reuploading(p | {"angles": angles}, x))
        shifted = by_parameter_shift(again, angles)
        found = jax.jacobian(layers.data_reuploading)(p, jnp.asarray(x))
        np.testing.assert_allclose(found["angles"], shifted, atol=1e-12)
        np.testing.assert_allclose(found["scale"], shifted * np.resize(x, scale.shape), atol=1e-12)


def test_an_input_that_enters_once_is_a_sine_wave_and_again_and_again_more():
    """Frequencies of the outputs, by Fourier's coefficients over a period of one input."""
    grid = jnp.linspace(0, 2 * np.pi, 32, endpoint=False)[:, None]
    angles = jax.random.uniform(jax.random.key(0), (3, 1, 3), maxval=2 * np.pi)
    once = layers.quantum_circuit({"angles": angles}, grid)
    again = layers.data_reuploading({"angles": angles, "scale": jnp.ones((3, 1, 3))}, grid)
    strength = lambda y: np.abs(np.fft.rfft(y[:, 0]))
    assert strength(once)[2:].max() < 1e-4
    assert strength(again)[2:10].max() > 0.1
    assert strength(again)[10:].max() < 1e-4


def test_amplitudes_are_the_input_over_its_norm_and_zeros_stay_zeros():
    x = jnp.array([[3e30, 0, 4e30, 0, 0], [0, 0, 0, 0, 0]])
    state = layers.amplitude_embedding(x)
    assert state.shape == (2, 8)
    np.testing.assert_allclose(state, [[0.6, 0, 0.8, 0, 0, 0, 0, 0], [0] * 8], atol=1e-6)


STATE, THREE, ONE = jnp.ones((2, 4), jnp.complex64), jnp.ones((1, 3, 3)), jnp.ones((1, 1, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.quantum_circuit({"angles": THREE}, jnp.ones(3), entangle="swap"), ValueError, "'cnot' or 'cz'"),
        (lambda: layers.entangling_layers({"angles": THREE}, STATE), ValueError, r"expect input \[...,8\]"),
        (lambda: layers.entangling_layers({"angles": THREE}, jnp.ones(8)), TypeError, "expected a complex state"),
        (lambda: layers.z_expectations(STATE[:, :3]), ValueError, r"2\^q amplitudes in the last axis, found complex64"),
        (lambda: layers.data_reuploading({"angles": ONE, "scale": ONE}, jnp.ones(4)), ValueError, "at most 3 features"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
