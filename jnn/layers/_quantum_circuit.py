"""Variational quantum circuit, simulated: rotations by inputs and parameters, entangled, and what is then measured.

    quantum_circuit(p, x) -> y            x (..., q) angles, y (..., q) expectations of Z

The state is a vector of 2^q amplitudes, qubit 0 the slowest digit. Laws: it keeps its length, so outputs are in
[-1, 1]; the function has a period of 2 pi in every input and every angle.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, uniform
from jnn.param import Param, Spec
from jnn.precision import wide

turns = uniform(2 * np.pi)


def quantum_circuit_spec(
    qubits: int, layers: int, *, init: Initializer = turns, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a variational quantum circuit (`quantum_circuit`): {"angles": (layers, qubits, 3)}.

    >>> quantum_circuit_spec(4, 2)["angles"].shape
    (2, 4, 3)
    """
    return {"angles": Param((layers, qubits, 3), init, ("layers", "qubits", "rotations"), dtype)}


def quantum_circuit(p: dict[str, jax.Array], x: jax.Array, *, entangle: Literal["cnot", "cz"] = "cnot") -> jax.Array:
    """Variational quantum circuit: inputs as rotations, layers of RX, RY, RZ and a ring of CNOT or CZ, then Z.

    See "Circuit-centric Quantum Classifiers", Schuld, Bocharov, Svore and Wiebe, 2020. Qubit i begins as 0, turned by
    RX(x_i). In every layer it is turned by RX, RY and RZ of three angles; then each controls the next, the last one
    the first.

    Args:
      p: as declared by `quantum_circuit_spec`.
      x: (..., q), floating point, angles; memory is 2^q numbers for each example.
      entangle: the gate of the ring. Of two qubits there is one gate, of one none.

    Returns:
      (..., q), in x's dtype: the expectation of Z of each qubit.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p, or there is no such gate.

    >>> quantum_circuit({"angles": jnp.zeros((1, 2, 3))}, jnp.zeros(2)).tolist()
    [1.0, 1.0]
    """
    checks.params("quantum_circuit", p, "angles")
    checks.floats("quantum_circuit", x)
    checks.trailing("quantum_circuit", x, p["angles"].shape[1:2])
    if entangle not in ("cnot", "cz"):
        raise ValueError(f"quantum_circuit: expected entangle='cnot' or 'cz', found {entangle!r}.")
    q, exact = x.shape[-1], wide(x)
    state = jnp.zeros((*x.shape[:-1], 2**q), jnp.result_type(exact.dtype, jnp.complex64)).at[..., 0].set(1)
    for i in range(q):
        state = _turn(state, _rotation(exact[..., i], 0), i, q)
    order, signs = _ring(q, entangle)

    def layer(state: jax.Array, angles: jax.Array) -> tuple[jax.Array, None]:
        for i in range(q):
            for axis in range(3):
                state = _turn(state, _rotation(angles[i, axis], axis), i, q)
        return state[..., order] * jnp.asarray(signs, exact.dtype).reshape((1,) * (x.ndim - 1) + (-1,)), None

    state = jax.lax.scan(layer, state, wide(p["angles"]).astype(exact.dtype))[0]
    likely = jnp.square(state.real) + jnp.square(state.imag)
    return jnp.tensordot(likely, jnp.asarray(1 - 2 * _bits(q), exact.dtype), 1, precision="highest").astype(x.dtype)


def _rotation(angle: jax.Array, axis: int) -> jax.Array:
    """RX, RY or RZ, (..., 2, 2)."""
    c, s = jnp.cos(angle / 2), jnp.sin(angle / 2)
    zero = jnp.zeros_like(c)
    rows = (
        [[c, -1j * s], [-1j * s, c]],
        [[c, -s], [s, c]],
        [[c - 1j * s, zero], [zero, c + 1j * s]],
    )[axis]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def _turn(state: jax.Array, gate: jax.Array, i: int, q: int) -> jax.Array:
    """The state (..., 2^q) with a gate (2, 2) or (..., 2, 2) at qubit i."""
    apart = state.reshape(*state.shape[:-1], 2**i, 2, 2 ** (q - i - 1))
    gates = "ij" if gate.ndim == 2 else "...ij"
    return jnp.einsum(f"{gates},...ajb->...aib", gate, apart, precision="highest").reshape(state.shape)


def _bits(q: int) -> np.ndarray:
    """(2^q, q): the qubits of each amplitude."""
    return np.arange(2**q)[:, None] >> np.arange(q)[::-1] & 1


@functools.cache
def _ring(q: int, entangle: str) -> tuple[np.ndarray, np.ndarray]:
    """A ring of gates, of each qubit and the next: from where each amplitude comes, and its sign."""
    bits, order, signs = _bits(q), np.arange(2**q), np.ones(2**q)
    for i in range(q if q > 2 else q - 1):
        j = (i + 1) % q
        if entangle == "cz":
            signs = signs * np.where(bits[:, i] & bits[:, j], -1, 1)
        else:
            order = order[np.arange(2**q) ^ bits[:, i] << (q - 1 - j)]
    return order.astype(np.int32), signs
