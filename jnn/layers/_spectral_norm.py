"""Spectral normalization: a weight divided by its largest singular value, which a few products estimate.

The vector of the estimate is memory: it comes in, and its next value goes out, to be kept in `memory` (`remember`).

Laws: the returned weight has spectral norm 1 once the vector has converged; nothing is differentiated through vectors.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.layers._unit_norm import unit_norm
from jnn.precision import wide


def spectral_norm(w: jax.Array, u: jax.Array, *, steps: int = 1) -> tuple[jax.Array, jax.Array]:
    """Spectral normalization: `w / sigma(w)`, its largest singular value by power iteration from u.

    See "Spectral Normalization for Generative Adversarial Networks", Miyato et al., 2018.

    Args:
      w: (*ins, *outs), floating point.
      u: (*outs), the vector that the last call returned; at first a random one, such as `jax.random.normal`'s.
      steps: of power iteration; 0 uses u as it is, in evaluation: with the returned u it gives the same weight again.

    Returns:
      The weight, in w's shape and dtype, and the next u, in float32 at least. A weight of zeros stays zero.

    Raises:
      TypeError: w is not floating point.
      ValueError: u's axes are not w's last, or w has no axis of inputs.

    >>> w, u = spectral_norm(jnp.diag(jnp.array([4.0, 2.0])), jnp.array([1.0, 0.0]))
    >>> jnp.diag(w).tolist()
    [1.0, 0.5]
    """
    checks.array("spectral_norm", u, "u")
    checks.floats("spectral_norm", w, ndim=u.ndim + 1)
    if not u.ndim or w.shape[w.ndim - u.ndim :] != u.shape:
        raise ValueError(
            f"spectral_norm: expected u of the shape of w's last axes, those of its outputs; found w "
            f"{checks.describe(w)} and u {checks.describe(u)}."
        )
    matrix = wide(w).reshape(-1, math.prod(u.shape))
    fixed, right = jax.lax.stop_gradient((matrix, u.astype(matrix.dtype).reshape(-1)))
    for _ in range(steps):
        right = unit_norm(unit_norm(fixed @ right) @ fixed)
    sigma = unit_norm(fixed @ right) @ matrix @ right
    sigma = jnp.where(sigma == 0, 1.0, sigma)
    return (wide(w) / sigma).astype(w.dtype), right.reshape(u.shape)
