"""A whole sequence through a `gru_cell` on a CPU: the same function as a scan of the cell, its gradient written by hand.

Two things make the difference in XLA:CPU. The backward loop writes the gradients of the gates out, and the products
that make the gradients of weights and inputs of them come after it, one each over all steps, where the scan's own
gradient has a small one in every step. And the gates are kept, so that the backward loop's only product is the one that
carries the gradient from step to step. The inputs' product stays in the forward loop: there it took half the time of
one over all steps, whose result has to be written and read again.

The price is that of `_lstm`: reverse mode only.

Letters: `t` time, `b` batch, `d` input features, `h` state features. The gates are r z n, and m is what r multiplies:
n = tanh(x W + r m), m = h U + its bias.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers.kernels._recurrence import in_order, matrices
from jnn.precision import wide_dtype


def gru_sequence(
    p: dict[str, dict[str, jax.Array]], carry: jax.Array, xs: jax.Array, valid: jax.Array | None, *, reverse: bool
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
    return in_order(run, carry, xs, valid, reverse=reverse)


@jax.custom_vjp
def _sequence(
    w: jax.Array, u: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, first: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """w (d, 3 h), u (h, 3 h), bias (4 h,), xs (t, b, d), keep (t, b, 1) or None, first (b, h)."""
    return _forward(w, u, bias, xs, keep, first)[0]


def _forward(w: jax.Array, u: jax.Array, bias: jax.Array, xs: jax.Array, keep: Any, first: jax.Array) -> Any:
    """The outputs, and what the gradient needs."""
    of_input, of_state = jnp.split(bias[None], [3 * u.shape[0]], axis=1)

    def step(h: jax.Array, now: Any) -> tuple[jax.Array, Any]:
        x, keep = now
        xr, xz, xn = jnp.split(x @ w + of_input, 3, axis=1)
        hr, hz, hn = jnp.split(h @ u, 3, axis=1)
        r, z, m = _sigmoid(xr + hr), _sigmoid(xz + hz), hn + of_state
        n = jnp.tanh(xn + r * m)
        new = n + z * (h - n)
        new = new if keep is None else jnp.where(keep, new, h)
        return new, (new, (r, z, n, m))

    h, (hs, gates) = jax.lax.scan(step, first, (xs, keep))
    return (h, hs), (w, u, xs, keep, first, hs, gates)


def _backward(residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    """The chain rule against time; the weights' gradient is summed in float32 at least."""
    w, u, xs, keep, first, hs, gates = residuals
    dh, dhs = cotangents
    before = jnp.concatenate([first[None], hs[:-1]])  # h before each step
    turned = u.T

    def step(dh: jax.Array, now: Any) -> tuple[jax.Array, Any]:
        before, keep, (r, z, n, m), dhs = now
        dh, past = dh + dhs, None
        if keep is not None:
            zero = jnp.zeros((), dh.dtype)
            dh, past = jnp.where(keep, dh, zero), jnp.where(keep, zero, dh)
        dn = dh * (1 - z) * (1 - n * n)
        of_state = jnp.concatenate([dn * m * r * (1 - r), dh * (before - n) * z * (1 - z), dn * r], axis=1)
        dh = dh * z + of_state @ turned
        return dh if past is None else dh + past, (of_state, dn)

    dh, (of_state, dn) = jax.lax.scan(step, dh, (before, keep, gates, dhs), reverse=True)
    of_state, dn = of_state.reshape(-1, u.shape[1]), dn.reshape(-1, u.shape[0])
    exact = wide_dtype(w)
    of_input = jnp.concatenate([of_state[:, : -u.shape[0]], dn], axis=1)
    over_steps = lambda a, dz: jnp.matmul(a.reshape(-1, a.shape[-1]).T, dz, preferred_element_type=exact).astype(
        w.dtype
    )
    dbias = [jnp.sum(dz, axis=0, dtype=exact) for dz in (of_input, of_state[:, -u.shape[0] :])]
    dxs = (of_input @ w.T).reshape(xs.shape)
    return over_steps(xs, of_input), over_steps(before, of_state), jnp.concatenate(dbias).astype(w.dtype), dxs, None, dh


_sequence.defvjp(_forward, _backward)


def _sigmoid(z: jax.Array) -> jax.Array:
    """As a tanh, which XLA:CPU computes faster than an exponential and a quotient."""
    return 0.5 * jnp.tanh(0.5 * z) + 0.5
