"""The long short-term memory with projection: a state of its own size. Order of gates and laws: as in `_lstm_cell`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import Init, glorot_uniform
from jnn.layers._cell import CellParams, check_carry, gated_spec, gates, orthogonal_init, state_carry
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Spec

State = tuple[jax.Array, jax.Array]


def projected_lstm_cell_spec(
    d_in: int,
    d_hidden: int,
    d_state: int,
    *,
    bias: bool = True,
    recurrent_bias: bool = False,
    init: Init = glorot_uniform,
    recurrent_init: Init = orthogonal_init,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a long short-term memory with projection (`projected_lstm_cell`): torch's `proj_size` is d_state here.

    Args:
      d_in: features of the input.
      d_hidden: features of the cell.
      d_state: features of the state, and of the output.
      bias: whether the input's map has a bias.
      recurrent_bias: whether the state's map has one too, as in torch.
      init: initial values of the input's and of the projection's weights.
      recurrent_init: initial values of the (d_state, d_hidden) weights of each gate.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, 4, d_hidden), "b": (4, d_hidden)}, "recurrent": {"w": (d_state, 4, d_hidden)},
      "projection": {"w": (d_hidden, d_state)}}

    >>> projected_lstm_cell_spec(3, 5, 2)["recurrent"]["w"].shape
    (2, 4, 5)
    """
    names = ("hidden", "recurrent")
    both = gated_spec(4, d_in, d_hidden, bias, recurrent_bias, init, recurrent_init, dtype, d_state=d_state)
    return {**both, "projection": linear_spec(d_hidden, d_state, axes=names, bias=False, init=init, dtype=dtype)}


def projected_lstm_cell(p: CellParams, carry: State | None, x: jax.Array) -> tuple[State, jax.Array]:
    """Long short-term memory with projection, one step: its state is a smaller linear map of its gated cell.

    See "Long Short-Term Memory Based Recurrent Neural Network Architectures for Large Vocabulary Speech Recognition",
    Sak, Senior and Beaufays, 2014; it is torch's LSTM with `proj_size`.

    Args:
      p: as declared by `projected_lstm_cell_spec`.
      carry: (h, c), (..., r) and (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      ((h', c'), h'), in x's dtype; h' is (..., r).

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), projected_lstm_cell_spec(3, 5, 2))
    >>> (h, c), y = projected_lstm_cell(p, None, jnp.zeros((7, 3)))
    >>> h.shape, c.shape, y.shape
    ((7, 2), (7, 5), (7, 2))
    """
    h, c = check_carry("projected_lstm_cell", p, carry, x, _projected_carry, "projection")
    i, f, g, o = gates(linear(p["input"], x) + linear(p["recurrent"], h))
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = linear(p["projection"], jax.nn.sigmoid(o) * jnp.tanh(c))
    return (h, c), h


def _projected_carry(p: CellParams, x: jax.Array) -> State:
    return state_carry(p, x), jnp.zeros((*x.shape[:-1], weight_shape(p["recurrent"]["w"])[-1]), x.dtype)
