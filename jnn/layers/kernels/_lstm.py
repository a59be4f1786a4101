"""A whole sequence through an `lstm_cell` on a CPU: the same function as a scan of the cell, faster.

Its gradient is made as the GRU's is (`_gru`): one product a step in the loop, those of weights and inputs after it.

The price is a gradient written by hand: reverse mode only. `jax.jvp` of it raises a TypeError;
`jnn.backend.target("tpu")` around the call traces the plain scan instead, which has every mode.

Letters: `t` time, `b` batch, `d` input features, `h` state features, `f` = 4 h, the gates i f g o.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers.kernels._recurrence import matrices, parted, run_in_order, weights_gradient
from jnn.param import Params
from jnn.precision import wide_dtype

State = tuple[jax.Array, jax.Array]


def lstm_sequence(
    p: dict[str, Params], carry: State, xs: jax.Array, valid: jax.Array | None, *, reverse: bool
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
    w, u, b, c = matrices(p)
    w, u, bias = (a.astype(xs.dtype) for a in (w, u, b + c))
    run = lambda xs, keep, state: _sequence(w, u, bias, xs, None if keep is None else keep[..., None], state)
    return run_in_order(run, carry, xs, valid, reverse=reverse)


@jax.custom_vjp
def _sequence(
    w: jax.Array, u: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, state: State
) -> tuple[State, jax.Array]:
    """w (d, f), u (h, f), bias (f,), xs (t, b, d), keep (t, b, 1) or None, state (b, h) twice."""
    return _forward(w, u, bias, xs, keep, state)[0]


def _forward(w: jax.Array, u: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, state: State) -> Any:
    """The outputs, and what the gradient needs."""

    def step(state: State, now: Any) -> tuple[State, Any]:
        h, c = state
        x, keep = now
        i, f, g, o = jnp.split(x @ w + h @ u + bias[None], 4, axis=1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        new_c = f * c + i * g
        new_h = o * jnp.tanh(new_c)
        if keep is not None:
            new_h, new_c = jnp.where(keep, new_h, h), jnp.where(keep, new_c, c)
        return (new_h, new_c), (new_h, c, (i, f, g, o))

    last, (hs, cs, gates) = jax.lax.scan(step, state, (xs, keep))
    return (last, hs), (w, u, xs, keep, state[0], hs, cs, gates)


def _backward(residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    """The chain rule against time, then the sums over all steps, those of weights in float32 at least."""
    w, u, xs, keep, first, hs, cs, gates = residuals
    state, dhs = cotangents
    before, turned = jnp.concatenate([first[None], hs[:-1]]), u.T

    def step(state: State, now: Any) -> tuple[State, jax.Array]:
        keep, c, gates, dhs = now
        return _step_back(turned, state[0] + dhs, state[1], c, keep, gates)

    state, dz = jax.lax.scan(step, state, (keep, cs, gates, dhs), reverse=True)
    dz = dz.reshape(-1, u.shape[1])
    dbias = jnp.sum(dz, axis=0, dtype=wide_dtype(w)).astype(w.dtype)
    dxs = (dz @ w.T).reshape(xs.shape)
    return weights_gradient(xs, dz), weights_gradient(before, dz), dbias, dxs, None, state


_sequence.defvjp(_forward, _backward)


def _step_back(
    turned: jax.Array, dh: jax.Array, dc: jax.Array, c: jax.Array, keep: Any, gates: Any
) -> tuple[State, jax.Array]:
    """Gradients of h and c before the step, and of the gates before their activations, (b, f)."""
    i, f, g, o = gates
    (dh, past_h), (dc, past_c) = parted(keep, dh), parted(keep, dc)
    tanh_c = jnp.tanh(f * c + i * g)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    each = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)]
    dz = jnp.concatenate(each, axis=1)
    return (dz @ turned + past_h, dc * f + past_c), dz
