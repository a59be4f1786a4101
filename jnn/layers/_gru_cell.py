"""The gated recurrent unit: gates r, z, n and `h' = (1 - z) n + z h`, with h as the carry. Laws: see `_cell`.

The reset gate multiplies `h U + b` after the product, as in cuDNN, torch and Keras (`reset_after=True`):
so the bias of the recurrent map is not redundant, and there is one by default.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import Init, glorot_uniform
from jnn.layers._cell import CellParams, check_carry, gated_spec, gates, orthogonal_init, state_carry
from jnn.layers._linear import linear
from jnn.param import Spec


def gru_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    bias: bool = True,
    recurrent_bias: bool = True,
    init: Init = glorot_uniform,
    recurrent_init: Init = orthogonal_init,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a gated recurrent unit (`gru_cell`), with both biases by default, as in torch and Keras.

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      bias: whether the input's map has a bias.
      recurrent_bias: whether the state's map has one too, which the reset gate meets.
      init: initial values of the input's weights.
      recurrent_init: initial values of the (d_hidden, d_hidden) weights of each gate, drawn one by
        one: orthogonal.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, 3, d_hidden), "b": (3, d_hidden)}, "recurrent": {"w": (d_hidden, 3, d_hidden),
      "b": (3, d_hidden)}}, the gates in the order reset, update, new.

    >>> gru_cell_spec(3, 5)["recurrent"]["b"].shape
    (3, 5)
    """
    return gated_spec(3, d_in, d_hidden, bias, recurrent_bias, init, recurrent_init, dtype)


def gru_cell(p: CellParams, carry: jax.Array | None, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gated recurrent unit, one step: `h' = (1 - z) n + z h`, `n = tanh(x W + r (h U + b))`.

    See "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
    Cho et al., 2014; the reset gate is applied after the product, as in its first version (1406.1078v1).

    Args:
      p: as declared by `gru_cell_spec`.
      carry: h, (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      (h', h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = {"input": {"w": jnp.ones((3, 3, 2))}, "recurrent": {"w": jnp.ones((2, 3, 2))}}
    >>> gru_cell(p, None, jnp.zeros(3))[1].tolist()
    [0.0, 0.0]
    """
    h = check_carry("gru_cell", p, carry, x, gru_carry)
    xr, xz, xn = gates(linear(p["input"], x))
    hr, hz, hn = gates(linear(p["recurrent"], h))
    n = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
    z = jax.nn.sigmoid(xz + hz)
    h = (1 - z) * n + z * h
    return h, h


def gru_carry(p: CellParams, x: jax.Array) -> jax.Array:
    """The zero carry of a `gru_cell` for inputs like x: (..., h), in x's dtype.

    >>> gru_carry({"recurrent": {"w": jnp.ones((2, 2))}}, jnp.ones((7, 3))).shape
    (7, 2)
    """
    return state_carry(p, x)
