"""Recurrence over time, for any cell. (In both directions: `_bidirectional`. Layer upon layer: `_stacked_rnn`.)

    rnn(cell, p, x) -> (y, carry)       x (..., t, d), y (..., t, h)

A cell is any function `(p, carry, x) -> (carry, y)` that starts from zeros when its carry is None,
such as `rnn_cell`, `lstm_cell` and `gru_cell`.

Laws: a sequence in pieces, the carry handed on, equals the whole; the output at a step depends on no
later step (with `reverse`, on no earlier one). With `lengths`, steps past an example's length leave its
carry alone and give zeros, whatever stands there, and `reverse` starts at its last valid step. With `resets`,
sequences one behind the other in a row are each as if alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import backend, checks
from jnn.axes import in_force
from jnn.layers._gru_cell import gru_cell
from jnn.layers._lstm_cell import lstm_cell
from jnn.layers.kernels._gru import gru_sequence
from jnn.layers.kernels._lstm import lstm_sequence
from jnn.param import Params
from jnn.precision import narrow, over_steps

Carry = Any  # arrays in the tree that the cell makes, beginning with h
Cell = Callable[[Params, Carry, jax.Array], tuple[Carry, jax.Array]]


class Sequence(NamedTuple):
    """All steps of a cell at once, where a row of `jnn.backend.TABLE` chooses this formulation."""

    row: str
    formulation: str
    run: Callable[..., tuple[Carry, jax.Array]]


SEQUENCES: dict[Cell, Sequence] = {
    lstm_cell: Sequence("lstm", "by_hand", lstm_sequence),
    gru_cell: Sequence("gru", "by_hand", gru_sequence),
}


def rnn(
    cell: Cell,
    p: Params,
    x: jax.Array,
    *,
    carry: Carry = None,
    lengths: jax.Array | None = None,
    resets: jax.Array | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, Carry]:
    """Recurrent layer: applies a cell step by step along the axis before the last.

    On a CPU, without a layout and resets, an `lstm_cell` runs as `lstm_sequence`, a `gru_cell` as `gru_sequence`. They
    have no forward-mode derivative: for `jax.jvp` or `jax.jacfwd`, trace under `with jnn.backend.target("tpu")`, which
    scans the cell on any machine.

    Args:
      cell: `(p, carry, x) -> (carry, y)`.
      p: the cell's parameters.
      x: (..., t, d), floating point.
      carry: the carry to start from; None is zeros.
      lengths: (...), integers in 0..t: how many steps of each example are valid. None: all.
      resets: (..., t), bool: before which steps the carry is zeros again, as where another sequence or episode begins;
        with `reverse` these are the last steps of each. None: before none.
      reverse: whether time runs from the last (valid) step to the first. Outputs stay at their steps.

    Returns:
      y (..., t, h) in x's dtype, and the last carry.

    Raises:
      TypeError: x is not floating point, lengths are not integers, or resets not bool.
      ValueError: x has no time axis, is empty or does not fit p; the carry does not fit x; lengths have
        another shape than x's leading axes or are known to leave 0..t; resets have not a bool a step.

    >>> p = {"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}}
    >>> y, (h, c) = rnn(lstm_cell, p, jnp.ones((7, 5, 3)), lengths=jnp.full(7, 4))
    >>> y.shape, bool((h == y[:, 3]).all()), float(y[0, 4, 0])
    ((7, 5, 2), True, 0.0)
    """
    checks.drawn("rnn", p)
    checks.floats("rnn", x, ndim=2)
    x = narrow(x)
    *leading, t, d = x.shape
    step = jax.ShapeDtypeStruct((*leading, d), x.dtype)
    shapes, _ = jax.eval_shape(cell, p, carry, step)  # the cell checks p, the carry and x here
    if carry is None:
        carry = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    xs, valid = jnp.moveaxis(x, -2, 0), None
    if lengths is not None:
        valid = valid_steps(lengths, t, tuple(leading))
        xs = _where(valid, xs, jnp.zeros_like(xs))  # padding may hold anything, and 0 * nan is nan
    fresh = None if resets is None else jnp.moveaxis(_resets(resets, (*leading, t)), -1, 0)
    own = next((own for known, own in SEQUENCES.items() if known is _bare(cell)), None)  # a cell may have no hash
    refusal = functools.partial(_refusal, resets=resets is not None)
    if own is not None and backend.choose(own.row, {own.formulation: refusal}) == own.formulation:
        carry, ys = own.run(p, carry, xs, valid, reverse=reverse)
    else:
        carry, ys = _scan(cell, p, carry, xs, valid, fresh, reverse=reverse)
    if valid is not None:
        ys = _where(valid, ys, jnp.zeros_like(ys))
    return jnp.moveaxis(ys, 0, -2), carry


def _bare(cell: Cell) -> Cell:
    """The function that a `functools.partial` of no arguments stands for; else the cell."""
    return cell.func if isinstance(cell, functools.partial) and not (cell.args or cell.keywords) else cell


def _refusal(*, resets: bool) -> str:
    if resets:
        return "with resets, for which the cell is scanned"
    # the LSTM's one product with the weights of input and state, which lie differently, is one that XLA's partitioner
    # gets wrong on a mesh of three axes where the weights are not gathered: see `jnn.axes.gathered`
    return "" if in_force() is None else "under a layout, where the cell is scanned as on every accelerator"


def _scan(
    cell: Cell,
    p: Params,
    carry: Carry,
    xs: jax.Array,
    valid: jax.Array | None,
    fresh: jax.Array | None,
    *,
    reverse: bool,
) -> tuple[Carry, jax.Array]:
    """Any cell over the leading axis; a fresh step begins with zeros, one that is not valid leaves the carry alone."""
    params = over_steps(p)

    def step(carry: Carry, now: Any) -> tuple[Carry, jax.Array]:
        x, keep, reset = now
        if reset is not None:
            reset = reset if keep is None else reset & keep
            carry = jax.tree.map(lambda a: _where(reset, jnp.zeros_like(a), a), carry)
        new, y = cell(params(), carry, x)
        if keep is not None:
            new = jax.tree.map(lambda a, b: _where(keep, a, b), new, carry)
        return new, y

    return jax.lax.scan(step, carry, (xs, valid, fresh), reverse=reverse)


def valid_steps(lengths: jax.Array, t: int, leading: tuple[int, ...]) -> jax.Array:
    """(t, ...): whether each step lies within each example's length."""
    lengths = jnp.asarray(lengths)
    checks.integers("rnn", lengths)
    if lengths.shape != leading:
        want = f"[{','.join(map(str, leading))}]"
        raise ValueError(f"rnn: expected one length per example, integers{want}, found {checks.describe(lengths)}.")
    checks.lengths("rnn", lengths, t, of="steps")
    return jnp.arange(t).reshape(t, *[1] * len(leading)) < lengths[None]


def _resets(resets: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The resets, once they are known to be one bool per step."""
    checks.array("rnn", resets, "resets")
    if resets.dtype != jnp.bool_:
        raise TypeError(f"rnn: expected resets that are bool, found {checks.describe(resets)}.")
    if resets.shape != shape:
        want = f"bool[{','.join(map(str, shape))}]"
        raise ValueError(f"rnn: expected one reset per step, {want}, found {checks.describe(resets)}.")
    return jnp.asarray(resets)


def _where(keep: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """`where`, with keep's missing trailing axes added."""
    return jnp.where(keep.reshape(keep.shape + (1,) * (a.ndim - keep.ndim)), a, b)
