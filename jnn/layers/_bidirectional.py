"""A recurrence in both directions: one cell reads forwards, another backwards.

    bidirectional(cell, p, x) -> (y, carry)       x (..., t, d), y (..., t, 2 h)

Laws: the forward half of y is `rnn`'s, the backward half that of `rnn` with `reverse`, each with its own parameters.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._rnn import Carry, Cell, rnn
from jnn.param import Params, Spec


def bidirectional_spec(cell: Spec) -> Spec:
    """Declares a bidirectional layer: two cells, one for each direction.

    >>> from jnn.layers import gru_cell_spec
    >>> sorted(bidirectional_spec(gru_cell_spec(3, 5)))
    ['backward', 'forward']
    """
    return {"forward": cell, "backward": cell}


def bidirectional(
    cell: Cell,
    p: dict[str, Params],
    x: jax.Array,
    *,
    carry: dict[str, Carry] | None = None,
    lengths: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, Carry]]:
    """Bidirectional recurrence: one `rnn` forwards, one backwards, outputs side by side.

    See "Bidirectional Recurrent Neural Networks", Schuster and Paliwal, 1997.

    Args:
      cell: `(p, carry, x) -> (carry, y)`.
      p: {"forward": the cell's parameters, "backward": the same}.
      x: (..., t, d), floating point.
      carry: {"forward": ..., "backward": ...}, or None for zeros.
      lengths: (...), integers in 0..t: how many steps of each example are valid. None: all.

    Returns:
      y (..., t, 2 h), the forward half first, and both last carries; the backward one has seen step 0 last.

    >>> from jnn.layers import lstm_cell
    >>> p = {"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}}
    >>> bidirectional(lstm_cell, {"forward": p, "backward": p}, jnp.ones((5, 3)))[0].shape
    (5, 4)
    """
    checks.params("bidirectional", p, "forward", "backward")
    carry = carry or {"forward": None, "backward": None}
    ahead, carry_ahead = rnn(cell, p["forward"], x, carry=carry["forward"], lengths=lengths)
    back, carry_back = rnn(cell, p["backward"], x, carry=carry["backward"], lengths=lengths, reverse=True)
    return jnp.concatenate([ahead, back], axis=-1), {"forward": carry_ahead, "backward": carry_back}
