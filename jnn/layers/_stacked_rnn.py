"""Recurrent layers on top of each other, with dropout between them.

    stacked_rnn(layer, p, x, key=key) -> (y, carries)       x (..., t, d), y (..., t, h)
    residual_rnn(layer, p, x) -> (x + y, carry)             a layer of such a stack

Laws: one layer is that layer; noise stands between layers, never before the first or behind the last; with no noise,
a sequence in pieces, the carries handed on, equals the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._dropout import dropout
from jnn.layers._rnn import Carry, valid_steps
from jnn.param import Params, check_key

Layer = Callable[..., tuple[jax.Array, Carry]]  # (p, x, *, carry, lengths) -> (y, carry)


def stacked_rnn(
    layer: Layer,
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
        `functools.partial(bidirectional, lstm_cell)`; with a `residual_rnn` around it for residual connections.
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
    checks.array("stacked_rnn", x)
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


def residual_rnn(
    layer: Layer, p: Params, x: jax.Array, *, carry: Carry = None, lengths: jax.Array | None = None
) -> tuple[jax.Array, Carry]:
    """Residual recurrent layer: its input plus its output, for deep stacks.

    See "Google's Neural Machine Translation System", Wu et al., 2016, section 3.1.

    Args:
      layer: as `stacked_rnn` takes it; `functools.partial(residual_rnn, layer)` is another.
      p: the layer's parameters.
      x: (..., t, d), floating point, of as many features as the layer gives.
      carry, lengths: as in `rnn`; steps past the length are zeros.

    Returns:
      x + y, (..., t, d), and the last carry.

    Raises:
      ValueError: the layer gives another number of features than x has.

    >>> import functools
    >>> from jnn.layers import rnn, rnn_cell
    >>> p = {"input": {"w": jnp.zeros((3, 3))}, "recurrent": {"w": jnp.zeros((3, 3))}}
    >>> residual_rnn(functools.partial(rnn, rnn_cell), p, jnp.ones((5, 3)))[0].sum().item()
    15.0
    """
    y, carry = layer(p, x, carry=carry, lengths=lengths)
    if y.shape != x.shape:
        raise ValueError(
            f"residual_rnn: expected a layer that keeps the shape of x, {checks.describe(x)}, found "
            f"{checks.describe(y)}. Put a linear map before it."
        )
    if lengths is not None:
        valid = jnp.moveaxis(valid_steps(lengths, x.shape[-2], x.shape[:-2]), 0, -1)
        x = jnp.where(valid[..., None], x, 0)  # what stands past the length is never read
    return x + y, carry
