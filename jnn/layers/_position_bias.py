"""Biases of attention by position: what a query's and a key's places alone say of how well they fit.

    attention(p, x, bias=alibi(heads))                                less, the further away
    attention(p, x, bias=partial(relative_bias, p["bias"]))           learned, for each range of distances

Axes: `t` queries, `s` keys, `h` heads.

Laws: they depend on the difference of positions alone, so that a chunk in the middle of a sequence asks for its own.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init
from jnn.layers._embed import SMALL, embed_spec
from jnn.layers._scores import Bias
from jnn.param import Spec
from jnn.precision import take


def alibi(heads: int) -> Bias:
    """Attention with linear biases (ALiBi): `-slope * |i - j|`, with a slope for each head.

    See "Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation", Press, Smith and
    Lewis, 2022, and for other heads than powers of two the paper's code.

    Args:
      heads: how many there are.

    Returns:
      A function of positions (t,) and (s,) that gives (h, t, s), in float32, or float64 with `jax_enable_x64`.

    Raises:
      ValueError: no heads.

    >>> alibi(8)(jnp.arange(2), jnp.arange(2))[0].tolist()
    [[-0.0, -0.5], [-0.5, -0.0]]
    """
    alibi_slopes(heads)  # an error here rather than there

    def bias(queries: jax.Array, keys: jax.Array) -> jax.Array:
        queries = checks.integers("alibi", queries, ndim=1, name="queries")
        keys = checks.integers("alibi", keys, ndim=1, name="keys")
        slopes = alibi_slopes(heads)
        return -slopes[:, None, None] * jnp.abs(queries[:, None] - keys[None, :])[None]

    return bias


def alibi_slopes(heads: int) -> jax.Array:
    """ALiBi slopes: 2 ** (-8 i / heads) for head i = 1, 2, ...; where heads are no power of two, as for the power
    below, and then every other one of those for the power above.

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    if heads < 1:
        raise ValueError(f"alibi_slopes: expected a head at least, found {heads}.")
    below = 2 ** int(math.log2(heads))
    slopes = [2.0 ** (-8 * i / below) for i in range(1, below + 1)]
    between = [2.0 ** (-4 * i / below) for i in range(1, 2 * below + 1, 2)]
    return jnp.array([*slopes, *between][:heads])


def relative_bias_spec(heads: int, buckets: int = 32, *, init: Init = SMALL, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares relative position biases (T5): a number for each bucket of distances and each head.

    Args:
      heads: how many there are.
      buckets: how many ranges of distances are told apart.
      init: initial values.
      dtype: of the table.

    Returns:
      {"table": (buckets, heads)}

    >>> relative_bias_spec(8)["table"].shape
    (32, 8)
    """
    return embed_spec(buckets, heads, axes=("position", "heads"), init=init, dtype=dtype)


def relative_bias(
    p: dict[str, jax.Array], queries: jax.Array, keys: jax.Array, *, causal: bool = False, furthest: int = 128
) -> jax.Array:
    """Relative position biases (T5): the number of the bucket that the distance from query to key lies in.

    See "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", Raffel et al., 2020.

    Args:
      p: {"table": (buckets, h)}.
      queries: (t,), integers: positions.
      keys: (s,), integers.
      causal: whether keys come no later than queries, so that all buckets are for those before.
      furthest: from this distance on all are in one bucket.

    Returns:
      (h, t, s), in the table's dtype.

    Raises:
      TypeError: positions are not integers.

    >>> relative_bias({"table": jnp.arange(8.0)[:, None]}, jnp.arange(3), jnp.arange(3))[0].tolist()
    [[0.0, 5.0, 6.0], [1.0, 0.0, 5.0], [2.0, 1.0, 0.0]]
    """
    checks.params("relative_bias", p, "table")
    queries = checks.integers("relative_bias", queries, ndim=1, name="queries")
    keys = checks.integers("relative_bias", keys, ndim=1, name="keys")
    ahead = keys[None, :] - queries[:, None]
    bucket = relative_buckets(ahead, p["table"].shape[0], causal=causal, furthest=furthest)
    return jnp.moveaxis(take(p["table"], bucket, known=True), -1, 0)


def relative_buckets(ahead: jax.Array, buckets: int, *, causal: bool, furthest: int) -> jax.Array:
    """T5's relative position buckets: short distances have one each, longer ones share them by their logarithm.

    See "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", Raffel et al., 2020.

    Args:
      ahead: integers, how far keys are ahead of queries.
      buckets: how many there are; the upper half is for keys ahead, unless causal.
      causal, furthest: as in `relative_bias`.

    >>> relative_buckets(jnp.array([0, -1, -2, -9, 1]), 8, causal=False, furthest=16).tolist()
    [0, 1, 2, 3, 5]
    """
    side = buckets if causal else buckets // 2
    offset = 0 if causal else jnp.where(ahead > 0, side, 0)
    distance = jnp.maximum(-ahead, 0) if causal else jnp.abs(ahead)
    exact = side // 2
    if exact < 1 or furthest <= exact:
        raise ValueError(
            f"relative_bias: expected {2 if causal else 4} buckets at least, and a furthest distance beyond the "
            f"{exact} that have a bucket each; found {buckets} buckets and furthest={furthest}."
        )
    # the first distance of each bucket that holds several: from `exact` on, as far apart as their logarithms
    first = [exact * (furthest / exact) ** (i / (side - exact)) for i in range(1, side - exact)]
    shared = jnp.searchsorted(jnp.array([math.ceil(x - 1e-9) for x in first], jnp.int32), distance, side="right")
    return offset + jnp.where(distance < exact, distance, exact + shared)
