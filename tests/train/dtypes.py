"""Every dtype that JAX has arrays of on a CPU, without 64 bits: what is written must be bit-equal for each."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np


def is_in_jax(name):
    try:
        return jnp.zeros((), name).dtype == name
    except (TypeError, jax.errors.JaxRuntimeError):
        return False


NUMPY = ["bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "float32", "complex64"]
RARE = [name for name, kind in vars(ml_dtypes).items() if isinstance(kind, type) and issubclass(kind, np.generic)]
DTYPES = NUMPY + [
    name for name in RARE if is_in_jax(name) and name not in ("int1", "uint1")
]  # which XLA takes for bool


def of_every_bit(name):
    """Random bits as numbers of this dtype, NaN among them."""
    dtype = jnp.dtype(name)
    bits = 1 if name == "bool" else (jnp.finfo if jnp.issubdtype(dtype, jnp.inexact) else jnp.iinfo)(dtype).bits
    noise = np.random.default_rng(0).integers(0, 2 ** min(bits, 8), (8, 6, dtype.itemsize), np.uint8)
    return jnp.asarray(noise.view(dtype)[..., 0])
