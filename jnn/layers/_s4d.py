"""Diagonal state spaces (S4D): each feature drives oscillations that decay, and reads them; a long convolution.

    s4d(p, x) -> (y, carry)                     by FFT: a whole sequence, or its next chunk: s4d(p, x, carry)

    h[t] = exp(step * a) h[t-1] + b x[t],    y[t] = 2 Re(sum of c h[t]) + skip x[t],    b = (exp(step * a) - 1) / a

Axes: `t` time, `d` features, `n` oscillations of each.

Laws: cut a sequence into chunks anywhere: chunk after chunk is the whole, and row after row is the recurrence; it is
linear in x; every oscillation decays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import normal, ones
from jnn.layers._causal_conv import fft_conv
from jnn.param import Param, Spec
from jnn.precision import wide


def s4d_spec(d: int, *, states: int = 32, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a diagonal state space, S4D-Lin: oscillations n = 0, 1, ... of frequency pi n, which decay at rate 1/2.

    Args:
      d: the size of the last axis of x.
      states: how many oscillations each feature has; with their conjugates twice as many states.
      dtype: of all.

    Returns:
      {"rate": (d, n), log of the decay; "frequency": (d, n); "c": (d, n, 2), real and imaginary; "step": (d,), log;
      "skip": (d,)}

    >>> s4d_spec(4, states=8)["c"].shape
    (4, 8, 2)
    """
    axes = ("embed", "state")
    return {
        "rate": Param((d, states), lambda key, shape, dtype: jnp.full(shape, np.log(0.5), dtype), axes, dtype),
        "frequency": Param((d, states), _frequencies, axes, dtype),
        "c": Param((d, states, 2), normal(0.5**0.5), (*axes, "complex"), dtype),
        "step": Param((d,), _steps, axes[:1], dtype),
        "skip": Param((d,), ones, axes[:1], dtype),
    }


def s4d(p: dict[str, jax.Array], x: jax.Array, carry: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Diagonal state space (S4D), feature by feature: `y = convolution of x with 2 Re(sum of c b exp(step * a * l))`.

    See "On the Parameterization and Initialization of Diagonal State Space Models", Gu et al., 2022.

    Args:
      p: as `s4d_spec` declares.
      x: (..., t, d), floating point: the next chunk of a sequence.
      carry: (..., d, n), complex, from the chunk before; None at the start.

    Returns:
      (..., t, d) in x's dtype, computed in float32 at least; and the carry.

    Raises:
      TypeError: x is not floating point.
      ValueError: shapes do not fit, or x is empty.

    >>> from jnn.param import init
    >>> p = init(s4d_spec(4, states=3), jax.random.key(0))
    >>> y, carry = s4d(p, jnp.ones((2, 5, 4)))
    >>> y.shape, carry.shape
    ((2, 5, 4), (2, 4, 3))
    """
    checks.params("s4d", p, "rate", "frequency", "c", "step", "skip")
    checks.floats("s4d", x, ndim=2)
    checks.trailing("s4d", x, p["skip"].shape)
    t, u = x.shape[-2], wide(x)
    leaf = {name: wide(a) for name, a in p.items()}
    a = jax.lax.complex(-jnp.exp(leaf["rate"]), leaf["frequency"])
    step = jnp.exp(leaf["step"])[:, None]
    turn, still = step * a, a == 0  # log of what a step does to an oscillation; nothing, where the rate's power is 0
    b = jnp.where(still, step, jnp.expm1(turn) / jnp.where(still, 1, a))
    c = jax.lax.complex(leaf["c"][..., 0], leaf["c"][..., 1])
    powers = jnp.exp(turn[None] * jnp.arange(t + 1, dtype=turn.real.dtype)[:, None, None])  # (t + 1, d, n)
    y = fft_conv(2 * jnp.sum((b * c)[None] * powers[:-1], -1).real, u)
    last = jnp.einsum("...td,tdn->...dn", u.astype(b.dtype), b[None] * powers[:-1][::-1])
    if carry is not None:
        y = y + 2 * jnp.einsum("...dn,tdn->...td", carry, c[None] * powers[1:]).real
        last = last + carry * powers[-1].reshape((1,) * (carry.ndim - 2) + powers.shape[1:])
    y = y + leaf["skip"].reshape((1,) * (x.ndim - 1) + (-1,)) * u
    return y.astype(x.dtype), last


def _frequencies(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    return jnp.broadcast_to(jnp.pi * jnp.arange(shape[-1], dtype=jnp.float32), shape).astype(dtype)


def _steps(key: jax.Array, shape: Sequence[int], dtype: Any) -> jax.Array:
    """Logarithms of steps between 0.001 and 0.1."""
    return jax.random.uniform(key, shape, jnp.float32, np.log(0.001), np.log(0.1)).astype(dtype)
