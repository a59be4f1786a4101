"""Circle loss: pairs of a batch by their cosines, each pulled or pushed the harder the more it lacks."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._embeddings import eye, rows, same_label, similarities
from jnn.losses._inputs import positive
from jnn.vectors import unit


def circle_loss(
    embeddings: jax.Array,
    labels: jax.Array,
    *,
    margin: jax.Array | float = 0.4,
    scale: jax.Array | float = 80.0,
    mask: jax.Array | None = None,
) -> jax.Array:
    """Circle loss: how far, in cosines, a row's negatives come near its positives, each weighed by what it lacks.

    Weights are constants to the gradient. See "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
    Sun et al., 2020, whose defaults for images of products these are.

    Args:
      embeddings: (..., n, d), floating point; their directions count.
      labels: (..., n), integers.
      margin: in [0, 1]: positives are to reach a cosine of 1 - margin, negatives to stay below margin.
      scale: what weighted cosines are multiplied by, above 0.
      mask: (..., n), true or not 0 where a row is there: `batch["weight"] > 0`. Without it padding pairs with
        the others, whatever its weight, and moves what they cost. Micro-batches see their own rows only.

    Returns:
      (..., n): `log(1 + sum over negatives * sum over positives)` of exponentials, one number per row; 0 where masked,
      or without a positive or a negative.

    Raises:
      TypeError: embeddings are not floating point, or labels not integers.
      ValueError: shapes do not fit, margin is outside [0, 1], or scale <= 0.

    >>> jax.jit(circle_loss)(jnp.eye(3), jnp.array([0, 0, 1])).round(1)  # 80 * (1.4 * 0.6 - 0.4 * 0.4)
    Array([54.4, 54.4,  0. ], dtype=float32)
    """
    there, x = rows("circle_loss", mask, embeddings=embeddings)
    belong, differ = same_label("circle_loss", labels, there)
    margin = checks.number("circle_loss", "margin", margin, lambda m: (m >= 0) & (m <= 1), "in [0, 1]", like=x)
    scale, cosine = positive("circle_loss", "scale", scale, x), similarities(unit(x), unit(x))
    counts = jnp.any(belong, axis=-1) & jnp.any(differ, axis=-1)
    alone = eye(cosine) & ~counts[..., None]  # itself stands in: no sum over nothing
    weights = lambda lack: jax.lax.stop_gradient(jax.nn.relu(lack))
    near = scale * weights(1 + margin - cosine) * (1 - margin - cosine)
    far = scale * weights(margin + cosine) * (cosine - margin)
    sums = [
        jax.nn.logsumexp(jnp.where(which | alone, x, -jnp.inf), axis=-1) for which, x in ((belong, near), (differ, far))
    ]
    return jnp.where(counts, jax.nn.softplus(sums[0] + sums[1]), 0)
