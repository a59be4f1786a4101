"""Masks: which weights are left, and parameters without the others.

    prune(scores, sparsity) -> masks          of each leaf, or of all together, those of the highest scores
    prune_n_of_m(scores, spec) -> masks       two of each four neighbours
    masked(p, masks) -> p                     zeros for what is pruned

A mask is a tree of the weights that it is about, True for what is left. Laws: exactly as many are pruned as the
sparsity says, rounded, and of equal scores the first; what was pruned before stays so; a weight that is pruned has no
gradient. Sparsity may be traced: it is a number of weights, not a shape.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.compression._chosen import at
from jnn.compression._scores import Scores, check_scores
from jnn.param import Param, Params, Spec, check_spec, flatten, map_paths

Masks = Any  # nested dicts of bools, of the weights that are chosen
ADVICE = "Give those of prune(scores, sparsity)."


def prune(scores: Scores, sparsity: jax.Array | float, *, globally: bool = False, masks: Masks | None = None) -> Masks:
    """Pruning masks, unstructured: True for the weights of the highest scores.

    See "Learning both Weights and Connections for Efficient Neural Networks", Han et al., 2015.

    Args:
      scores: a tree, such as of `magnitude_scores`.
      sparsity: the share of the weights that is pruned, from 0 to 1; it may be traced.
      globally: whether scores of all leaves are compared, so that some leaves lose more than others; else each leaf
        loses this share.
      masks: of before: what they prune stays pruned, and counts among what sparsity asks for.

    Returns:
      A tree like scores, of bools.

    Raises:
      TypeError: what is given are no scores, such as params: `magnitude_scores(params, spec)` are.
      ValueError: sparsity is not from 0 to 1, or masks are not of these scores.

    >>> prune({"w": jnp.array([3.0, 1.0, 2.0, 0.5])}, 0.5)["w"].tolist()
    [True, False, True, False]
    """
    first = next(iter(check_scores("prune", scores).values()))
    share = checks.number("prune", "sparsity", sparsity, lambda x: (x >= 0) & (x <= 1), "from 0 to 1", like=first)
    if masks is not None:
        left = check_masks("prune", masks, scores)
        scores = map_paths(lambda path, s: jnp.where(left[path] != 0, s, -jnp.inf) if path in left else s, scores)
    if not globally:
        return jax.tree.map(lambda s: _highest(s.ravel(), share).reshape(s.shape), scores)
    leaves, structure = jax.tree.flatten(scores)
    flat = _highest(jnp.concatenate([s.ravel() for s in leaves]), share)
    parts = jnp.split(flat, np.cumsum([s.size for s in leaves])[:-1])
    return jax.tree.unflatten(structure, [part.reshape(s.shape) for part, s in zip(parts, leaves, strict=True)])


def _highest(scores: jax.Array, share: Any) -> jax.Array:
    """Of scores (n,), True but for the least; what was pruned before, -inf, is never True."""
    exact = jnp.round(share * scores.size) if isinstance(share, jax.Array) else round(share * scores.size)
    left = jnp.arange(scores.size) >= exact
    return jnp.zeros(scores.shape, bool).at[jnp.argsort(scores)].set(left) & (scores != -jnp.inf)


def prune_n_of_m(scores: Scores, spec: Spec, n: int = 2, m: int = 4) -> Masks:
    """N:M sparsity: masks with the n highest scores of each m neighbours among an output's inputs, by default 2:4.

    See "Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch", Zhou et al., 2021. Neighbours are
    along the axes that a weight sums over, of a kernel its channels, as tensor cores want them.

    Args:
      scores: a tree, such as of `magnitude_scores(p, spec)`.
      spec: what declares the weights.
      n, m: how many are left, and of how many.

    Returns:
      A tree like scores, of bools.

    Raises:
      TypeError: what is given are no scores, or no spec.
      ValueError: n is more than m, a weight has inputs that m does not divide, or spec declares it not.

    >>> from jnn.layers import linear_spec
    >>> prune_n_of_m({"w": jnp.array([[4.0], [1.0], [3.0], [2.0]])}, linear_spec(4, 1))["w"].ravel().tolist()
    [True, False, True, False]
    """
    checks.count("prune_n_of_m", "m", m)
    checks.count("prune_n_of_m", "n", n)
    if n > m:
        raise ValueError(f"prune_n_of_m: expected at most {m} of {m} to be left, found n={n}.")
    check_spec("prune_n_of_m", spec)
    declared = flatten(spec)
    if unknown := sorted(check_scores("prune_n_of_m", scores).keys() - declared.keys()):
        raise ValueError(f"prune_n_of_m: found scores for {unknown[0]!r}, which spec does not declare.")
    return map_paths(lambda path, s: _n_of_m(path, s, declared[path], n, m), scores)


def _n_of_m(path: str, scores: jax.Array, param: Param, n: int, m: int) -> jax.Array:
    axes = [param.axes.index(name) for name in param.fan_in]
    inputs = math.prod(param.shape[i] for i in axes)
    if inputs % m:
        raise ValueError(f"prune_n_of_m: {path} has {inputs} inputs, which {m} does not divide. Leave it out by where.")
    last = range(-len(axes), 0)
    moved = jnp.moveaxis(scores, axes, last)
    groups = moved.reshape(*moved.shape[: len(moved.shape) - len(axes)], -1, m)
    ranks = jnp.argsort(jnp.argsort(groups, -1), -1)
    return jnp.moveaxis((ranks >= m - n).reshape(moved.shape), last, axes)


def masked(p: Params, masks: Masks) -> Params:
    """Pruned parameters: zeros where a mask says so, all else as it is.

    Inside of a loss, with masks of `ctx.given` or `ctx.memory`, the weights below stay as they are, without gradient.

    Args:
      p: a model's parameters.
      masks: of `prune` and the like, or numbers, 0 for what is pruned and 1 for what is left.

    Returns:
      A tree like p.

    Raises:
      TypeError: a mask is no array.
      ValueError: a mask is for what p has not, of another shape, or of other numbers, as scores are.

    >>> masked({"w": jnp.array([3.0, 1.0]), "b": jnp.ones(1)}, {"w": jnp.array([True, False])})["w"].tolist()
    [3.0, 0.0]
    """
    found = check_masks("masked", masks, p)
    return map_paths(lambda path, x: jnp.where(found[path] != 0, x, 0) if path in found else x, p)


def sparsity(masks: Masks) -> jax.Array:
    """Sparsity: the share of the masked weights that is pruned, ().

    Args:
      masks: as of `masked`.

    Raises:
      TypeError, ValueError: as `masked`; or there are no masks.

    >>> sparsity({"w": jnp.array([True, False, False, False])}).item()
    0.75
    """
    leaves = list(check_masks("sparsity", masks, masks).values())
    if not leaves:
        raise ValueError(f"sparsity: expected masks, found {masks!r}.")
    return 1 - sum(jnp.sum(mask != 0) for mask in leaves) / sum(mask.size for mask in leaves)


def check_masks(name: str, masks: Any, p: Any) -> dict[str, Any]:
    """Masks by path; raises unless each is of what p has there, in its shape, and holds nothing but 0 and 1."""
    found, have = flatten(masks), flatten(p)
    for path, mask in found.items():
        what = checks.describe(mask)
        if not isinstance(mask, jax.Array | np.ndarray):
            raise TypeError(f"{name}: expected masks, arrays of True and False, found {what}{at(path)}. {ADVICE}")
        if path not in have or have[path].shape != mask.shape:
            place = checks.describe(have[path]) if path in have else f"nothing there; p has {', '.join([*have][:12])}"
            raise ValueError(f"{name}: found a mask {what} for {path!r}, which is {place}.")
        if mask.dtype != bool and not _is_binary(mask):
            raise ValueError(f"{name}: expected masks of 0 and 1, found others in {what}{at(path)}. {ADVICE}")
    return found


def _is_binary(mask: Any) -> bool:
    """Whether numbers are 0 and 1 alone; True where they are not known: traced, or on other machines."""
    if isinstance(mask, jax.core.Tracer) or not getattr(mask, "is_fully_addressable", True):
        return True
    numbers = np.asarray(mask)
    return bool(((numbers == 0) | (numbers == 1)).all())
