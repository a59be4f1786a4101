"""Long short-term memory: gates i, f, g, o and a cell c that they guard; the carry is (h, c). Laws: see `_cell`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import Init, glorot_uniform
from jnn.layers._cell import CellParams, check_carry, gated_spec, gates, orthogonal_init, state_carry
from jnn.layers._linear import linear
from jnn.param import Param, Spec


def lstm_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    bias: bool = True,
    recurrent_bias: bool = False,
    forget_bias: float = 1.0,
    init: Init = glorot_uniform,
    recurrent_init: Init = orthogonal_init,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a long short-term memory (`lstm_cell`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      bias: whether the input's map has a bias.
      recurrent_bias: whether the state's map has one too, as in torch.
      forget_bias: initial bias of the forget gate; with 1 a fresh cell remembers ("An Empirical
        Exploration of Recurrent Network Architectures", Jozefowicz, Zaremba and Sutskever, 2015).
      init: initial values of the input's weights.
      recurrent_init: initial values of the (d_hidden, d_hidden) weights of each gate, drawn one by
        one: orthogonal.
      dtype: of all parameters.

    Returns:
      {"input": {"w": (d_in, 4, d_hidden), "b": (4, d_hidden)}, "recurrent": {"w": (d_hidden, 4, d_hidden)}},
      the gates in the order input, forget, cell, output.

    >>> lstm_cell_spec(3, 5)["input"]["w"].shape
    (3, 4, 5)
    """

    def gate_biases(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
        return jnp.zeros(shape, dtype).at[1].set(forget_bias)

    spec = gated_spec(4, d_in, d_hidden, bias, recurrent_bias, init, recurrent_init, dtype)
    if bias:
        spec["input"]["b"] = Param((4, d_hidden), gate_biases, ("gates", "hidden"), dtype)
    return spec


def lstm_cell(
    p: CellParams, carry: tuple[jax.Array, jax.Array] | None, x: jax.Array
) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Long short-term memory, one step: `c' = f c + i g`, `h' = o tanh(c')`.

    See "Long Short-Term Memory", Hochreiter and Schmidhuber, 1997, with the forget gate of "Learning to
    Forget", Gers, Schmidhuber and Cummins, 2000.

    Args:
      p: as declared by `lstm_cell_spec`.
      carry: (h, c), each (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      ((h', c'), h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = {"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}}
    >>> lstm_cell(p, None, jnp.zeros(3))[1].tolist()
    [0.0, 0.0]
    """
    h, c = check_carry("lstm_cell", p, carry, x, lstm_carry)
    i, f, g, o = gates(linear(p["input"], x) + linear(p["recurrent"], h))
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def lstm_carry(p: CellParams, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The zero carry (h, c) of an `lstm_cell` for inputs like x: each (..., h), in x's dtype.

    >>> h, c = lstm_carry({"recurrent": {"w": jnp.ones((2, 4, 2))}}, jnp.ones((7, 3)))
    >>> h.shape, c.shape
    ((7, 2), (7, 2))
    """
    h = state_carry(p, x)
    return h, h
