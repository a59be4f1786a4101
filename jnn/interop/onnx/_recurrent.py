"""Recurrent operators: their gates in ONNX's order, both directions, rows that end earlier than others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.interop.onnx._arrays import Array, like

Carry = tuple[Array, ...]
Step = Callable[[Carry, Array, Array, Array], Carry]  # carry, input's part, recurrent weights and their bias
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "softsign": jax.nn.soft_sign,
    "tanh": jnp.tanh,
}


def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    c: Array | None = None,
    peepholes: Array | None = None,
    *,
    activations: Sequence[str] = (),
    direction: str = "forward",
    hidden_size: int = 0,
    input_forget: int = 0,
    layout: int = 0,
) -> Any:
    """Gates i, o, f, g."""
    named = _named(activations or ("Sigmoid", "Tanh", "Tanh") * w.shape[0], 3)

    def step(d: int) -> Step:
        gate, cell, out = named[d]
        p = [0.0] * 3 if peepholes is None else jnp.split(jnp.asarray(peepholes[d])[None], 3, -1)

        def one(carry: Carry, now: Array, r: Array, bias: Array) -> Carry:
            h, c = carry
            i, o, f, g = jnp.split(now + h @ r.T + bias, 4, -1)
            i = gate(i + p[0] * c)
            f = 1 - i if input_forget else gate(f + p[2] * c)
            c = f * c + i * cell(g)
            return gate(o + p[1] * c) * out(c), c

        return one

    return _recurrent(step, x, w, r, b, lengths, (h, c), direction, layout)


def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    *,
    activations: Sequence[str] = (),
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> Any:
    """Gates z, r, n."""
    named = _named(activations or ("Sigmoid", "Tanh") * w.shape[0], 2)

    def step(d: int) -> Step:
        gate, new = named[d]

        def one(carry: Carry, now: Array, r: Array, bias: Array) -> Carry:
            (h,) = carry
            size = h.shape[-1]
            z, reset = jnp.split(gate(now[:, : 2 * size] + h @ r[: 2 * size].T + bias[:, : 2 * size]), 2, -1)
            weights, own = r[2 * size :].T, bias[:, 2 * size :]
            before = reset * (h @ weights + own) if linear_before_reset else (reset * h) @ weights + own
            return ((1 - z) * new(now[:, 2 * size :] + before) + z * h,)

        return one

    return _recurrent(step, x, w, r, b, lengths, (h,), direction, layout)


def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    *,
    activations: Sequence[str] = (),
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
) -> Any:
    named = _named(activations or ("Tanh",) * w.shape[0], 1)

    def step(d: int) -> Step:
        return lambda carry, now, r, bias: (named[d][0](now + carry[0] @ r.T + bias),)

    return _recurrent(step, x, w, r, b, lengths, (h,), direction, layout)


def _named(activations: Sequence[str], each: int) -> list[list[Callable[[Array], Array]]]:
    """Those of each direction.

    Raises:
      ValueError: one is not known.
    """
    if unknown := [name for name in activations if name.lower() not in ACTIVATIONS]:
        raise ValueError(f"a recurrent operator: no activation {unknown[0]}; there are {', '.join(ACTIVATIONS)}.")
    found = [ACTIVATIONS[name.lower()] for name in activations]
    return [found[i : i + each] for i in range(0, len(found), each)]


def _recurrent(
    step: Callable[[int], Step],
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    lengths: Array | None,
    carry: tuple[Array | None, ...],
    direction: str,
    layout: int,
) -> Any:
    """Outputs (time, directions, rows, hidden), and each part of the last carry (directions, rows, hidden)."""
    x = jnp.asarray(x)
    if layout:
        x = x.swapaxes(0, 1)
        carry = tuple(None if part is None else part.swapaxes(0, 1) for part in carry)
    w, r = (jnp.asarray(like(a, x)) for a in (w, r))
    zeros = jnp.zeros((x.shape[1], r.shape[-1]), x.dtype)
    found = []
    for d in range(w.shape[0]):
        begin = tuple(zeros if part is None else jnp.asarray(like(part[d], x)) for part in carry)
        own = (jnp.zeros(2 * w.shape[1], x.dtype) if b is None else jnp.asarray(like(b[d], x))).reshape(2, 1, -1)
        backwards = direction == "reverse" or d == 1
        found.append(_scan(step(d), x, w[d], r[d], own, lengths, begin, backwards))
    outputs = jnp.stack([y for y, _ in found], 1)
    last = tuple(jnp.stack(parts) for parts in zip(*(end for _, end in found), strict=True))
    if layout:
        return outputs.transpose(2, 0, 1, 3), *(part.swapaxes(0, 1) for part in last)
    return outputs, *last


def _scan(
    step: Step, x: Array, w: Array, r: Array, b: Array, lengths: Array | None, begin: Carry, backwards: bool
) -> tuple[Array, Carry]:
    """One direction: a row stops at its length, behind which its outputs are 0."""
    there = jnp.ones((x.shape[0], x.shape[1], 1), bool)
    if lengths is not None:
        there = (np.arange(x.shape[0])[:, None] < lengths[None, :])[..., None]

    def one(carry: Carry, now: tuple[Array, Array]) -> tuple[Carry, Array]:
        read, is_there = now
        new = step(carry, read, r, b[1])
        return tuple(jnp.where(is_there, a, old) for a, old in zip(new, carry, strict=True)), jnp.where(
            is_there, new[0], 0
        )

    end, outputs = jax.lax.scan(one, begin, (x @ w.T + b[:1], there), reverse=backwards)
    return outputs, end


OPERATORS: dict[str, Callable[..., Any]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
