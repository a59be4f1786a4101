"""Adaptive softmax: a read-out for large vocabularies whose rare words are few numbers each.

Laws: the probabilities of all classes sum to 1; among the frequent ones they differ by their logits.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, lecun_normal
from jnn.layers._linear import linear, linear_spec
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Spec
from jnn.precision import wide


def adaptive_log_softmax_spec(
    d: int,
    classes: int,
    cutoffs: Sequence[int],
    *,
    divisor: float = 4.0,
    axes: tuple[str, str] = ("embed", "vocab"),
    bias: bool = False,
    init: Init = lecun_normal,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares an adaptive softmax over classes that are sorted from frequent to rare.

    Args:
      d: features of the input.
      classes: how many there are.
      cutoffs: where clusters begin, in increasing order: classes below the first have an output of their own, the rest
        of each cluster shares one, and its own outputs read d / divisor, d / divisor ** 2, ... features.
      divisor: by how much features shrink from one cluster to the next.
      axes: names of the axes of features and of classes.
      bias: whether the first map has a bias.
      init: initial values of the weights.
      dtype: of all parameters.

    Returns:
      {"head": {"w": (d, first + clusters)}, "tail": [{"down": {"w": (d, less)}, "up": {"w": (less, cluster)}}, ...]}

    Raises:
      ValueError: cutoffs do not increase within 1..classes-1.

    >>> spec = adaptive_log_softmax_spec(16, 1000, (10, 100))
    >>> spec["head"]["w"].shape, spec["tail"][1]["up"]["w"].shape
    ((16, 12), (1, 900))
    """
    edges = (*cutoffs, classes)
    if not cutoffs or any(a >= b for a, b in itertools.pairwise((0, *edges))):
        raise ValueError(
            f"adaptive_log_softmax_spec: expected cutoffs that increase within 1..{classes - 1}, found {cutoffs}."
        )
    embed, vocab = axes
    head = linear_spec(d, edges[0] + len(cutoffs), axes=axes, bias=bias, init=init, dtype=dtype)
    tail = []
    for i, (start, end) in enumerate(itertools.pairwise(edges), start=1):
        less = max(1, int(d // divisor**i))
        down = linear_spec(d, less, axes=(embed, "projected"), bias=False, init=init, dtype=dtype)
        up = linear_spec(less, end - start, axes=("projected", vocab), bias=False, init=init, dtype=dtype)
        tail.append({"down": down, "up": up})
    return {"head": head, "tail": tail}


def adaptive_log_softmax(p: dict[str, Any], x: jax.Array) -> jax.Array:
    """Adaptive softmax: log-probabilities of all classes, a rare one's being its cluster's plus its own within it.

    See "Efficient Softmax Approximation for GPUs", Grave et al., 2017.

    Args:
      p: as `adaptive_log_softmax_spec` returns.
      x: (..., d), floating point.

    Returns:
      (..., classes), in x's dtype.

    Raises:
      TypeError: x is not floating point.
      ValueError: x's last axis is not d, or x is empty.

    >>> p = jax.tree.map(lambda p: jnp.zeros(p.shape), adaptive_log_softmax_spec(4, 4, (2,)))
    >>> (6 * jnp.exp(adaptive_log_softmax(p, jnp.ones(4)))).round().tolist()
    [2.0, 2.0, 1.0, 1.0]
    """
    checks.params("adaptive_log_softmax", p, "head")
    checks.map_parts("adaptive_log_softmax", p, "head")
    checks.floats("adaptive_log_softmax", x)
    checks.trailing("adaptive_log_softmax", x, weight_shape(p["head"]["w"])[:1])
    clusters = len(p.get("tail", ()))
    if not clusters:
        raise ValueError("adaptive_log_softmax: expected params['tail'], a list of clusters, found none of them.")
    head = jax.nn.log_softmax(wide(linear(p["head"], x)))
    parts = [head[..., :-clusters]]
    for i, part in enumerate(p["tail"]):
        own = jax.nn.log_softmax(wide(linear(part["up"], linear(part["down"], x))))
        at = head.shape[-1] - clusters + i
        parts.append(own + head[..., at : at + 1])
    return jnp.concatenate(parts, -1).astype(x.dtype)
