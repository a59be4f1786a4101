"""Adapters: a bottleneck of two maps behind what is trained already.

    adapter(p, x) -> y

Law: `adapter_spec` draws the identity.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.initializers import Init, lecun_normal, zeros
from jnn.layers._linear import linear, linear_spec
from jnn.param import Params, Spec


def adapter_spec(d: int, width: int, *, init: Init = lecun_normal, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares an adapter.

    Args:
      d: the size of the last axis of input and output.
      width: of the bottleneck.
      init: initial values of "down"'s weights; those of "up" are zero, so that it begins as the identity.
      dtype: of all.

    Returns:
      {"down": {"w": (d, width), "b"}, "up": {"w": (width, d), "b"}}

    >>> adapter_spec(64, 8)["up"]["w"].shape
    (8, 64)
    """
    return {
        "down": linear_spec(d, width, axes=("embed", "bottleneck"), init=init, dtype=dtype),
        "up": linear_spec(width, d, axes=("bottleneck", "embed"), init=zeros, dtype=dtype),
    }


def adapter(p: Params, x: jax.Array) -> jax.Array:
    """Adapter: `x + up(gelu(down(x)))`.

    See "Parameter-Efficient Transfer Learning for NLP", Houlsby et al., 2019.

    Args:
      p: as `adapter_spec` declares.
      x: (..., d), floating point.

    Returns:
      (..., d), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not d, or x is empty.

    >>> p = {"down": {"w": jnp.ones((2, 1))}, "up": {"w": jnp.zeros((1, 2))}}
    >>> adapter(p, jnp.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    checks.maps("adapter", p, "down", "up")
    return x + linear(p["up"], gelu(linear(p["down"], x)))
