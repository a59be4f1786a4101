"""Two towers: a vector of a query, such as a user, and one of an item, which fit where their product is large.

Laws: an item's vector knows nothing of the query, so that all of them are made once and searched; a feature of value 0
is not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import normal
from jnn.layers import embed_spec, embedding_bag, unit_norm
from jnn.models._mlp import mlp, mlp_spec
from jnn.param import Params, Spec, check_key


def two_tower_spec(queries: int, items: int, sizes: Sequence[int], *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares two towers, each an embedding bag of features and a perceptron over it.

    Args:
      queries, items: how many features there are of either.
      sizes: of the embeddings, of each hidden layer, and of the vectors in the end.
      dtype: of all.

    Returns:
      {"queries": {"embed", "mlp"}, "items": {"embed", "mlp"}}

    Raises:
      ValueError: fewer than two sizes.

    >>> two_tower_spec(1000, 2000, (64, 32))["items"]["embed"]["table"].shape
    (2000, 64)
    """
    tower = lambda n: {
        "embed": embed_spec(n, sizes[0], init=normal(0.1), dtype=dtype),
        "mlp": mlp_spec(sizes, dtype=dtype),
    }
    return {"queries": tower(queries), "items": tower(items)}


def retrieval_tower(
    p: Params, features: jax.Array, values: jax.Array, *, key: jax.Array | None, rate: float = 0.0
) -> jax.Array:
    """One tower of two: a vector of length 1 from features that are there or not.

    Args:
      p: `params["queries"]` or `params["items"]`, as `two_tower_spec` declares.
      features: (..., n), integers.
      values: (..., n), floating point, how much of each there is; 0 of padding.
      key: noise for dropout, None for none.
      rate: of dropout, within the perceptron.

    Returns:
      (..., sizes[-1]), in the parameters' dtype.

    Raises:
      TypeError: features are not integers.
      ValueError: values are not one of each feature, or features are known to be out of range.
    """
    checks.params("retrieval_tower", p, "embed", "mlp")
    check_key("retrieval_tower", key, optional=True)
    p = gather(p)
    return unit_norm(mlp(p["mlp"], embedding_bag(p["embed"], features, mode="sum", weights=values), key=key, rate=rate))


def two_tower(
    p: Params,
    query: tuple[jax.Array, jax.Array],
    item: tuple[jax.Array, jax.Array],
    *,
    key: jax.Array | None,
    rate: float = 0.0,
) -> jax.Array:
    """Two-tower retrieval model: the cosine of each query with each item, of features of both.

    See "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", Yi et al., 2019. Divided by a
    temperature these are logits; where there are few items, `jnn.losses.cross_entropy` over all of them needs no
    sampling, and so no correction.

    Args:
      p: as `two_tower_spec` declares.
      query: features (..., q, n) and their values, as in `retrieval_tower`.
      item: features (..., i, m) and their values.
      key: noise for dropout, None for none.
      rate: of dropout.

    Returns:
      (..., q, i), in the parameters' dtype.

    Raises:
      TypeError, ValueError: as `retrieval_tower`.

    >>> import jnn
    >>> p = jnn.init(two_tower_spec(5, 7, (8, 4)), jax.random.key(0))
    >>> users, films = (jnp.arange(5)[:, None], jnp.ones((5, 1))), (jnp.arange(7)[:, None], jnp.ones((7, 1)))
    >>> two_tower(p, users, films, key=None).shape
    (5, 7)
    """
    checks.params("two_tower", p, "queries", "items")
    keys = [None] * 2 if key is None else jax.random.split(key)
    q, i = (
        retrieval_tower(p[name], *rows, key=key, rate=rate)
        for name, rows, key in zip(("queries", "items"), (query, item), keys, strict=True)
    )
    return jnp.einsum("...qd,...id->...qi", q, i)
