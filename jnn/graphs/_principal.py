"""Principal neighbourhood aggregation: several statistics of the neighbours at once, scaled by how many there are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.graphs._graph import Edges, check_edges, read_edges
from jnn.graphs._segments import gather, segment_count, segment_max, segment_mean
from jnn.initializers import Init, glorot_uniform
from jnn.layers import linear, linear_spec
from jnn.param import Params, Spec
from jnn.precision import wide


def principal_aggregation_spec(
    d_in: int, d_out: int, *, init: Init = glorot_uniform, dtype: DTypeLike = jnp.float32
) -> Spec:
    """Declares principal neighbourhood aggregation (`principal_aggregation`): a linear map of 13 d_in features.

    >>> principal_aggregation_spec(3, 5)["w"].shape
    (39, 5)
    """
    return linear_spec(13 * d_in, d_out, init=init, dtype=dtype)


def principal_aggregation(p: Params, x: jax.Array, edges: Edges, *, delta: float, epsilon: float = 1e-5) -> jax.Array:
    """Principal neighbourhood aggregation, PNA: mean, maximum, minimum and deviation, each scaled by degree.

    See "Principal Neighbourhood Aggregation for Graph Nets", Corso et al., 2020, with neighbours as messages: all four
    as they are, times `log(degree + 1) / delta`, and times its inverse.

    Args:
      p: as declared by `principal_aggregation_spec`.
      x: (..., n, d_in), floating point.
      edges: (..., e).
      delta: the mean of `log(degree + 1)` over the nodes of the training set.
      epsilon: added to the variance.

    Returns:
      (..., n, d_out), in x's dtype.

    Raises:
      TypeError, ValueError: x, edges and p do not fit.

    >>> p = jax.tree.map(lambda s: jnp.ones(s.shape), principal_aggregation_spec(3, 5))
    >>> principal_aggregation(p, jnp.ones((4, 3)), Edges(jnp.array([0]), jnp.array([1])), delta=1.0).shape
    (4, 5)
    """
    checks.params("principal_aggregation", p, "w", may=("b",))
    check_edges("principal_aggregation", x, edges, p["w"].shape[0] // 13)
    (senders, receivers, mask), _ = read_edges(edges)
    n, sent = x.shape[-2], wide(gather(x, senders))
    mean = segment_mean(sent, receivers, n, mask=mask)
    spread = segment_mean(jnp.square(sent - gather(mean, receivers)), receivers, n, mask=mask)
    low = -segment_max(-sent, receivers, n, mask=mask)
    found = [mean, segment_max(sent, receivers, n, mask=mask), low, jnp.sqrt(spread + epsilon)]
    amount = jnp.log1p(segment_count(receivers, n, mask=mask).astype(sent.dtype))[..., None] / delta
    whole = jnp.concatenate(found, -1)
    scaled = [whole, whole * amount, whole / jnp.where(amount > 0, amount, 1)]
    return linear(p, jnp.concatenate([wide(x), *scaled], -1).astype(x.dtype))
