"""Recurrent layers on top of each other, with dropout between them.

    stacked_rnn(layer, p, x, key=key) -> (y, carries)       x (..., t, d), y (..., t, h)

Laws: one layer is that layer; noise stands between layers, never before the first or behind the last; with no noise,
a sequence in pieces, the carries handed on, equals the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax

from jnn.layers._dropout import dropout
from jnn.layers._rnn import Carry
from jnn.param import Params, check_key


def stacked_rnn(
    layer: Callable[..., tuple[jax.Array, Carry]],
    p: Sequence[Params],
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    carry: Sequence[Carry] | None = None,
    lengths: jax.Array | None = None,
) -> tuple[jax.Array, list[Carry]]:
    """Stacked recurrent layers, with dropout between them.

    See "Recurrent Neural Network Regularization", Zaremba, Sutskever and Vinyals, 2014.

    Args:
      layer: `(p, x, *, carry, lengths) -> (y, carry)`, such as `functools.partial(rnn, gru_cell)` or
        `functools.partial(bidirectional, lstm_cell)`.
      p: the parameters of each layer, from the bottom up: a list or tuple, which has an order.
      x: (..., t, d), floating point.
      key: for dropout, or None for no noise.
      rate: the probability of dropping an output of any layer but the last.
      carry: one for each layer, or None for zeros.
      lengths: (...), as in `rnn`.

    Returns:
      The last layer's y, and each layer's last carry.

    Raises:
      TypeError: p is not a list or tuple.
      ValueError: no layers, or another number of carries than of layers.

    >>> import functools
    >>> from jnn.layers import rnn, rnn_cell
    >>> p = {"input": {"w": jax.numpy.ones((3, 3))}, "recurrent": {"w": jax.numpy.ones((3, 3))}}
    >>> y, carries = stacked_rnn(functools.partial(rnn, rnn_cell), [p, p], jax.numpy.ones((5, 3)), key=None)
    >>> y.shape, len(carries)
    ((5, 3), 2)
    """
    if not isinstance(p, list | tuple):
        raise TypeError(
            f"stacked_rnn: expected a list of layers' parameters, found {type(p).__name__}: a dict has no order."
        )
    check_key("stacked_rnn", key, optional=True)
    if not p:
        raise ValueError("stacked_rnn: expected at least one layer's parameters, found none.")
    carries = [None] * len(p) if carry is None else list(carry)
    if len(carries) != len(p):
        raise ValueError(f"stacked_rnn: expected a carry for each of {len(p)} layers, found {len(carries)}.")
    for i, layer_p in enumerate(p):
        if i > 0:
            x = dropout(x, rate, key=None if key is None else jax.random.fold_in(key, i))
        x, carries[i] = layer(layer_p, x, carry=carries[i], lengths=lengths)
    return x, carries
