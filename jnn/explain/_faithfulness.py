"""Faithfulness of an explanation: how a score falls as what it calls relevant is taken away, or grows as it comes.

Laws: both curves go between `f(x)` and `f(baseline)`; inserting by a relevance is deleting by its opposite, backwards.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jnn import checks
from jnn.explain._score import Score, each, example, like, score
from jnn.precision import wide


def deletion_curve(
    f: Score,
    x: jax.Array,
    relevance: jax.Array,
    baseline: ArrayLike = 0.0,
    *,
    steps: int = 20,
    batch_size: int | None = None,
) -> jax.Array:
    """Deletion curve (pixel flipping): a score as more and more of its input is removed, the most relevant first.

    See "Evaluating the Visualization of What a Deep Neural Network Has Learned", Samek et al., 2016; "RISE: Randomized
    Input Sampling for Explanation of Black-box Models", Petsiuk, Das and Saenko, 2018. The less area under the curve,
    `jnp.trapezoid(curve, dx=1 / steps)`, the better.

    Args:
      f: of one example to one number, such as a probability.
      x: (...), one example, floating point; of a batch, `jax.vmap`.
      relevance: of x's shape or its first axes, such as (y, x) of an image (y, x, c), whose channels go together.
      baseline: what is there in place of what is removed: a number, or an array that is repeated to x's shape.
      steps: how many equal parts are removed, one after another.
      batch_size: how many of them are computed at a time; None for all.

    Returns:
      (steps + 1,) scores, from that of x to that of the baseline, in float32 at least.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is empty, f(x) is not one number, or the baseline or the relevance has another shape.

    >>> deletion_curve(jnp.sum, jnp.array([1.0, 5.0]), jnp.array([1.0, 5.0]), steps=2).tolist()
    [6.0, 1.0, 0.0]
    """
    return _curve("deletion_curve", f, x, relevance, baseline, steps, batch_size, jnp.greater_equal)


def insertion_curve(
    f: Score,
    x: jax.Array,
    relevance: jax.Array,
    baseline: ArrayLike = 0.0,
    *,
    steps: int = 20,
    batch_size: int | None = None,
) -> jax.Array:
    """Insertion curve: a score as more and more of its input is put into the baseline, the most relevant first.

    See "RISE: Randomized Input Sampling for Explanation of Black-box Models", Petsiuk, Das and Saenko, 2018. The more
    area under the curve, the better.

    Args, Returns, Raises: as `deletion_curve`, from the baseline's score to that of x.

    >>> insertion_curve(jnp.sum, jnp.array([1.0, 5.0]), jnp.array([1.0, 5.0]), steps=2).tolist()
    [0.0, 5.0, 6.0]
    """
    return _curve("insertion_curve", f, x, relevance, baseline, steps, batch_size, jnp.less)


def _curve(
    where: str,
    f: Score,
    x: jax.Array,
    relevance: jax.Array,
    baseline: ArrayLike,
    steps: int,
    batch_size: int | None,
    stays: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Scores of x where `stays(rank, n)` by the rank of an element's relevance, for n from none to all."""
    x, f = example(where, x), score(where, f)
    missing = like(where, x, baseline)
    checks.count(where, "steps", steps)
    if jnp.shape(relevance) != x.shape[: jnp.ndim(relevance)]:
        found = f"{checks.describe(relevance)} for x {checks.describe(x)}"
        raise ValueError(f"{where}: expected a relevance of x's shape, or of its first axes; found {found}.")
    relevance = jnp.asarray(relevance)
    floats = jnp.promote_types(relevance.dtype, jnp.float32)  # unsigned integers have no opposites
    order = jnp.argsort(-relevance.ravel().astype(floats))
    rank = jnp.argsort(order).reshape(relevance.shape + (1,) * (x.ndim - relevance.ndim))
    numbers = jnp.asarray([round(i * rank.size / steps) for i in range(steps + 1)])
    return wide(each(lambda n: f(jnp.where(stays(rank, n), x, missing)), numbers, batch_size=batch_size))
