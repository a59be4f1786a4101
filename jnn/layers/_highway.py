"""Highway layer: a gate between what a layer makes of x and x itself."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, constant, lecun_normal
from jnn.layers._linear import linear, linear_spec
from jnn.param import Param, Params, Spec


def highway_spec(
    d: int,
    *,
    gate_bias: float = -1.0,
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a highway layer (`highway`).

    Args:
      d: the size of the last axis of input and output.
      gate_bias: initial bias of the gate; below 0 it begins by letting x through.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"transform" and "gate": {"w": (d, d), "b": (d,)}}

    >>> highway_spec(3)["gate"]["w"].shape
    (3, 3)
    """
    one = linear_spec(d, d, init=init, dtype=dtype)
    return {"transform": one, "gate": {**one, "b": Param((d,), constant(gate_bias), ("hidden",), dtype)}}


def highway(p: Params, x: jax.Array, *, activation: Callable[[jax.Array], jax.Array] = jax.nn.relu) -> jax.Array:
    """Highway layer: `g activation(x W + b) + (1 - g) x`, with g the sigmoid of another linear map.

    See "Highway Networks", Srivastava, Greff and Schmidhuber, 2015.

    Args:
      p: as declared by `highway_spec`.
      x: (..., d), floating point.
      activation: of what is made of x.

    Returns:
      (..., d), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p.

    >>> p = {name: {"w": jnp.zeros((2, 2))} for name in ("transform", "gate")}
    >>> highway(p, jnp.ones(2)).tolist()
    [0.5, 0.5]
    """
    checks.params("highway", p, "transform", "gate")
    made, g = activation(linear(p["transform"], x)), jax.nn.sigmoid(linear(p["gate"], x))
    return g * made + (1 - g) * x
