"""Leaky integrator: a membrane that never fires, by which spikes are read out.

    leaky_integrator(p, carry, x) -> (carry, y)        a cell for `rnn`: carry and output are the membrane

Laws: it is linear in x and the carry; leading axes are free; the carry has x's dtype. Its parameters are `lif_cell`'s.
"""

from __future__ import annotations

import jax

from jnn import checks
from jnn.layers._cell import same_carry
from jnn.layers._lif_cell import leaked, rest
from jnn.layers._linear import linear
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Params
from jnn.precision import wide


def leaky_integrator(p: Params, carry: jax.Array | None, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Leaky integrator, one step: `v = sigmoid(decay) v + x W + b`, without a threshold.

    See "Surrogate Gradient Learning in Spiking Neural Networks", Neftci, Mostafa and Zenke, 2019.

    Args:
      p: as declared by `lif_cell_spec`.
      carry: v, (..., h), of the step before, or None for zeros.
      x: (..., d), floating point, such as spikes.

    Returns:
      (v', v'), each (..., h), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> import jax.numpy as jnp
    >>> p = {"input": {"w": jnp.ones((1, 1))}, "decay": jnp.zeros(1)}
    >>> leaky_integrator(p, jnp.array([3.0]), jnp.array([1.0]))[1]
    Array([2.5], dtype=float32)
    """
    checks.maps("leaky_integrator", p, "input", more=("decay",))
    checks.floats("leaky_integrator", x)
    checks.trailing("leaky_integrator", x, weight_shape(p["input"]["w"])[:1])
    v = same_carry("leaky_integrator", p, carry, x, rest)
    found = (leaked(p["decay"], v) + wide(linear(p["input"], x))).astype(x.dtype)
    return found, found
