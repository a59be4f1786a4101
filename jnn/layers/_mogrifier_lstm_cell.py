"""The Mogrifier: a long short-term memory whose input and state modulate each other first.

Order of gates: as in `_lstm_cell`. Laws: see `_cell`; a Mogrifier of no rounds is an `lstm_cell`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal
from jnn.layers._cell import check_carry
from jnn.layers._linear import linear, linear_spec
from jnn.layers._lstm_cell import lstm_carry, lstm_cell, lstm_cell_spec
from jnn.param import Params, Spec

State = tuple[jax.Array, jax.Array]


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
