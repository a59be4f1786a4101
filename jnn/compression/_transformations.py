"""Pruning within an optimizer: transformations for Optax, the last of a chain.

    gradual_pruning(schedule, spec)     masks that a schedule narrows, by magnitude
    keep_pruned(masks)                  masks that are known

Laws: what is pruned is exactly 0 behind every update, whatever stands before it (momentum, weight decay), and stays so.
Masks are in the optimizer's state, so that they are saved, resumed and laid out over devices with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.compression._chosen import arrays_at, chosen_weights
from jnn.compression._masks import Masks, check_masks, prune
from jnn.compression._schedules import Sparsity
from jnn.compression._scores import magnitude_scores
from jnn.param import Params, Spec, Where, flatten, map_paths, nested

if TYPE_CHECKING:
    import optax


class PruningState(NamedTuple):
    """Pruning's state: how many updates there were, and what is left."""

    step: jax.Array
    masks: Masks


def gradual_pruning(
    schedule: Sparsity, spec: Spec, *, where: Where = "*", every: int = 1, globally: bool = False
) -> optax.GradientTransformation:
    """Gradual magnitude pruning, as a transformation for Optax: the least weights become 0, by a schedule, and stay so.

    It stands last, `optax.chain(optax.adamw(1e-3), gradual_pruning(...))`: before another it prunes nothing. See "To
    Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression", Zhu and Gupta, 2017.

    Args:
      schedule: the number of updates before this one -> the share that is pruned.
      spec, where: of the weights, as in `magnitude_scores`.
      every: updates between two looks at the schedule: sorting is not free.
      globally: as in `prune`.

    Returns:
      The transformation, whose state is a `PruningState`.

    Raises:
      TypeError: the schedule is none, or spec is none, such as params.
      ValueError: no weight fits, or `every` is not 1 or more.

    >>> import optax
    >>> from jnn.compression import one_shot_sparsity
    >>> from jnn.layers import linear_spec
    >>> spec, p = linear_spec(4, 1, bias=False), {"w": jnp.array([[3.0], [1.0], [2.0], [0.5]])}
    >>> sgd = optax.chain(optax.sgd(0.5), gradual_pruning(one_shot_sparsity(0.5), spec))
    >>> updates, state = sgd.update({"w": jnp.ones((4, 1))}, sgd.init(p), p)
    >>> optax.apply_updates(p, updates)["w"].ravel().tolist()
    [2.5, 0.0, 1.5, 0.0]
    """
    import optax  # takes a while

    checks.count("gradual_pruning", "every", every)
    if not callable(schedule):
        raise TypeError(
            f"gradual_pruning: expected a schedule, found {schedule!r}. Give one such as "
            "cubic_sparsity(0.9, begin=100, end=1000), or one_shot_sparsity(0.9)."
        )
    chosen = chosen_weights("gradual_pruning", spec, where)

    def init(params: Params) -> PruningState:
        have = arrays_at("gradual_pruning", chosen, params)
        return PruningState(
            jnp.zeros((), jnp.int32), nested({path: jnp.ones(w.shape, bool) for path, w in have.items()})
        )

    def update(updates: Params, state: PruningState, params: Params | None = None) -> tuple[Params, PruningState]:
        new = optax.apply_updates(_needed("gradual_pruning", params), updates)
        scores = lambda: magnitude_scores(new, spec, where=[*chosen])
        narrower = lambda: prune(scores(), schedule(state.step), globally=globally, masks=state.masks)
        masks = jax.lax.cond(state.step % every == 0, narrower, lambda: state.masks)
        return _zeroing(updates, params, masks), PruningState(state.step + 1, masks)

    return optax.GradientTransformation(init, update)


def keep_pruned(masks: Masks) -> optax.GradientTransformation:
    """Fixed pruning masks, as a transformation for Optax: what they prune becomes 0, and stays so.

    It stands last: `optax.chain(optax.adamw(1e-3), keep_pruned(masks))`.

    Args:
      masks: of `prune` and the like.

    Returns:
      The transformation, whose state is the masks.

    Raises:
      TypeError: a mask is no array.
      ValueError: a mask is of other numbers than 0 and 1; told by `init`, it is for what params have not.

    >>> import optax
    >>> p = {"w": jnp.array([3.0, 1.0])}
    >>> sgd = optax.chain(optax.sgd(1.0), keep_pruned({"w": jnp.array([True, False])}))
    >>> updates, _ = sgd.update({"w": jnp.ones(2)}, sgd.init(p), p)
    >>> optax.apply_updates(p, updates)["w"].tolist()
    [2.0, 0.0]
    """
    import optax  # takes a while

    check_masks("keep_pruned", masks, masks)

    def init(params: Params) -> Masks:
        check_masks("keep_pruned", masks, params)
        return jax.tree.map(jnp.array, masks)  # copies: a step donates its state, and the caller's must survive that

    def update(updates: Params, state: Masks, params: Params | None = None) -> tuple[Params, Masks]:
        return _zeroing(updates, _needed("keep_pruned", params), state), state

    return optax.GradientTransformation(init, update)


def _zeroing(updates: Params, params: Any, masks: Masks) -> Params:
    """Updates behind which a pruned weight is exactly 0: `w + -w`."""
    found = flatten(masks)
    own = lambda path, u, w: jnp.where(found[path], u, -w) if path in found else u  # in the wider dtype of both
    return map_paths(own, updates, params)


def _needed(name: str, params: Params | None) -> Params:
    if params is None:
        raise ValueError(f"{name}: expected the parameters beside the updates: optimizer.update(grads, state, params).")
    return params
