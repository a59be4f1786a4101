"""Movement pruning: what is left is learned, by scores beside the weights."""

from __future__ import annotations

import jax

from jnn.compression._masks import masked, prune
from jnn.compression._scores import Scores, check_scores
from jnn.param import Params, flatten, map_paths


def movement_masked(p: Params, scores: Scores, sparsity: jax.Array | float, *, globally: bool = False) -> Params:
    """Movement pruning: parameters without the weights of the least scores, which learn where weights move to.

    A score's gradient is its weight's times the weight, pruned or not, straight through the mask: by descent of rate 1
    it is `-sum(w * g)`, large for what moves away from zero, and what was pruned may return. See "Movement Pruning:
    Adaptive Sparsity by Fine-Tuning", Sanh, Wolf and Rush, 2020.

    Args:
      p: a model's parameters, trained already.
      scores: as `scores_spec` declares, trained beside them.
      sparsity, globally: as in `prune`; a schedule of `ctx.step`.

    Returns:
      A tree like p, for the model's own function.

    Raises:
      TypeError: what is given are no scores.
      ValueError: as `masked`.

    >>> import jax.numpy as jnp
    >>> p, scores = {"w": jnp.array([2.0, -3.0])}, {"w": jnp.array([0.0, 1.0])}
    >>> jax.grad(lambda scores: movement_masked(p, scores, 0.5)["w"].sum())(scores)["w"].tolist()
    [2.0, -3.0]
    """
    check_scores("movement_masked", scores)
    held = jax.lax.stop_gradient(scores)
    left, own, now = masked(p, prune(held, sparsity, globally=globally)), flatten(scores), flatten(held)
    still = jax.lax.stop_gradient(p)

    def through(path: str, x: jax.Array, w: jax.Array) -> jax.Array:
        return x + ((own[path] - now[path]) * w).astype(x.dtype) if path in own else x

    return map_paths(through, left, still)
