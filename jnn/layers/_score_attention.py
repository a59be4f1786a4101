"""Attention of sequence-to-sequence models: one query a step, scored against all states of an encoder.

    additive_attention(p, query, keys) -> (context, weights)           Bahdanau's score, `v tanh(q W + k U + b)`
    multiplicative_attention(p, query, keys) -> (context, weights)     Luong's: `q k`, or `q W k` iff "w" in p

Axes: `t` queries, `s` keys. Laws: weights are at least 0, their sum is 1, or 0 where all keys are masked; a key that
is masked has no part. (Of many heads: `_attention`.)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import softmax
from jnn.initializers import Init, glorot_uniform
from jnn.layers._linear import linear, linear_spec
from jnn.layers._masks import check_mask
from jnn.layers._quantized_weight import weight_shape
from jnn.layers._scores import masked_softmax
from jnn.param import Params, Spec
from jnn.precision import wide


def additive_attention_spec(
    d_query: int, d_key: int, d_hidden: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares additive attention (`additive_attention`).

    Args:
      d_query: features of a query.
      d_key: features of a key.
      d_hidden: features of the hidden layer that scores them.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"query": {"w": (d_query, d_hidden)}, "key": {"w": (d_key, d_hidden), "b": (d_hidden,)},
      "score": {"w": (d_hidden, 1)}}

    >>> sorted(additive_attention_spec(3, 4, 5))
    ['key', 'query', 'score']
    """
    one = lambda a, b, bias, *axes: linear_spec(a, b, axes=axes, bias=bias, init=init, dtype=dtype)
    return {
        "query": one(d_query, d_hidden, False, "embed", "hidden"),
        "key": one(d_key, d_hidden, True, "embed", "hidden"),
        "score": one(d_hidden, 1, False, "hidden", "scores"),
    }


def additive_attention(
    p: Params, query: jax.Array, keys: jax.Array, *, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Additive attention: means of keys, weighted by the softmax of `v tanh(q W + k U + b)`.

    See "Neural Machine Translation by Jointly Learning to Align and Translate", Bahdanau, Cho and Bengio, 2015.

    Args:
      p: as declared by `additive_attention_spec`.
      query: (..., t, d_query), floating point.
      keys: (..., s, d_key), the leading axes those of query.
      mask: bool, (..., t, s) or (t, s), sizes may be 1: True where a query may attend; see `length_mask`.

    Returns:
      The means (..., t, d_key) and the weights (..., t, s), in query's dtype.

    Raises:
      TypeError: query or keys are not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), additive_attention_spec(3, 4, 5))
    >>> context, weights = additive_attention(p, jnp.ones((7, 2, 3)), jnp.ones((7, 6, 4)))
    >>> context.shape, weights.shape
    ((7, 2, 4), (7, 2, 6))
    """
    checks.maps("additive_attention", p, "query", "key", "score")
    _check("additive_attention", query, keys, weight_shape(p["query"]["w"])[0], weight_shape(p["key"]["w"])[0])
    q, k = linear(p["query"], query), linear(p["key"], keys)
    hidden = jnp.tanh(q[..., :, None, :] + k[..., None, :, :])
    return mean_of_keys("additive_attention", linear(p["score"], hidden)[..., 0], keys, mask)


def multiplicative_attention_spec(
    d_query: int, d_key: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares multiplicative attention with Luong's general score; for his dot score, the parameters are {}.

    Args:
      d_query: features of a query.
      d_key: features of a key.
      init: initial values of the weights.
      dtype: of them.

    Returns:
      {"w": (d_query, d_key)}

    >>> multiplicative_attention_spec(3, 4)["w"].shape
    (3, 4)
    """
    return linear_spec(d_query, d_key, axes=("embed", "hidden"), bias=False, init=init, dtype=dtype)


def multiplicative_attention(
    p: Params, query: jax.Array, keys: jax.Array, *, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Multiplicative attention: means of keys, weighted by the softmax of `q k` (dot) or `q W k` (general).

    See "Effective Approaches to Attention-based Neural Machine Translation", Luong, Pham and Manning, 2015. Scores are
    not scaled.

    Args:
      p: {} for the dot score, or as declared by `multiplicative_attention_spec`.
      query: (..., t, d_query), floating point.
      keys: (..., s, d_key), the leading axes those of query.
      mask: bool, (..., t, s) or (t, s), sizes may be 1: True where a query may attend; see `length_mask`.

    Returns:
      The means (..., t, d_key) and the weights (..., t, s), in query's dtype.

    Raises:
      TypeError: query or keys are not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> multiplicative_attention({}, jnp.ones((2, 3)), jnp.ones((4, 3)))[1].tolist()
    [[0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]]
    """
    checks.params("multiplicative_attention", p, may=("w",))
    checks.array("multiplicative_attention", keys, "keys")
    _check("multiplicative_attention", query, keys, *(p["w"].shape if "w" in p else keys.shape[-1:] * 2))
    q = linear(p, query) if "w" in p else query
    scores = jnp.einsum("...td,...sd->...ts", wide(q), wide(keys))
    return mean_of_keys("multiplicative_attention", scores.astype(query.dtype), keys, mask)


def _check(layer: str, query: jax.Array, keys: jax.Array, d_query: int, d_key: int) -> None:
    for name, x, size in (("query", query, d_query), ("keys", keys, d_key)):
        checks.floats(f"{layer}: {name}", x, ndim=2)
        checks.trailing(f"{layer}: {name}", x, (size,))
    if query.shape[:-2] != keys.shape[:-2]:
        raise ValueError(
            f"{layer}: expected query and keys with the same leading axes, found {checks.describe(query)} and "
            f"{checks.describe(keys)}."
        )


def mean_of_keys(layer: str, scores: jax.Array, keys: jax.Array, mask: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Means of keys (..., s, d) by the softmax of scores (..., t, s), and the weights."""
    exact = wide(scores)
    if mask is None:
        weights = softmax(exact)
    else:
        check_mask(layer, mask, scores.shape)
        mask = jnp.broadcast_to(mask.reshape((1,) * (scores.ndim - mask.ndim) + mask.shape), scores.shape)
        weights = masked_softmax(exact, mask)
    context = jnp.einsum("...ts,...sd->...td", weights, wide(keys))
    return context.astype(keys.dtype), weights.astype(scores.dtype)
