"""Dynamic loss scaling in float16, by powers of two: small gradients are not lost, and large ones are held.

    scaled_sums(add, scale, batch) -> (sums, rows), scale       at a scale where the gradient is finite, if there is one

See "Mixed Precision Training", Micikevicius et al., 2017. There a step whose gradient overflows is left out; here it is
made again within the step at a smaller scale, so that no batch is lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn.train._context import Batch
from jnn.train._state import all_finite

SCALED = (jnp.dtype(jnp.float16),)  # the dtypes whose exponents need it
LEAST, MOST = 2.0**-24, 2.0**24
LOWER = 2.0**-4  # at each try
EVERY = 1000  # updates after which the scale is doubled


def scaled_sums(add: Callable[..., Any], scale: jax.Array, batch: Batch) -> tuple[Any, jax.Array]:
    """What `add(scale=...)` gives at the largest of scale, scale / 16, ... at which its gradients are finite.

    Args:
      add: `gradient_sums` of everything but the scale.
      scale: of the mean's gradient; that of the sum is smaller by the number of rows, as a power of two.
      batch: whose rows these are.

    Returns:
      What `add` gave, and the factor that its gradients have; at the least one they may not be finite still.
    """

    def attempt(carry: Any) -> Any:
        lower = carry[1] * LOWER
        return add(scale=lower), lower

    def again(carry: Any) -> jax.Array:
        (sums, _), now = carry
        # a loss that is not finite is not made so by a scale
        return ~all_finite(sums.gradients) & (now > LEAST * share(batch)) & jnp.isfinite(sums.value)

    first = scale * share(batch) / LOWER
    shapes = jax.eval_shape(attempt, (None, first))[0]
    sums, rows = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    not_yet = sums._replace(gradients=jax.tree.map(lambda g: jnp.full_like(g, jnp.nan), sums.gradients))
    return jax.lax.while_loop(again, attempt, ((not_yet, rows), first))


def next_scale(factor: jax.Array, batch: Batch, step: jax.Array) -> jax.Array:
    """The scale of the next step, from the factor that this one's sums had: now and then a larger one is tried."""
    scale = factor / share(batch)
    return jnp.where((step + 1) % EVERY == 0, jnp.minimum(2 * scale, MOST), scale)


def share(batch: Batch) -> float:
    """A power of two, at most 1 / rows."""
    return 2.0 ** -math.ceil(math.log2(jax.tree.leaves(batch)[0].shape[0]))
