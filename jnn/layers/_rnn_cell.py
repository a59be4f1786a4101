"""The simple recurrent network: `h' = tanh(x W + h U + b)`, with h as the carry. Laws: see `_cell`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import Init, glorot_uniform, zeros
from jnn.layers._cell import CellParams, check_carry, orthogonal_init, state_carry
from jnn.layers._linear import linear, linear_spec
from jnn.param import Param, Spec
from jnn.precision import wide


def rnn_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    bias: bool = True,
    recurrent_bias: bool = False,
    init: Init = glorot_uniform,
    recurrent_init: Init = orthogonal_init,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a simple recurrent network (`rnn_cell`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      bias: whether the input's map has a bias.
      recurrent_bias: whether the state's map has one too.
      init: initial values of the input's weights.
      recurrent_init: initial values of the (d_hidden, d_hidden) weights: orthogonal.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, d_hidden), "b": (d_hidden,)}, "recurrent": {"w": (d_hidden, d_hidden)}}

    >>> rnn_cell_spec(3, 5)["recurrent"]["w"].shape
    (5, 5)
    """
    recurrent = {
        "w": Param(
            (d_hidden, d_hidden),
            recurrent_init,
            ("recurrent", "hidden"),
            dtype,
            fan_in=("recurrent",),
            fan_out=("hidden",),
        )
    }
    if recurrent_bias:
        recurrent["b"] = Param((d_hidden,), zeros, ("hidden",), dtype)
    return {"input": linear_spec(d_in, d_hidden, bias=bias, init=init, dtype=dtype), "recurrent": recurrent}


def rnn_cell(
    p: CellParams,
    carry: jax.Array | None,
    x: jax.Array,
    *,
    activation: Callable[[jax.Array], jax.Array] = jnp.tanh,
) -> tuple[jax.Array, jax.Array]:
    """Simple recurrent network, one step: `h' = activation(x W + h U + b)`.

    See "Finding Structure in Time", Elman, 1990.

    Args:
      p: as declared by `rnn_cell_spec`.
      carry: h, (..., h), or None for zeros.
      x: (..., d), floating point.
      activation: of the new state.

    Returns:
      (h', h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = {"input": {"w": jnp.ones((3, 2))}, "recurrent": {"w": jnp.ones((2, 2))}}
    >>> rnn_cell(p, None, jnp.zeros(3))[0].tolist()
    [0.0, 0.0]
    """
    h = check_carry("rnn_cell", p, carry, x, rnn_carry)
    # what saturates is computed in float32: its slope is the small difference of 1 and the square of the state
    h = activation(wide(linear(p["input"], x)) + wide(linear(p["recurrent"], h))).astype(x.dtype)
    return h, h


def rnn_carry(p: CellParams, x: jax.Array) -> jax.Array:
    """The zero carry of an `rnn_cell` for inputs like x: (..., h), in x's dtype.

    >>> rnn_carry({"recurrent": {"w": jnp.ones((2, 2))}}, jnp.ones((7, 3))).shape
    (7, 2)
    """
    return state_carry(p, x)
