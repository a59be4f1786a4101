"""Capsules: groups of features whose length says how sure they are, and routing by agreement between them.

    squash(s) -> v                    a vector made shorter than 1
    capsules(p, x) -> y               x (..., i, d), y (..., o, k)

Axes: `i` capsules below, `d` their size, `o` capsules above, `k` their size.
Laws: a capsule's length is in [0, 1); the order of the capsules below, moved with their weights, does not matter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import softmax
from jnn.initializers import Init, glorot_uniform
from jnn.param import Param, Spec
from jnn.precision import narrow, wide
from jnn.vectors import length, unit


def squash(s: jax.Array) -> jax.Array:
    """Squashing: `s |s| / (1 + |s|^2)` over the last axis, in s's dtype.

    See "Dynamic Routing Between Capsules", Sabour, Frosst and Hinton, 2017.

    >>> squash(jnp.array([0.0, 1.0])).tolist()
    [0.0, 0.5]
    """
    size = length(s)[..., None]
    short, long = jnp.minimum(size, 1), jnp.maximum(size, 1)
    new = jnp.where(size > 1, 1 / (1 + jnp.square(1 / long)), jnp.square(short) / (1 + jnp.square(short)))
    return (unit(s) * new).astype(s.dtype)  # no square is out of range


def capsules_spec(
    n_in: int,
    d_in: int,
    n_out: int,
    d_out: int,
    *,
    init: Init = glorot_uniform,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a layer of capsules (`capsules`).

    Args:
      n_in, d_in: how many capsules there are below, and of what size.
      n_out, d_out: and above.
      init: initial values of the weights, each pair's drawn as if it were alone.
      dtype: of them.

    Returns:
      {"w": (n_in, d_in, n_out, d_out)}

    >>> capsules_spec(6, 4, 3, 8)["w"].shape
    (6, 4, 3, 8)
    """
    names = ("capsules_in", "embed", "capsules_out", "hidden")
    return {"w": Param((n_in, d_in, n_out, d_out), init, names, dtype, ("embed",), ("hidden",))}


def capsules(p: dict[str, jax.Array], x: jax.Array, *, iterations: int = 3) -> jax.Array:
    """Capsule layer with dynamic routing: capsules below send to those above that agree with what they say.

    See "Dynamic Routing Between Capsules", Sabour, Frosst and Hinton, 2017; the gradient goes through the routing.

    Args:
      p: as declared by `capsules_spec`.
      x: (..., i, d), floating point.
      iterations: how often the routing is improved, the first time included.

    Returns:
      (..., o, k), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x does not fit p, or there are no iterations.

    >>> capsules({"w": jnp.ones((2, 1, 3, 4))}, jnp.ones((5, 2, 1))).shape
    (5, 3, 4)
    """
    checks.params("capsules", p, "w")
    checks.floats("capsules", x, ndim=2)
    checks.trailing("capsules", x, p["w"].shape[:2])
    if iterations < 1:
        raise ValueError(f"capsules: expected at least one iteration of the routing, found {iterations}.")
    x = narrow(x)
    votes = wide(jnp.einsum("...id,idok->...iok", x, p["w"].astype(x.dtype)))
    said = squash(jnp.sum(votes, -3) / votes.shape[-2])  # evenly, before anything has been said
    logits = jnp.zeros((), votes.dtype)
    for _ in range(iterations - 1):
        logits = logits + jnp.einsum("...iok,...ok->...io", votes, said)
        said = squash(jnp.einsum("...io,...iok->...ok", softmax(logits), votes))
    return said.astype(x.dtype)
