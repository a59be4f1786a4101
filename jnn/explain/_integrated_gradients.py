"""Integrated and expected gradients: what each element contributes on the way from a baseline to the input.

Laws: integrated gradients are complete: they add up to `f(x) - f(baseline)`, exactly for polynomials of a degree up to
twice the steps, and for others as far as the quadrature goes; they are linear in f; an element that f does not read, or
that is as in the baseline, has 0. Expected gradients are their mean over baselines, in the limit of many samples.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jnn import checks
from jnn.explain._score import Score, example, like, score, weighted_sum
from jnn.param import check_key
from jnn.precision import wide


def integrated_gradients(
    f: Score, x: jax.Array, baseline: ArrayLike = 0.0, *, steps: int = 50, batch_size: int | None = None
) -> jax.Array:
    """Integrated gradients: `(x - baseline)` times the mean gradient on the straight line between them.

    See "Axiomatic Attribution for Deep Networks", Sundararajan, Taly and Yan, 2017. The integral is by Gauss and
    Legendre's quadrature.

    Args:
      f: of one example to one number, such as `lambda x: model(params, x)[label]`.
      x: (...), one example, floating point; of a batch, `jax.vmap`.
      baseline: what stands for nothing, such as a black image: a number, or an array that is repeated to x's shape.
      steps: points of the quadrature.
      batch_size: how many of them are computed at a time; None for all.

    Returns:
      (...), in x's shape and dtype; their sum is `f(x) - f(baseline)`.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is empty, f(x) is not one number, the baseline has another shape, or steps are not 1 or more.

    >>> integrated_gradients(lambda x: x[0] * x[1], jnp.array([2.0, 3.0]), steps=1).tolist()
    [3.0, 3.0]
    """
    x = example("integrated_gradients", x)
    checks.count("integrated_gradients", "steps", steps)
    start = wide(like("integrated_gradients", x, baseline))
    way = wide(x) - start
    gradient = jax.grad(score("integrated_gradients", f))
    points, weights = (jnp.asarray(a, way.dtype) for a in _quadrature(steps))
    on_the_way = lambda share: gradient((start + share * way).astype(x.dtype))
    return (way * weighted_sum(on_the_way, weights, points, batch_size=batch_size)).astype(x.dtype)


def gradient_shap(
    f: Score,
    x: jax.Array,
    baselines: jax.Array,
    *,
    key: jax.Array,
    samples: int = 200,
    batch_size: int | None = None,
) -> jax.Array:
    """Expected gradients, or GradientSHAP: integrated gradients, averaged over baselines that are drawn.

    See "A Unified Approach to Interpreting Model Predictions", Lundberg and Lee, 2017; as gradients in "Improving
    performance of deep learning models with axiomatic attribution priors and expected gradients", Erion et al., 2019.

    Args:
      f, x: as in `integrated_gradients`.
      baselines: (n, ...), examples of the data, each as likely.
      key: of which baseline, and which point on the way from it, a sample is.
      samples: how many.
      batch_size: how many are computed at a time; None for all.

    Returns:
      (...), in x's shape and dtype; their sum is about f(x) less the mean of f over the baselines.

    Raises:
      TypeError: x is not floating point, or the key not one PRNG key.
      ValueError: x is empty, f(x) is not one number, baselines are not some of x's shape, or samples not 1 or more.

    >>> x, rows = jnp.array([2.0, 3.0]), jnp.array([[0.0, 1.0], [0.0, 1.0]])
    >>> shares = gradient_shap(lambda x: x @ jnp.array([5.0, 1.0]), x, rows, key=jax.random.key(0))
    >>> [round(v, 4) for v in shares.tolist()]
    [10.0, 2.0]
    """
    x = example("gradient_shap", x)
    check_key("gradient_shap", key)
    checks.count("gradient_shap", "samples", samples)
    if jnp.shape(baselines)[1:] != x.shape or not jnp.size(baselines):
        found = checks.describe(baselines)
        raise ValueError(f"gradient_shap: expected baselines (n, ...) like x {checks.describe(x)}, found {found}.")
    which, where = jax.random.split(key)
    rows = jax.random.randint(which, (samples,), 0, len(baselines))
    shares = jax.random.uniform(where, (samples,), wide(x).dtype)
    gradient = jax.grad(score("gradient_shap", f))

    def sample(row: jax.Array, share: jax.Array) -> jax.Array:
        start = wide(jnp.asarray(baselines)[row])
        way = wide(x) - start
        return way * gradient((start + share * way).astype(x.dtype))

    alike = jnp.full(samples, 1 / samples, shares.dtype)
    return weighted_sum(sample, alike, rows, shares, batch_size=batch_size).astype(x.dtype)


def _quadrature(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points in 0..1 and weights, by which polynomials of a degree up to 2 * steps - 1 are integrated exactly."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2
