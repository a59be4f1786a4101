"""Variants of the long short-term memory: gates that see the cell, a state of its own size, an input that is modulated.

Gates, and so weights, stand in `lstm_cell`'s order: input, forget, cell, output. Laws: see `_cell`; peepholes of zero
leave an `lstm_cell`, and so does a Mogrifier of no rounds.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform, lecun_normal, zeros
from jnn.layers._cell import CellParams, check_carry, gated_spec, gates, orthogonal_init, state_carry, times
from jnn.layers._linear import linear, linear_spec
from jnn.layers._lstm_cell import lstm_carry, lstm_cell, lstm_cell_spec
from jnn.param import Param, Params, Spec

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
    return state_carry(p, x), jnp.zeros((*x.shape[:-1], p["recurrent"]["w"].shape[-1]), x.dtype)


def mogrifier_lstm_cell_spec(
    d_in: int,
    d_hidden: int,
    *,
    rounds: int = 5,
    mogrifier_init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
    **options: Any,
) -> Spec:
    """Declares a Mogrifier LSTM (`mogrifier_lstm_cell`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      rounds: how often input and state gate each other, in turn.
      mogrifier_init: initial values of the maps that do it.
      dtype: of all parameters.
      options: as `lstm_cell_spec` takes them.

    Returns:
      As `lstm_cell_spec`, and {"mogrifier": [a map of the state to the input's gate, one of the input to the state's,
      and so on in turn]}, each a `linear_spec` without bias.

    >>> [part["w"].shape for part in mogrifier_lstm_cell_spec(3, 5, rounds=3)["mogrifier"]]
    [(5, 3), (3, 5), (5, 3)]
    """
    turns = [(("recurrent", "embed"), d_hidden, d_in), (("embed", "recurrent"), d_in, d_hidden)]
    one = lambda names, a, b: linear_spec(a, b, axes=names, bias=False, init=mogrifier_init, dtype=dtype)
    maps = [one(*turns[i % 2]) for i in range(rounds)]
    return {**lstm_cell_spec(d_in, d_hidden, dtype=dtype, **options), "mogrifier": maps}


def mogrifier_lstm_cell(p: Params, carry: State | None, x: jax.Array) -> tuple[State, jax.Array]:
    """Mogrifier LSTM, one step: before it, input and state gate each other by `2 sigmoid(...)`, in turn.

    See "Mogrifier LSTM", Melis, Kocisky and Blunsom, 2020.

    Args:
      p: as declared by `mogrifier_lstm_cell_spec`; how many maps "mogrifier" holds says how many rounds there are.
      carry: (h, c), each (..., h), or None for zeros.
      x: (..., d), floating point.

    Returns:
      ((h', c'), h'), in x's dtype.

    Raises:
      TypeError, ValueError: x or the carry does not fit p, or x is empty.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), mogrifier_lstm_cell_spec(3, 2))
    >>> mogrifier_lstm_cell(p, None, jnp.zeros((5, 3)))[1].shape
    (5, 2)
    """
    if not isinstance(p.get("mogrifier") if hasattr(p, "get") else (), list | tuple):
        raise ValueError(
            "mogrifier_lstm_cell: expected params['mogrifier'], a list of maps in turn, found "
            f"{checks.describe(p.get('mogrifier'))}. See mogrifier_lstm_cell_spec."
        )
    both = {name: p[name] for name in ("input", "recurrent") if name in p} if hasattr(p, "keys") else p
    h, c = check_carry("mogrifier_lstm_cell", both, carry, x, lstm_carry)
    for i, part in enumerate(p["mogrifier"]):
        if i % 2 == 0:
            x = 2 * jax.nn.sigmoid(linear(part, h)) * x
        else:
            h = 2 * jax.nn.sigmoid(linear(part, x)) * h
    return lstm_cell(both, (h, c), x)
