"""Detectors of what is not normal, by name: networks that learn to make a score of normal rows small.

    DETECTORS["svdd"].spec(features, width)
    DETECTORS["svdd"].score(p, x, centre) -> (b,)

The score is also the loss. `x` (b, features); of a series the newest step comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn.models import mlp, mlp_spec
from jnn.param import Params, Spec

CODE = 4  # a code is so much narrower than a hidden layer
NEAR = 0.1  # a centre's numbers are no nearer to 0: a network of zeros would be there


class Detector(NamedTuple):
    """What declares a network, and its score: see above."""

    spec: Callable[[int, int], Spec]
    score: Callable[[Params, jax.Array, jax.Array], jax.Array]


def autoencoder_spec(features: int, width: int) -> Spec:
    """Declares a network through a narrow code and back."""
    return mlp_spec((features, width, width // CODE, width, features))


def reconstruction_error(p: Params, x: jax.Array, centre: jax.Array) -> jax.Array:
    """Mean squared error of what comes back."""
    return jnp.square(mlp(p, x, key=None) - x).mean(-1)


def svdd_spec(features: int, width: int) -> Spec:
    """Declares a network without biases, which could make all outputs the centre."""
    return mlp_spec((features, width, width // 2, width // CODE), bias=False)


def distance_to_centre(p: Params, x: jax.Array, centre: jax.Array) -> jax.Array:
    """Deep support vector data description (Deep SVDD): the squared distance of the output from a fixed centre.

    See "Deep One-Class Classification", Ruff et al., 2018.
    """
    return jnp.square(mlp(p, x, key=None, activation=jax.nn.leaky_relu) - centre[None]).sum(-1)


def centre_of(p: Params, x: jax.Array, weight: jax.Array) -> jax.Array:
    """The mean output of a network of Deep SVDD before it has learnt, of rows (n, features) with weights (n,)."""
    outputs = mlp(p, x, key=None, activation=jax.nn.leaky_relu)
    mean = jnp.average(outputs, axis=0, weights=weight)
    return jnp.where(jnp.abs(mean) < NEAR, jnp.where(mean < 0, -NEAR, NEAR), mean)


def forecaster_spec(features: int, width: int) -> Spec:
    """Declares a network that reads all but the newest step, and forecasts it."""
    return mlp_spec((features - 1, width, width, 1))


def residual(p: Params, x: jax.Array, centre: jax.Array) -> jax.Array:
    """The squared error of a forecast of the newest step."""
    return jnp.square(mlp(p, x[..., 1:], key=None)[..., 0] - x[..., 0])


DETECTORS = {
    "autoencoder": Detector(autoencoder_spec, reconstruction_error),
    "svdd": Detector(svdd_spec, distance_to_centre),
    "forecast": Detector(forecaster_spec, residual),
}
