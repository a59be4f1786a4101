"""What is asked of quantum circuits: their state by NumPy, gradients by shifted angles, and where these vanish.

numpy_state(angles, state) -> state             qubit by qubit, in float64
parameter_shift(f, angles) -> gradient          of any f that measures a circuit
gradient_variances(qubits, depth, ...)          barren plateaus
regions(...), plateaus(...) -> Figure
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.pictures import ACCENT, INK, WARM
from jnn.layers import entangling_layers, quantum_circuit_spec, z_expectations

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def numpy_state(angles: np.ndarray, state: np.ndarray) -> np.ndarray:
    """What `entangling_layers` makes of one state (2^q,), its qubits as q axes; of three qubits or more."""
    q = angles.shape[1]
    state = state.astype(np.complex128).reshape([2] * q)
    for layer in angles.astype(np.float64):
        for i, axis in np.ndindex(q, 3):
            gate = np.cos(layer[i, axis] / 2) * np.eye(2) - 1j * np.sin(layer[i, axis] / 2) * PAULI[axis]
            state = np.moveaxis(np.tensordot(gate, state, (1, i)), 0, i)
        for i in range(q):
            controlled, target = np.moveaxis(state, i, 0), (i + 1) % q
            flipped = np.flip(controlled[1], target - (target > i))
            state = np.moveaxis(np.stack([controlled[0], flipped]), 0, i)
    return state.ravel()


def parameter_shift(f: Callable[[jax.Array], jax.Array], angles: jax.Array) -> jax.Array:
    """Half the difference of f a quarter turn before and behind each angle.

    See "Evaluating analytic gradients on quantum hardware", Schuld, Bergholm, Gogolin, Izaac and Killoran, 2019.
    """
    moves = (jnp.pi / 2 * jnp.eye(angles.size, dtype=angles.dtype)).reshape(-1, *angles.shape)
    return jax.vmap(lambda move: (f(angles + move) - f(angles - move)) / 2)(moves).reshape(angles.shape)


def differences(angles: jax.Array, first: jax.Array) -> dict[str, float]:
    """How far a circuit's state is from NumPy's, and the gradient of what is measured from that by shifted angles."""
    through = lambda angles: entangling_layers({"angles": angles}, first)
    measure = lambda angles: z_expectations(through(angles))[0]
    both = lambda angles: (through(angles), jax.grad(measure)(angles), parameter_shift(measure, angles))
    state, gradient, shifted = map(np.asarray, jax.jit(both)(angles))
    return {
        "state_difference": float(np.abs(state - numpy_state(np.asarray(angles), np.asarray(first))).max()),
        "gradient_difference": float(np.abs(gradient - shifted).max()),
    }


def gradient_variances(qubits: Sequence[int], depth: int, samples: int, key: jax.Array) -> np.ndarray:
    """Of random circuits the variance of a component of the gradient, (sizes, depth): by layers 1 to depth.

    See "Barren plateaus in quantum neural network training landscapes", McClean, Boixo, Smelyanskiy, Babbush and Neven,
    2018. It is the derivative of the expectation of Z of the first qubit, with respect to its first RY; the rings are
    of CZ, as theirs, which leave that expectation alone: what is known of it spreads by a qubit a layer.
    """
    first = lambda state: z_expectations(state)[..., 0]

    def measured(angles: jax.Array) -> jax.Array:
        """What is measured behind each layer of one circuit, (depth,)."""
        through = lambda state, layer: (entangling_layers({"angles": layer[None]}, state, entangle="cz"),) * 2
        zeros = jnp.zeros(2 ** angles.shape[1], jnp.complex64).at[0].set(1)
        return first(jax.lax.scan(through, zeros, angles)[1])

    def component(angles: jax.Array) -> jax.Array:
        shifted = lambda by: measured(angles.at[0, 0, 1].add(by))
        return (shifted(jnp.pi / 2) - shifted(-jnp.pi / 2)) / 2

    found = []
    for q in qubits:
        declared = quantum_circuit_spec(q, depth)["angles"]
        draws = lambda key, declared=declared: jax.lax.map(
            lambda key: component(declared.draw(key)), key, batch_size=200
        )
        found.append(np.var(jax.jit(draws)(jax.random.split(jax.random.fold_in(key, q), samples)), 0))
    return np.stack(found)


def decay(qubits: Sequence[int], variances: np.ndarray) -> tuple[float, float] | None:
    """The line through log2 of variances: its slope, in powers of two a qubit, and its height at none.

    None where there is no such line: of fewer than two sizes, or where a variance is 0, as that of a single circuit.
    """
    if len(set(qubits)) < 2 or not (variances > 0).all():
        return None
    slope, height = np.polyfit(qubits, np.log2(variances), 1)
    return float(slope), float(height)


def plateaus(qubits: Sequence[int], variances: np.ndarray) -> Figure:
    """Variances (sizes, depth) over the number of qubits, with a line through those of the deepest, and over depth."""
    figure = Figure(figsize=(9.4, 3.8), layout="constrained")
    by_size, by_depth = figure.subplots(1, 2, sharey=True)
    depth = variances.shape[1]
    for n in sorted({1, max(1, depth // 16), max(1, depth // 4), depth}):
        shade = 0.25 + 0.75 * np.log(n) / max(np.log(depth), 1)
        by_size.semilogy(qubits, variances[:, n - 1], "o-", markersize=4, color=ACCENT, alpha=shade, label=f"depth {n}")
    if line := decay(qubits, variances[:, -1]):
        slope, height = line
        through = 2.0 ** (height + slope * np.asarray(qubits))
        by_size.semilogy(qubits, through, color=WARM, linestyle="--", label=f"$\\propto 2^{{{slope:.2f}\\,q}}$")
    for i, q in enumerate(qubits):
        by_depth.semilogy(range(1, depth + 1), variances[i], color=ACCENT, alpha=0.25 + 0.75 * i / len(qubits))
        by_depth.annotate(f" {q}", (depth, variances[i, -1]), va="center", fontsize=8, color=INK)
    by_size.set(xlabel="qubits", ylabel="variance of the derivative", xticks=qubits)
    by_depth.set_xscale("log", base=2)
    by_depth.set(xlabel="depth (a line for each number of qubits)")
    by_size.legend(frameon=False)
    for axes in (by_size, by_depth):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def regions(probabilities: Mapping[str, Callable[[np.ndarray], np.ndarray]], x: np.ndarray, y: np.ndarray) -> Figure:
    """How likely class 1 is in the plane, a panel by title, and points (n, 2) of both classes."""
    figure = Figure(figsize=(3.6 * len(probabilities), 3.6), layout="constrained")
    low, high = x.min(0) - 0.4, x.max(0) + 0.4
    grid = np.stack(np.meshgrid(*(np.linspace(low[i], high[i], 160) for i in (0, 1))), -1).astype(np.float32)
    panels = figure.subplots(1, len(probabilities), sharey=True, squeeze=False)[0]
    for axes, (title, of) in zip(panels, probabilities.items(), strict=True):
        likely = of(grid.reshape(-1, 2)).reshape(grid.shape[:2])
        axes.contourf(grid[..., 0], grid[..., 1], likely, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.7)
        axes.contour(grid[..., 0], grid[..., 1], likely, [0.5], colors=[INK], linewidths=1)
        for label, colour in ((0, WARM), (1, ACCENT)):
            axes.scatter(*x[y == label].T, s=7, color=colour, edgecolor="white", linewidth=0.2)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
