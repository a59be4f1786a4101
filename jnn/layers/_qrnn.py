"""Quasi-recurrent layer: gates are convolutions of the input, so that only a linear recurrence is left over time.

    qrnn(p, x) -> (y, carry)       x (..., t, d), y (..., t, h)

Laws: a sequence in pieces, the carry handed on, equals the whole; the output at a step depends on no later one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, glorot_uniform
from jnn.layers._cell import gates, same_carry
from jnn.layers._linear import linear, linear_spec
from jnn.param import Params, Spec
from jnn.precision import narrow, wide

State = tuple[jax.Array, jax.Array]


def qrnn_spec(
    d_in: int,
    d_hidden: int,
    *,
    kernel: int = 2,
    bias: bool = True,
    init: Init = glorot_uniform,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a quasi-recurrent layer (`qrnn`).

    Args:
      d_in: features of the input.
      d_hidden: features of the state.
      kernel: how many steps, the last one the present, a gate sees.
      bias: whether there is one.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"w": (kernel, d_in, 3, d_hidden), "b": (3, d_hidden)}: the new value, the forget and the output gate.

    >>> qrnn_spec(3, 5)["w"].shape
    (2, 3, 3, 5)
    """
    names = ("x", "embed", "gates", "hidden")
    return linear_spec((kernel, d_in), (3, d_hidden), axes=names, bias=bias, init=init, dtype=dtype)


def qrnn(p: Params, x: jax.Array, *, carry: State | None = None) -> tuple[jax.Array, State]:
    """Quasi-recurrent layer: `c' = f c + (1 - f) z`, `y = o c'`, with z, f and o of the last few inputs.

    See "Quasi-Recurrent Neural Networks", Bradbury, Merity, Xiong and Socher, 2017 (fo-pooling). The recurrence is
    computed for all steps at once, in a number of passes that grows with the logarithm of t.

    Args:
      p: as declared by `qrnn_spec`.
      x: (..., t, d), floating point.
      carry: (the last kernel - 1 inputs (..., kernel - 1, d), c (..., h)), or None for zeros.

    Returns:
      y (..., t, h) in x's dtype, and the last carry.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has no time axis, is empty or does not fit p; the carry does not fit x.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), qrnn_spec(3, 2))
    >>> y, (before, c) = qrnn(p, jnp.zeros((5, 7, 3)))
    >>> y.shape, before.shape, c.shape
    ((5, 7, 2), (5, 1, 3), (5, 2))
    """
    checks.params("qrnn", p, "w", may=("b",))
    checks.floats("qrnn", x, ndim=2)
    checks.trailing("qrnn", x, p["w"].shape[1:2])
    x = narrow(x)
    kernel, t = p["w"].shape[0], x.shape[-2]
    before, c = same_carry("qrnn", p, carry, x, _carry)
    padded = jnp.concatenate([before, x], axis=-2)
    windows = jnp.stack([padded[..., k : k + t, :] for k in range(kernel)], axis=-2)
    z, f, o = gates(wide(linear(p, windows, in_axes=2)))
    f = jax.nn.sigmoid(f)
    cs = linear_recurrence(f, (1 - f) * jnp.tanh(z), wide(c))
    y = (jax.nn.sigmoid(o) * cs).astype(x.dtype)
    return y, (padded[..., t:, :], cs[..., -1, :].astype(x.dtype))


def linear_recurrence(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
    """`c[t] = a[t] c[t - 1] + b[t]` over the axis before the last: all c's, of c (..., h) before the first step."""
    b = b.at[..., 0, :].add(a[..., 0, :] * c)
    both = lambda one, two: (one[0] * two[0], two[0] * one[1] + two[1])
    return jax.lax.associative_scan(both, (a, b), axis=a.ndim - 2)[1]


def _carry(p: Params, x: jax.Array) -> State:
    before = jnp.zeros((*x.shape[:-2], p["w"].shape[0] - 1, x.shape[-1]), x.dtype)
    return before, jnp.zeros((*x.shape[:-2], p["w"].shape[-1]), x.dtype)
