"""Eight layers to be spread over stages, and the scan over them."""

import functools

import jax
import jax.numpy as jnp

import jnn
from jnn.axes import constrain
from jnn.layers import layer_norm, layer_norm_spec, linear, linear_spec

BLOCK = {
    "norm": layer_norm_spec(6),
    "up": linear_spec(6, 12),
    "down": linear_spec(12, 6, axes=("hidden", "embed")),
}
SPEC = jnn.stack(BLOCK, 8)


def block(p, x):
    h = constrain(jnp.tanh(linear(p["up"], layer_norm(p["norm"], x))), "time", "hidden")
    return constrain(x + linear(p["down"], h), "time", "embed")


def scanned(layer, stacked, x):
    return jax.lax.scan(lambda x, p: (layer(p, x), None), x, stacked)[0]


@functools.cache
def arguments(dtype=jnp.float32):
    return jnn.init(SPEC, jax.random.key(0)), jax.random.normal(jax.random.key(1), (8, 4, 6), dtype)
