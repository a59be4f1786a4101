"""Shapley values: a score's change, shared among features as in a game, exactly or by weighted least squares.

A coalition z (d,) of features keeps x where it is 1 and has the baseline elsewhere; its worth is f of that.

Laws: exact values are those of the definition, by brute force; they are complete (they add up to `f(x) - f(baseline)`),
symmetric, linear in f, and 0 of a feature that changes nothing. Kernel SHAP is complete however few coalitions there
are, exact for functions that are linear in the features, and exact for all once it has every coalition.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jnn import checks
from jnn.explain._score import Score, each, example, like, score
from jnn.param import check_key
from jnn.precision import wide

MOST = 16  # features of which every coalition is asked: 65,536


def shapley_values(
    f: Score, x: jax.Array, baseline: ArrayLike = 0.0, *, groups: ArrayLike | None = None, batch_size: int | None = None
) -> jax.Array:
    """Shapley values, exactly: what a feature adds to a coalition of others, averaged over all orders of coming.

    See "A Value for n-Person Games", Shapley, 1953; of models, "An Efficient Explanation of Individual Classifications
    using Game Theory", Štrumbelj and Kononenko, 2010. All 2**d coalitions are asked. Of several baselines, the values
    are the mean: `jax.vmap(lambda b: shapley_values(f, x, b))(rows).mean(0)`.

    Args:
      f: of one example to one number, such as `lambda x: model(params, x)[label]`.
      x: (...), one example, floating point; of a batch, `jax.vmap`.
      baseline: what a feature that is missing is: a number, or an array that is repeated to x's shape.
      groups: integers 0..d-1 of x's shape, or of its first axes: the feature that each element belongs to, such as a
        part of an image. None: each is its own.
      batch_size: how many coalitions are asked at a time; None for all.

    Returns:
      (d,) a value of each group, or without groups in x's shape; in x's dtype. Their sum is `f(x) - f(baseline)`.

    Raises:
      TypeError: x is not floating point.
      ValueError: x is empty, f(x) is not one number, the baseline or the groups have another shape, or there are more
        than 16 features: `kernel_shap` draws coalitions of as many as there are.

    >>> [round(v, 3) for v in shapley_values(lambda x: x[0] * x[1] + x[2], jnp.array([2.0, 3.0, 1.0])).tolist()]
    [3.0, 3.0, 1.0]
    """
    x = example("shapley_values", x)
    worth, d = _game("shapley_values", f, x, baseline, groups)
    if d > MOST:
        raise ValueError(f"shapley_values: expected at most {MOST} features, found {d}. kernel_shap draws coalitions.")
    coalitions = _every(d)
    size = coalitions.sum(1, keepdims=True)
    orders = np.array([math.factorial(k) * math.factorial(d - k - 1) / math.factorial(d) for k in range(d)])
    shares = np.where(coalitions, orders[size - 1], -orders[np.minimum(size, d - 1)])
    values = each(worth, jnp.asarray(coalitions), batch_size=batch_size)
    return _shaped(jnp.asarray(shares.T, values.dtype) @ values, x, groups)


def kernel_shap(
    f: Score,
    x: jax.Array,
    baseline: ArrayLike = 0.0,
    *,
    key: jax.Array,
    samples: int = 2048,
    groups: ArrayLike | None = None,
    batch_size: int | None = None,
) -> jax.Array:
    """Kernel SHAP: Shapley values by least squares over coalitions drawn by the Shapley kernel.

    See "A Unified Approach to Interpreting Model Predictions", Lundberg and Lee, 2017; with coalitions in pairs of
    opposites, "Improving KernelSHAP: Practical Shapley Value Estimation via Linear Regression", Covert and Lee, 2021.
    That the values add up is a constraint. Where there are no more coalitions than samples, each is asked once, and
    the values are exact.

    Args:
      f, x, baseline, groups, batch_size: as in `shapley_values`.
      key: of which coalitions are drawn.
      samples: how many, rounded up to an even number.

    Returns:
      As `shapley_values`.

    Raises:
      TypeError, ValueError: as `shapley_values`, for any number of features; the key is not one PRNG key, or samples
        are not 1 or more.

    >>> shares = kernel_shap(lambda x: x[0] * x[1] + x[2], jnp.array([2.0, 3.0, 1.0]), key=jax.random.key(0))
    >>> [round(v, 3) for v in shares.tolist()]
    [3.0, 3.0, 1.0]
    """
    x = example("kernel_shap", x)
    check_key("kernel_shap", key)
    checks.count("kernel_shap", "samples", samples)
    worth, d = _game("kernel_shap", f, x, baseline, groups)
    if d == 1:
        return _shaped((worth(jnp.ones(1, bool)) - worth(jnp.zeros(1, bool)))[None], x, groups)
    if 2**d - 2 <= samples:
        coalitions: jax.Array = jnp.asarray(_every(d)[1:-1])
        weights = jnp.asarray([1 / (math.comb(d, k) * k * (d - k)) for k in _every(d)[1:-1].sum(1)])
    else:
        coalitions = _drawn(key, -(-samples // 2), d)
        weights = jnp.ones(len(coalitions))
    nothing, everything = (worth(jnp.full(d, full)) for full in (False, True))
    values = each(worth, coalitions, batch_size=batch_size)
    return _shaped(_least_squares(coalitions, weights, values - nothing, everything - nothing), x, groups)


def _least_squares(coalitions: jax.Array, weights: jax.Array, gains: jax.Array, whole: jax.Array) -> jax.Array:
    """The values (d,) that add up to the whole, and whose sums over coalitions are nearest to their gains.

    Each has an equal share of the whole; what the sums then lack is fitted without changing their sum, which is what
    rows of mean 0 ask for, since the shortest solution is of their span.
    """
    rows = coalitions.astype(gains.dtype)
    part = rows.mean(1)
    root = jnp.sqrt(weights.astype(gains.dtype))
    rest = jnp.linalg.lstsq((rows - part[:, None]) * root[:, None], (gains - part * whole) * root)[0]
    share: jax.Array = whole / rows.shape[1] + rest
    return share


def _drawn(key: jax.Array, pairs: int, d: int) -> jax.Array:
    """Coalitions (2 * pairs, d), and their opposites, of sizes k by `1 / (k * (d - k))`."""
    sizes, members = jax.random.split(key)
    k = jnp.arange(1, d)
    size = 1 + jax.random.categorical(sizes, -jnp.log(k * (d - k)), shape=(pairs, 1))
    rank = jnp.argsort(jax.random.uniform(members, (pairs, d)), -1)
    return jnp.concatenate([rank < size, rank >= size])


def _every(d: int) -> np.ndarray:
    """All coalitions (2**d, d), from none to all."""
    return (np.arange(2**d)[:, None] >> np.arange(d)[None] & 1).astype(bool)


def _game(
    where: str, f: Score, x: jax.Array, baseline: ArrayLike, groups: ArrayLike | None
) -> tuple[Callable[[jax.Array], jax.Array], int]:
    """What a coalition (d,) is worth, in float32 at least, and d."""
    missing, f = like(where, x, baseline), score(where, f)
    member = np.arange(x.size).reshape(x.shape) if groups is None else np.asarray(groups)
    found = np.unique(member)
    if member.shape != x.shape[: member.ndim] or not np.array_equal(found, np.arange(len(found))):
        raise ValueError(
            f"{where}: expected groups 0..d-1 in the shape of x {checks.describe(x)}, or of its first axes; found "
            f"{checks.describe(member)} of {found.min()}..{found.max()}."
        )
    member = member.reshape(member.shape + (1,) * (x.ndim - member.ndim))
    return (lambda coalition: wide(f(jnp.where(coalition[member], x, missing)))), len(found)


def _shaped(values: jax.Array, x: jax.Array, groups: ArrayLike | None) -> jax.Array:
    """In x's dtype; and without groups in its shape."""
    return values.astype(x.dtype).reshape(x.shape if groups is None else values.shape)
