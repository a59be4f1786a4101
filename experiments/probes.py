"""Linear probes: what a frozen network has learned, by a linear classifier of its features.

    features(encode, x) -> points                                of images, in parts
    linear_probe(points, labels, held, held_labels, classes)     its decay chosen on held-out rows
    logistic_regression(x, y, decay, classes)                    what it is

Laws: features are standardised by those that train; what is tested chooses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.chunks import in_chunks
from jnn.data import Standard, fit_standard
from jnn.layers import linear
from jnn.losses import cross_entropy

DECAYS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of half the squared weights, beside the mean cross-entropy
STEPS = 150  # of L-BFGS
ROWS = 500


def features(encode: Callable[[jax.Array], jax.Array], x: np.ndarray) -> np.ndarray:
    """Of images (n, y, x, c) the vectors (n, d) that a network makes of them, some hundreds at a time."""
    return in_chunks(lambda batch: encode(batch["x"]), {"x": x}, ROWS)


class Probe(NamedTuple):
    """A linear classifier of standardised features, with its decay and its accuracy on validation."""

    standard: Standard
    params: dict[str, jax.Array]
    decay: float
    validated: float

    def logits(self, params: dict[str, jax.Array], points: jax.Array) -> jax.Array:
        """Logits (n, classes) of features (n, d), by these parameters of the classifier: its own, or tuned ones."""
        mean, deviation = (jnp.asarray(part, points.dtype)[None] for part in self.standard)
        return linear(params, (points - mean) / deviation)

    def accuracy(self, points: np.ndarray, labels: np.ndarray) -> float:
        """How often it is right on features (n, d)."""
        return float(np.mean(np.asarray(self.logits(self.params, jnp.asarray(points))).argmax(-1) == labels))


def linear_probe(
    points: np.ndarray, labels: np.ndarray, held: np.ndarray, held_labels: np.ndarray, classes: int
) -> Probe:
    """The logistic regression of features (n, d) that is best on those held out, among `DECAYS`."""
    standard = fit_standard(points)
    x, y = jnp.asarray(standard.apply(points)), jnp.asarray(labels)
    probes = [Probe(standard, logistic_regression(x, y, decay, classes), decay, 0.0) for decay in DECAYS]
    probes = [probe._replace(validated=probe.accuracy(held, held_labels)) for probe in probes]
    return max(probes, key=lambda probe: probe.validated)


@partial(jax.jit, static_argnames="classes")
def logistic_regression(x: jax.Array, y: jax.Array, decay: jax.Array | float, classes: int) -> dict[str, jax.Array]:
    """Multinomial logistic regression by L-BFGS: of features (n, d) and labels (n,), the weights and the bias."""
    first = {"w": jnp.zeros((x.shape[1], classes)), "b": jnp.zeros(classes)}
    loss = lambda p: cross_entropy(linear(p, x), y).mean() + decay * jnp.sum(jnp.square(p["w"])) / 2
    solver, look = optax.lbfgs(), optax.value_and_grad_from_state(loss)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        p, state = carry
        value, slope = look(p, state=state)
        moves, state = solver.update(slope, state, p, value=value, grad=slope, value_fn=loss)
        return (optax.apply_updates(p, moves), state), None

    (params, _), _ = jax.lax.scan(step, (first, solver.init(first)), None, length=STEPS)
    return params
