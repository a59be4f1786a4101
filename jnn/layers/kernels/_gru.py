"""A whole sequence through a `gru_cell` on a CPU: the same function as a scan of it, its gradient written by hand.

What makes the difference in XLA:CPU: the backward loop has one product a step, which carries the gradient to the step
before, and writes out the gradients of the gates. Those of weights and inputs are one product each after it, over all
steps, where a scan's own gradient has small ones in every step. Forwards it is the scan: one product of all inputs,
which has to be written and read again, took a forward pass from 3.9 to 7.1 ms.

The price is that of `_lstm`: reverse mode only.

Letters: `t` time, `b` batch, `d` input features, `h` state features. The gates are r z n, and m is what r multiplies:
n = tanh(x W + r m), m = h U + its bias.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers.kernels._recurrence import matrices, parted, run_in_order, weights_gradient
from jnn.param import Params
from jnn.precision import wide_dtype


def gru_sequence(
    p: dict[str, Params], carry: jax.Array, xs: jax.Array, valid: jax.Array | None, *, reverse: bool
) -> tuple[jax.Array, jax.Array]:
    """Scans a `gru_cell` over the leading axis of xs.

    Args:
      p: as declared by `gru_cell_spec`.
      carry: h, (..., h).
      xs: (t, ..., d).
      valid: (t, ...) booleans, or None; a step that is False leaves its example's carry alone.
      reverse: whether time runs from the last step to the first.

    Returns:
      (h, ys): the last carry, and h after every step, (t, ..., h).

    >>> p = {"input": {"w": jnp.ones((3, 3, 2))}, "recurrent": {"w": jnp.ones((2, 3, 2))}}
    >>> gru_sequence(p, jnp.zeros((7, 2)), jnp.ones((5, 7, 3)), None, reverse=False)[1].shape
    (5, 7, 2)
    """
    w, u, b, c = matrices(p)
    h = u.shape[0]
    bias = jnp.concatenate([b[: 2 * h] + c[: 2 * h], b[2 * h :], c[2 * h :]])  # of r, z, n and m
    w, u, bias = (a.astype(xs.dtype) for a in (w, u, bias))
    run = lambda xs, keep, first: _sequence(w, u, bias, xs, None if keep is None else keep[..., None], first)
    return run_in_order(run, carry, xs, valid, reverse=reverse)


@jax.custom_vjp
def _sequence(
    w: jax.Array, u: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, first: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """w (d, 3 h), u (h, 3 h), bias (4 h,), xs (t, b, d), keep (t, b, 1) or None, first (b, h)."""
    return _forward(w, u, bias, xs, keep, first)[0]


def _forward(w: jax.Array, u: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, first: jax.Array) -> Any:
    """The outputs, and what the gradient needs."""
    b, c = jnp.split(bias[None], [3 * u.shape[0]], axis=1)

    def step(h: jax.Array, now: Any) -> tuple[jax.Array, Any]:
        x, keep = now
        xr, xz, xn = jnp.split(x @ w + b, 3, axis=1)
        hr, hz, hn = jnp.split(h @ u, 3, axis=1)
        r, z, m = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz), hn + c
        n = jnp.tanh(xn + r * m)
        new = (1 - z) * n + z * h
        new = new if keep is None else jnp.where(keep, new, h)
        return new, (new, (r, z, n, m))

    h, (hs, gates) = jax.lax.scan(step, first, (xs, keep))
    return (h, hs), (w, u, xs, keep, first, hs, gates)


def _backward(residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    """The chain rule against time, then the sums over all steps, those of weights in float32 at least."""
    w, u, xs, keep, first, hs, gates = residuals
    dh, dhs = cotangents
    before, turned, h = jnp.concatenate([first[None], hs[:-1]]), u.T, u.shape[0]

    def step(dh: jax.Array, now: Any) -> tuple[jax.Array, Any]:
        before, keep, gates, dhs = now
        return _step_back(turned, dh + dhs, before, keep, gates)

    dh, (dn, dstate) = jax.lax.scan(step, dh, (before, keep, gates, dhs), reverse=True)
    dn, dstate = dn.reshape(-1, h), dstate.reshape(-1, 3 * h)
    dinput = jnp.concatenate([dstate[:, : 2 * h], dn], axis=1)
    dxs = (dinput @ w.T).reshape(xs.shape)
    dw, du = weights_gradient(xs, dinput), weights_gradient(before, dstate)
    dbias = jnp.concatenate([jnp.sum(dz, axis=0, dtype=wide_dtype(w)) for dz in (dinput, dstate[:, 2 * h :])])
    return dw, du, dbias.astype(w.dtype), dxs, None, dh


_sequence.defvjp(_forward, _backward)


def _step_back(turned: jax.Array, dh: jax.Array, before: jax.Array, keep: Any, gates: Any) -> tuple[jax.Array, Any]:
    """Gradients of h before the step, of n before its tanh, and of the state's product (b, 3 h)."""
    r, z, n, m = gates
    dh, past = parted(keep, dh)
    dn = dh * (1 - z) * (1 - n * n)
    dstate = jnp.concatenate([dn * m * r * (1 - r), dh * (before - n) * z * (1 - z), dn * r], axis=1)
    return dh * z + dstate @ turned + past, (dn, dstate)
