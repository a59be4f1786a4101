"""A whole sequence through an `lstm_cell` on a CPU: the same function as a scan of the cell, faster.

Four things make the difference in XLA:CPU. States are kept feature-major, (h, b), so that the weights
stand on the left of one product a step and are packed once; both orientations of the weights are made
outside the loops; a sigmoid is a tanh, so one kernel serves all gates; and the backward loop sums the
weights' gradient in its carry, two steps to a product, instead of writing every step's gradient out.

The price is a gradient written by hand: reverse mode only. `jax.jvp` of it raises a TypeError;
`jnn.backend.target("tpu")` around the call traces the plain scan instead, which has every mode.

Letters: `t` time, `b` batch, `d` input features, `h` state features, `f` = 4 h, the gates i f g o.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers._linear import merge_weight
from jnn.precision import wide_dtype

State = tuple[jax.Array, jax.Array]
STEPS = 2  # a product of the weights' gradient: fewer leave it short, more make XLA:CPU recompute


def lstm_sequence(
    p: dict[str, dict[str, jax.Array]], carry: State, xs: jax.Array, valid: jax.Array | None, *, reverse: bool
) -> tuple[State, jax.Array]:
    """Scans an `lstm_cell` over the leading axis of xs.

    Args:
      p: as declared by `lstm_cell_spec`.
      carry: (h, c), each (..., h).
      xs: (t, ..., d).
      valid: (t, ...) booleans, or None; a step that is False leaves its example's carry alone.
      reverse: whether time runs from the last step to the first.

    Returns:
      ((h, c), ys): the last carry, and h after every step, (t, ..., h).

    >>> p = {"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}}
    >>> zero = jnp.zeros((7, 2))
    >>> lstm_sequence(p, (zero, zero), jnp.ones((5, 7, 3)), None, reverse=False)[1].shape
    (5, 7, 2)
    """
    t, *leading, d = xs.shape
    h, maps = carry[0].shape[-1], [p["input"], p["recurrent"]]
    w = jnp.concatenate([merge_weight(m).reshape(-1, 4 * h) for m in maps]).astype(xs.dtype)
    bias = sum((m["b"].reshape(4 * h) for m in maps if "b" in m), jnp.zeros(4 * h)).astype(xs.dtype)
    xs, state = xs.reshape(t, -1, d), tuple(leaf.reshape(-1, h) for leaf in carry)
    keep = None if valid is None else valid.reshape(t, 1, -1)
    if reverse:
        xs, keep = xs[::-1], None if keep is None else keep[::-1]
    (last_h, last_c), ys = _sequence(w, bias, xs, keep, (state[0], state[1]))
    ys = ys[::-1] if reverse else ys
    return (last_h.reshape(*leading, h), last_c.reshape(*leading, h)), ys.reshape(t, *leading, h)


@jax.custom_vjp
def _sequence(w: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, state: State) -> tuple[State, jax.Array]:
    """w (d + h, f), bias (f,), xs (t, b, d), keep (t, 1, b) or None, state (b, h) twice."""
    return _forward(w, bias, xs, keep, state)[0]


def _forward(w: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, state: State) -> tuple[Any, Any]:
    """The outputs, and what the gradient needs."""
    turned, column = w.T, bias[:, None]
    halves = _halves(w)

    def step(state: State, now: Any) -> tuple[State, Any]:
        h, c = state
        x, keep = now
        z = turned @ jnp.concatenate([x.T, h]) + column
        tanhs = jnp.tanh(halves * z)
        i, f, g, o = _gates(tanhs)
        new_c = f * c + i * g
        new_h = o * jnp.tanh(new_c)
        if keep is not None:
            new_h, new_c = jnp.where(keep, new_h, h), jnp.where(keep, new_c, c)
        return (new_h, new_c), (new_h.T, c, tanhs)

    (h, c), (hs, cs, tanhs) = jax.lax.scan(step, (state[0].T, state[1].T), (xs, keep))
    return ((h.T, c.T), hs), (w, xs, keep, state[0], hs, cs, tanhs)


def _backward(residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    """The chain rule against time, `STEPS` at once; the weights' gradient is summed in float32 at least."""
    w, xs, keep, first, hs, cs, tanhs = residuals
    (dh, dc), dhs = cotangents
    t, b, d = xs.shape
    exact = wide_dtype(w)
    before = jnp.concatenate([first[None], hs[:-1]])  # h before each step

    def block(sums: Any, now: Any) -> tuple[Any, jax.Array]:
        dh, dc, dw, dbias = sums
        xs, before, keep, cs, tanhs, dhs = now
        dzs: list[jax.Array] = []
        dxs: list[jax.Array] = []
        for k in reversed(range(xs.shape[0])):
            dh = dh + dhs[k].T
            dz, dc, past = _step_back(dh, dc, cs[k], tanhs[k], None if keep is None else keep[k])
            ds = w @ dz
            dh = ds[d:] if past is None else ds[d:] + past
            dzs, dxs = [dz, *dzs], [ds[:d].T, *dxs]
        dz = jnp.concatenate(dzs, axis=1)
        s = jnp.concatenate([xs, before], axis=-1).reshape(-1, w.shape[0])
        dw = dw + jnp.matmul(dz, s, preferred_element_type=exact)
        return (dh, dc, dw, dbias + jnp.sum(dz, axis=1, dtype=exact)), jnp.stack(dxs)

    steps = (xs, before, keep, cs, tanhs, dhs)
    whole = t - t % STEPS
    sums = (dh.T, dc.T, jnp.zeros(w.shape[::-1], exact), jnp.zeros(w.shape[1], exact))
    rest: list[jax.Array] = []
    if whole < t:  # what is left of the last block comes first: time runs backwards
        sums, dx = block(sums, jax.tree.map(lambda a: a[whole:], steps))
        rest = [dx]
    blocks = jax.tree.map(lambda a: a[:whole].reshape(t // STEPS, STEPS, *a.shape[1:]), steps)
    (dh, dc, dw, dbias), dxs = jax.lax.scan(block, sums, blocks, reverse=True)
    dxs = jnp.concatenate([dxs.reshape(whole, b, d), *rest])
    return dw.T.astype(w.dtype), dbias.astype(w.dtype), dxs, None, (dh.T, dc.T)


_sequence.defvjp(_forward, _backward)


def _step_back(dh: jax.Array, dc: jax.Array, c: jax.Array, tanhs: jax.Array, keep: Any) -> tuple[Any, ...]:
    """Gradients of the gates before their activations (f, b), of c, and what passes a skipped step by."""
    i, f, g, o = _gates(tanhs)
    past_h = past_c = None
    if keep is not None:
        zero = jnp.zeros((), dh.dtype)
        past_h, past_c = jnp.where(keep, zero, dh), jnp.where(keep, zero, dc)
        dh, dc = jnp.where(keep, dh, zero), jnp.where(keep, dc, zero)
    tanh_c = jnp.tanh(f * c + i * g)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    gates = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)]
    dc = dc * f if past_c is None else dc * f + past_c
    return jnp.concatenate(gates), dc, past_h


def _halves(w: jax.Array) -> jax.Array:
    """(f, 1): one half for the sigmoid gates, for sigmoid(z) = (1 + tanh(z / 2)) / 2; one for g."""
    return jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], w.dtype), w.shape[1] // 4)[:, None]


def _gates(tanhs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The gates i, f, g, o, each (h, b), from their tanhs (f, b)."""
    i, f, g, o = jnp.split(tanhs, 4)
    return 0.5 * i + 0.5, 0.5 * f + 0.5, g, 0.5 * o + 0.5
