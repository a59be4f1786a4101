"""The long short-term memory with peepholes: its gates see the cell.

Order of gates: as in `_lstm_cell`. Laws: see `_cell`; peepholes of zero leave an `lstm_cell`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn.initializers import Init, zeros
from jnn.layers._cell import CellParams, check_carry, gates, times
from jnn.layers._linear import linear
from jnn.layers._lstm_cell import lstm_carry, lstm_cell_spec
from jnn.param import Param, Spec

State = tuple[jax.Array, jax.Array]


def peephole_lstm_cell_spec(
    d_in: int, d_hidden: int, *, peephole_init: Init = zeros, dtype: DTypeLike = jnp.float32, **options: Any
) -> Spec:
    """Declares a long short-term memory with peepholes (`peephole_lstm_cell`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      peephole_init: initial values of the peepholes; of zeros, it begins as an `lstm_cell`.
      dtype: of all parameters.
      options: as `lstm_cell_spec` takes them.

    Returns:
      As `lstm_cell_spec`, and {"peephole": {"w": (3, d_hidden)}}: of the input, the forget and the output gate.

    >>> peephole_lstm_cell_spec(3, 5)["peephole"]["w"].shape
    (3, 5)
    """
    peephole = {"w": Param((3, d_hidden), peephole_init, ("gates", "hidden"), dtype)}
    return {**lstm_cell_spec(d_in, d_hidden, dtype=dtype, **options), "peephole": peephole}


def peephole_lstm_cell(p: CellParams, carry: State | None, x: jax.Array) -> tuple[State, jax.Array]:
    """Long short-term memory with peepholes, one step: its gates see the cell that they guard.

    See "Learning Precise Timing with LSTM Recurrent Networks", Gers, Schraudolph and Schmidhuber, 2002: the input and
    the forget gate see the cell before the step, the output gate that after it.

    Args:
      p: as declared by `peephole_lstm_cell_spec`.
      carry: (h, c), each (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      ((h', c'), h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), peephole_lstm_cell_spec(3, 2))
    >>> peephole_lstm_cell(p, None, jnp.zeros((5, 3)))[1].shape
    (5, 2)
    """
    h, c = check_carry("peephole_lstm_cell", p, carry, x, lstm_carry, "peephole")
    of_input, of_forget, of_output = p["peephole"]["w"]
    i, f, g, o = gates(linear(p["input"], x) + linear(p["recurrent"], h))
    keep, let_in = jax.nn.sigmoid(f + times(c, of_forget)), jax.nn.sigmoid(i + times(c, of_input))
    c = keep * c + let_in * jnp.tanh(g)
    h = jax.nn.sigmoid(o + times(c, of_output)) * jnp.tanh(c)
    return (h, c), h
