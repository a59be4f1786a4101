"""What the recurrences on a CPU share: their steps in order, examples on one axis, weights as matrices.

Letters: `t` time, `b` batch, `d` input features, `h` state features, `f` features of all gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.layers._linear import merge_weight
from jnn.param import Params
from jnn.precision import wide_dtype


def run_in_order(
    run: Callable[..., tuple[Any, jax.Array]], carry: Any, xs: jax.Array, valid: jax.Array | None, *, reverse: bool
) -> tuple[Any, jax.Array]:
    """Sequence of any shape and direction, run as one of matrices from its first step to its last.

    Args:
      run: `(xs, keep, carry) -> (carry, ys)` of xs (t, b, d), keep (t, b) or None, a carry of (b, h); ys (t, b, h).
      carry: (..., h), in any tree.
      xs: (t, ..., d).
      valid: (t, ...), or None.
      reverse: whether time runs from the last step to the first.

    >>> last = lambda xs, keep, h: (xs[-1], xs)
    >>> run_in_order(last, jnp.ones(2), jnp.arange(6.0).reshape(3, 2), None, reverse=True)[0]
    Array([0., 1.], dtype=float32)
    """
    t, *leading, d = xs.shape
    turn = lambda a: a[::-1] if reverse else a
    keep = None if valid is None else turn(valid.reshape(t, -1))
    last, ys = run(turn(xs.reshape(t, -1, d)), keep, jax.tree.map(lambda a: a.reshape(-1, a.shape[-1]), carry))
    shaped = jax.tree.map(lambda a: a.reshape(*leading, a.shape[-1]), last)
    return shaped, turn(ys).reshape(t, *leading, ys.shape[-1])


def matrices(p: dict[str, Params]) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Weights of a cell's input (d, f) and state (h, f), and their biases (f,), zeros where there are none.

    >>> [a.shape for a in matrices({"input": {"w": jnp.ones((3, 4, 2))}, "recurrent": {"w": jnp.ones((2, 4, 2))}})]
    [(3, 8), (2, 8), (8,), (8,)]
    """
    (w, b), (u, c) = (_matrix(p[name]) for name in ("input", "recurrent"))
    return w, u, b, c


def parted(keep: jax.Array | None, change: jax.Array) -> tuple[jax.Array, jax.Array | float]:
    """Gradient of what a step gives, in two: what goes through the step, and what passes by it where it is skipped."""
    if keep is None:
        return change, 0.0
    zero = jnp.zeros((), change.dtype)
    return jnp.where(keep, change, zero), jnp.where(keep, zero, change)


def weights_gradient(a: jax.Array, dz: jax.Array) -> jax.Array:
    """Gradient of weights (d, f) that a (t, b, d) met, from that of their products (t b, f); in float32 at least."""
    dw = jnp.matmul(a.reshape(-1, a.shape[-1]).T, dz, preferred_element_type=wide_dtype(a))
    return dw.astype(a.dtype)


def _matrix(p: Params) -> tuple[jax.Array, jax.Array]:
    w = merge_weight(p)
    w = w.reshape(w.shape[0], -1)
    return w, p["b"].reshape(-1) if "b" in p else jnp.zeros(w.shape[1], w.dtype)
