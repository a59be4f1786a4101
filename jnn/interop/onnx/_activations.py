"""Activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.interop.onnx._arrays import Array, together


def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    return jnp.where(x < 0, alpha * x, x)


def prelu(x: Array, slope: Array) -> Array:
    x, slope = together(x, slope)
    return jnp.where(x < 0, slope * x, x)


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    return jax.nn.elu(x, alpha)


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    return jax.nn.celu(x, alpha)


def selu(x: Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Array:
    return gamma * jax.nn.elu(x, alpha)


def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    return jnp.where(x > alpha, x, 0)


def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return jnp.clip(alpha * x + beta, 0, 1)


def hard_swish(x: Array) -> Array:
    return x * jnp.clip(x / 6 + 0.5, 0, 1)


def gelu(x: Array, *, approximate: str = "none") -> Array:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    return jnp.where(x < -lambd, x + bias, jnp.where(x > lambd, x - bias, 0))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "LeakyRelu": leaky_relu,
    "Mish": lambda x: x * jnp.tanh(jax.nn.softplus(x)),
    "PRelu": prelu,
    "Relu": jax.nn.relu,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": jax.nn.sigmoid,
    "Softplus": jax.nn.softplus,
    "Softsign": jax.nn.soft_sign,
    "ThresholdedRelu": thresholded_relu,
}
