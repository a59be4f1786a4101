"""Variational quantum circuits, simulated: rotations by parameters and inputs, entangled, and what is then measured.

    entangling_layers(p, state) -> state   layers of rotations and a ring of gates, (..., 2^q)
    quantum_circuit(p, x) -> y             x (..., q) angles of the first state, y (..., q) expectations of Z
    data_reuploading(p, x) -> y            x (..., d) a part of the angles of every layer, y (..., q)

Laws: a state keeps its length, so expectations are in [-1, 1]; each has a period of 2 pi in every angle, and its
derivative with respect to it is half the difference of the expectations a quarter turn before and behind
(the parameter-shift rule). States and what is measured of them: `_quantum_state`.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Initializer, ones, uniform
from jnn.layers._quantum_state import angle_embedding, bits, complex_dtype, qubits_of, rotation, turn, z_expectations
from jnn.param import Param, Spec
from jnn.precision import wide

turns = uniform(2 * np.pi)
Ring = Literal["cnot", "cz"]


def quantum_circuit_spec(
    qubits: int, layers: int, *, init: Initializer = turns, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares a variational quantum circuit (`quantum_circuit`): {"angles": (layers, qubits, 3)}.

    >>> quantum_circuit_spec(4, 2)["angles"].shape
    (2, 4, 3)
    """
    return {"angles": Param((layers, qubits, 3), init, ("layers", "qubits", "rotations"), dtype)}


