"""Recurrences over time: one direction, both, and stacks, for any cell.

    rnn(cell, p, x)            -> (y, carry)     x (..., t, d), y (..., t, h)
    bidirectional(cell, p, x)  -> (y, carry)     y (..., t, 2 h)
    stacked(layer, p, x)       -> (y, carries)   layers of either, with dropout between them

A cell is any function `(p, carry, x) -> (carry, y)` that starts from zeros when its carry is None,
such as `rnn_cell`, `lstm_cell` and `gru_cell`.

Laws: a sequence in pieces, the carry handed on, equals the whole; the output at a step depends on no
later step (with `reverse`, on no earlier one). With `lengths`, steps past an example's length leave its
carry alone and give zeros, whatever stands there, and `reverse` starts at its last valid step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jnn import backend, checks
from jnn.layers.dropout import dropout
from jnn.layers.lstm_cell import lstm_cell
from jnn.layers.lstm_sequence import lstm_sequence
from jnn.param import Params, Spec

Carry = Any  # arrays in the tree that the cell makes, beginning with h
Cell = Callable[[Params, Carry, jax.Array], tuple[Carry, jax.Array]]


def rnn(
    cell: Cell,
    p: Params,
    x: jax.Array,
    *,
    carry: Carry = None,
    lengths: jax.Array | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, Carry]:
    """Applies a cell step by step along the axis before the last.

    On a CPU an `lstm_cell` runs as `lstm_sequence`, which has no forward-mode derivative: for `jax.jvp`
    or `jax.jacfwd`, trace under `with jnn.backend.target("tpu")`, which scans the cell on any machine.

    Args:
      cell: `(p, carry, x) -> (carry, y)`.
      p: the cell's parameters.
      x: (..., t, d), floating point.
      carry: the carry to start from; None is zeros.
      lengths: (...), integers in 0..t: how many steps of each example are valid. None: all.
      reverse: whether time runs from the last (valid) step to the first. Outputs stay at their steps.

    Returns:
      y (..., t, h) in x's dtype, and the last carry.

    Raises:
      TypeError: x is not floating point, or lengths are not integers.
      ValueError: x has no time axis, is empty or does not fit p; the carry does not fit x; lengths have
        another shape than x's leading axes or are known to leave 0..t.

    >>> p = {"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}}
    >>> y, (h, c) = rnn(lstm_cell, p, jnp.ones((7, 5, 3)), lengths=jnp.full(7, 4))
    >>> y.shape, bool((h == y[:, 3]).all()), float(y[0, 4, 0])
    ((7, 5, 2), True, 0.0)
    """
    checks.floats("rnn", x, ndim=2)
    *leading, t, d = x.shape
    step = jax.ShapeDtypeStruct((*leading, d), x.dtype)
    shapes, _ = jax.eval_shape(cell, p, carry, step)  # the cell checks p, the carry and x here
    if carry is None:
        carry = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    xs, valid = jnp.moveaxis(x, -2, 0), None
    if lengths is not None:
        valid = _valid(lengths, t, tuple(leading))
        xs = _where(valid, xs, jnp.zeros_like(xs))  # padding may hold anything, and 0 * nan is nan
    if cell is lstm_cell and backend.choose("lstm") == "feature_major":
        carry, ys = lstm_sequence(p, carry, xs, valid, reverse=reverse)
    else:
        carry, ys = _scan(cell, p, carry, xs, valid, reverse)
    if valid is not None:
        ys = _where(valid, ys, jnp.zeros_like(ys))
    return jnp.moveaxis(ys, 0, -2), carry


def bidirectional_spec(cell: Spec) -> Spec:
    """Declares two cells, one for each direction.

    >>> from jnn.layers.gru_cell import gru_cell_spec
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
    """One `rnn` forwards, one backwards, outputs side by side.

    See "Bidirectional Recurrent Neural Networks", Schuster and Paliwal, 1997. Arguments as `rnn`.

    Args:
      p: {"forward": the cell's parameters, "backward": the same}.
      carry: {"forward": ..., "backward": ...}, or None for zeros.

    Returns:
      y (..., t, 2 h), the forward half first, and both last carries; the backward one has seen step 0 last.

    >>> p = {"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}}
    >>> bidirectional(lstm_cell, {"forward": p, "backward": p}, jnp.ones((5, 3)))[0].shape
    (5, 4)
    """
    carry = carry or {"forward": None, "backward": None}
    ahead, carry_ahead = rnn(cell, p["forward"], x, carry=carry["forward"], lengths=lengths)
    back, carry_back = rnn(cell, p["backward"], x, carry=carry["backward"], lengths=lengths, reverse=True)
    return jnp.concatenate([ahead, back], axis=-1), {"forward": carry_ahead, "backward": carry_back}


def stacked(
    layer: Callable[..., tuple[jax.Array, Carry]],
    p: Sequence[Params],
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    carry: Sequence[Carry] | None = None,
    lengths: jax.Array | None = None,
) -> tuple[jax.Array, list[Carry]]:
    """Layers on top of each other, with dropout between them ("Recurrent Neural Network
    Regularization", Zaremba, Sutskever and Vinyals, 2014).

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
    >>> p = {"input": {"w": jnp.ones((3, 4, 3))}, "recurrent": {"w": jnp.ones((3, 4, 3))}}
    >>> y, carries = stacked(functools.partial(rnn, lstm_cell), [p, p], jnp.ones((5, 3)), key=None)
    >>> y.shape, len(carries)
    ((5, 3), 2)
    """
    if not isinstance(p, list | tuple):
        raise TypeError(
            f"stacked: expected a list of layers' parameters, found {type(p).__name__}: a dict has no order."
        )
    if not p:
        raise ValueError("stacked: expected at least one layer's parameters, found none.")
    carries = [None] * len(p) if carry is None else list(carry)
    if len(carries) != len(p):
        raise ValueError(f"stacked: expected a carry for each of {len(p)} layers, found {len(carries)}.")
    for i, layer_p in enumerate(p):
        if i > 0:
            x = dropout(x, rate, key=None if key is None else jax.random.fold_in(key, i))
        x, carries[i] = layer(layer_p, x, carry=carries[i], lengths=lengths)
    return x, carries


def _scan(
    cell: Cell, p: Params, carry: Carry, xs: jax.Array, valid: jax.Array | None, reverse: bool
) -> tuple[Carry, jax.Array]:
    """Any cell over the leading axis; a step that is not valid leaves the carry alone."""

    def step(carry: Carry, now: Any) -> tuple[Carry, jax.Array]:
        x, keep = now
        new, y = cell(p, carry, x)
        if keep is not None:
            new = jax.tree.map(lambda a, b: _where(keep, a, b), new, carry)
        return new, y

    return jax.lax.scan(step, carry, (xs, valid), reverse=reverse)


def _valid(lengths: jax.Array, t: int, leading: tuple[int, ...]) -> jax.Array:
    """(t, ...): whether each step lies within each example's length."""
    lengths = jnp.asarray(lengths)
    checks.integers("rnn", lengths)
    if lengths.shape != leading:
        want = f"[{','.join(map(str, leading))}]"
        raise ValueError(f"rnn: expected one length per example, integers{want}, found {checks.describe(lengths)}.")
    checks.in_range("rnn", lengths, t + 1, what="lengths", of=f"lengths, for {t} steps")
    return jnp.arange(t).reshape(t, *[1] * len(leading)) < lengths[None]


def _where(keep: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """`where`, with keep's missing trailing axes added."""
    return jnp.where(keep.reshape(keep.shape + (1,) * (a.ndim - keep.ndim)), a, b)
