"""Neural collaborative filtering: users and items by embeddings, and how they meet learned."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import gather
from jnn.initializers import normal
from jnn.layers import embed, embed_spec, linear, linear_spec
from jnn.models._mlp import mlp, mlp_spec
from jnn.param import Params, Spec, check_key

FIRST = normal(0.05)


def neumf_spec(users: int, items: int, d: int, hidden: Sequence[int], *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares NeuMF: two embeddings each of users and items, a perceptron, a read-out.

    Args:
      users, items: how many there are.
      d: the size of the embeddings that are multiplied.
      hidden: of the perceptron's layers; the first's half is the size of the embeddings that it reads.
      dtype: of all.

    Returns:
      {"users": {"product", "mlp"}, "items": {"product", "mlp"}, "mlp", "out"}

    Raises:
      ValueError: fewer than two sizes, or an odd first one.

    >>> neumf_spec(943, 1682, 8, (32, 16))["users"]["mlp"]["table"].shape
    (943, 16)
    """
    if len(hidden) < 2 or hidden[0] % 2:
        raise ValueError(f"neumf_spec: expected two sizes or more, the first of them even; found {tuple(hidden)}.")
    tables = {"product": d, "mlp": hidden[0] // 2}
    of = lambda rows: {name: embed_spec(rows, size, init=FIRST, dtype=dtype) for name, size in tables.items()}
    return {
        "users": of(users),
        "items": of(items),
        "mlp": mlp_spec(hidden, dtype=dtype),
        "out": linear_spec(d + hidden[-1], 1, axes=("embed", "out"), dtype=dtype),
    }


def neumf(p: Params, users: jax.Array, items: jax.Array, *, key: jax.Array | None, rate: float = 0.0) -> jax.Array:
    """NeuMF, neural matrix factorization: the logit that a user meets an item, by a product and by a perceptron.

    See "Neural Collaborative Filtering", He et al., 2017.

    Args:
      p: as `neumf_spec` declares.
      users: (...), integers.
      items: (...), integers; the shapes broadcast, so that (b, 1) and (n,) are all pairs.
      key: noise for dropout, None for none.
      rate: of dropout within the perceptron.

    Returns:
      (...), in the parameters' dtype.

    Raises:
      TypeError: users or items are not integers.
      ValueError: they are known to be out of range, or do not broadcast.

    >>> import jnn
    >>> p = jnn.init(neumf_spec(5, 7, 8, (16, 8)), jax.random.key(0))
    >>> neumf(p, jnp.arange(5)[:, None], jnp.arange(7), key=None).shape
    (5, 7)
    """
    checks.params("neumf", p, "users", "items", "mlp", "out")
    check_key("neumf", key, optional=True)
    p = gather(p)
    (u, i), (u_mlp, i_mlp) = (
        jnp.broadcast_arrays(*(embed(p[of][name], rows) for of, rows in (("users", users), ("items", items))))
        for name in ("product", "mlp")
    )
    met = jax.nn.relu(mlp(p["mlp"], jnp.concatenate([u_mlp, i_mlp], -1), key=key, rate=rate))
    return linear(p["out"], jnp.concatenate([u * i, met], -1))[..., 0]