def data_reuploading_spec(
    qubits: int,
    layers: int,
    *,
    scale: bool = True,
    init: Initializer = turns,
    scale_init: Initializer = ones,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a circuit that its input enters in every layer (`data_reuploading`), of any number of features.

    Args:
      qubits, layers: how many there are.
      scale: whether what a rotation takes of its feature is learned; else it is all of it.
      init, scale_init: initial values of the angles, and of the scales.
      dtype: of both.

    Returns:
      {"angles": (layers, qubits, 3), "scale": (layers, qubits, 3)}

    >>> data_reuploading_spec(2, 4)["scale"].shape
    (4, 2, 3)
    """
    angles = quantum_circuit_spec(qubits, layers, init=init, dtype=dtype)["angles"]
    scales = {"scale": Param(angles.shape, scale_init, angles.axes, dtype)} if scale else {}
    return {"angles": angles, **scales}


def quantum_circuit(p: dict[str, jax.Array], x: jax.Array, *, entangle: Ring = "cnot") -> jax.Array:
    """Variational quantum circuit: inputs as rotations, layers of RX, RY, RZ and a ring of CNOT or CZ, then Z.

    See "Circuit-centric quantum classifiers", Schuld, Bocharov, Svore and Wiebe, 2020. It is `entangling_layers` of
    `angle_embedding`: in every input a sine wave, however many layers there are.

    Args:
      p: as declared by `quantum_circuit_spec`.
      x: (..., q), floating point, angles; memory is 2^q numbers for each example.
      entangle: as in `entangling_layers`.

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
    return z_expectations(entangling_layers(p, angle_embedding(x), entangle=entangle)).astype(x.dtype)


def data_reuploading(p: dict[str, jax.Array], x: jax.Array, *, entangle: Ring = "cnot") -> jax.Array:
    """Data re-uploading circuit: layers whose every rotation is by `angle + scale x_i`, features taking turns.

    See "Data re-uploading for a universal quantum classifier", Perez-Salinas, Cervera-Lierta, Gil-Fuster and Latorre,
    2020. All qubits begin as 0. Each time that a feature comes in, the outputs have a frequency more of it.

    Args:
      p: as declared by `data_reuploading_spec`.
      x: (..., d), floating point; of 3 q rotations a layer the n-th, counted on through all layers, is by x_(n mod d).
      entangle: as in `entangling_layers`.

    Returns:
      (..., q), in x's dtype: the expectation of Z of each qubit.

    Raises:
      TypeError: x is not floating point.
      ValueError: there are more features than rotations, or there is no such gate.

    >>> p = {"angles": jnp.zeros((1, 1, 3)), "scale": jnp.ones((1, 1, 3))}
    >>> data_reuploading(p, jnp.array([np.pi, 0.0])).round(3).tolist()
    [-1.0]
    """
    checks.params("data_reuploading", p, "angles", may=("scale",))
    checks.floats("data_reuploading", x)
    if x.shape[-1] > p["angles"].size:
        raise ValueError(
            f"data_reuploading: expected at most {p['angles'].size} features, a rotation each, found "
            f"{checks.describe(x)}. Declare more layers."
        )
    exact = wide(x)
    dealt = exact[..., np.arange(p["angles"].size) % x.shape[-1]].reshape(*x.shape[:-1], *p["angles"].shape)
    own = {name: jnp.expand_dims(wide(p[name]).astype(exact.dtype), range(x.ndim - 1)) for name in p}
    angles = own["angles"] + (own["scale"] * dealt if "scale" in own else dealt)
    gates = jnp.moveaxis(_gates(angles), -4, 0)
    first = jnp.zeros((*x.shape[:-1], 2 ** p["angles"].shape[1]), complex_dtype(exact)).at[..., 0].set(1)
    return z_expectations(_through(first, gates, entangle, "data_reuploading")).astype(x.dtype)


def entangling_layers(p: dict[str, jax.Array], state: jax.Array, *, entangle: Ring = "cnot") -> jax.Array:
    """Entangling layers: each qubit turned by RX, RY and RZ of three angles; then each controls the next, in a ring.

    Args:
      p: as declared by `quantum_circuit_spec`.
      state: (..., 2^q), complex.
      entangle: the gate of the ring, from the first qubit to the last, which controls the first. Of two qubits there
        is one gate, of one none.

    Returns:
      The state behind the last layer, of the same shape and dtype.

    Raises:
      TypeError, ValueError: it is no state of as many qubits as p has, or there is no such gate.

    >>> flipped = entangling_layers({"angles": jnp.array([[[np.pi, 0, 0]]])}, jnp.array([1, 0j]))
    >>> jnp.abs(flipped).round(3).tolist()
    [0.0, 1.0]
    """
    checks.params("entangling_layers", p, "angles")
    if qubits_of("entangling_layers", state) != p["angles"].shape[1]:
        checks.trailing("entangling_layers", state, (2 ** p["angles"].shape[1],))
    angles = wide(p["angles"]).astype(state.real.dtype)
    return _through(state, _gates(angles), entangle, "entangling_layers")


def _gates(angles: jax.Array) -> jax.Array:
    """RX, then RY, then RZ of angles (..., 3) as one gate, (..., 2, 2)."""
    first, second, third = (rotation(angles[..., axis], axis) for axis in range(3))
    product = functools.partial(jnp.matmul, precision="highest")
    return product(third, product(second, first))


def _through(state: jax.Array, gates: jax.Array, entangle: str, name: str) -> jax.Array:
    """The state behind layers of gates (layers, ..., q, 2, 2) and a ring each."""
    if entangle not in ("cnot", "cz"):
        raise ValueError(f"{name}: expected entangle='cnot' or 'cz', found {entangle!r}.")
    q = gates.shape[-3]
    order, signs = _ring(q, entangle)

    def layer(state: jax.Array, gates: jax.Array) -> tuple[jax.Array, None]:
        for i in range(q):
            state = turn(state, gates[..., i, :, :], i, q)
        return state[..., order] * jnp.asarray(signs, state.real.dtype).reshape((1,) * (state.ndim - 1) + (-1,)), None

    return jax.lax.scan(layer, state, gates)[0]


@functools.cache
def _ring(q: int, entangle: str) -> tuple[np.ndarray, np.ndarray]:
    """A ring of gates, of each qubit and the next: from where each amplitude comes, and its sign."""
    each, order, signs = bits(q), np.arange(2**q), np.ones(2**q)
    for i in range(q if q > 2 else q - 1):
        j = (i + 1) % q
        if entangle == "cz":
            signs = signs * np.where(each[:, i] & each[:, j], -1, 1)
        else:
            order = order[np.arange(2**q) ^ each[:, i] << (q - 1 - j)]
    return order.astype(np.int32), signs
