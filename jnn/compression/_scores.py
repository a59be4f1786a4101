"""What a weight is worth: scores, the least of which are pruned.

    magnitude_scores(p, spec)                 how large it is
    saliency_scores(p, spec, gradients)       how far the loss is from what it would be without, to first order
    scores_spec(spec)                         a parameter beside each weight, that is learned: `movement_masked`

Law: a tree of the weights that are chosen, and of nothing else; each is of its weight's shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.compression._chosen import arrays_at, at, chosen_weights
from jnn.initializers import zeros
from jnn.param import Params, Spec, Where, flatten, nested
from jnn.precision import wide

Scores = Any  # nested dicts of the weights that are chosen
NO_WEIGHTS = ("b", "bias", "scale")  # names of parameters that have no score, beside weights of more axes


def magnitude_scores(p: Params, spec: Spec, *, where: Where = "*") -> Scores:
    """Magnitude pruning's scores: the absolute value of each weight.

    See "Learning both Weights and Connections for Efficient Neural Networks", Han et al., 2015.

    Args:
      p: a model's parameters.
      spec: what declares them, and so which are weights: linear maps, convolutions, experts.
      where: patterns of the weights' paths.

    Returns:
      A tree of the weights that fit, in float32 at least.

    Raises:
      TypeError: spec is none, such as params.
      ValueError: no weight fits, or p lacks one.

    >>> from jnn.layers import linear_spec
    >>> magnitude_scores({"w": jnp.array([[-3.0], [1.0]]), "b": jnp.ones(1)}, linear_spec(2, 1))["w"].tolist()
    [[3.0], [1.0]]
    """
    return _scored("magnitude_scores", spec, where, lambda w: jnp.abs(wide(w)), p)


def saliency_scores(p: Params, spec: Spec, gradients: Params, *, where: Where = "*") -> Scores:
    """Saliency scores of single-shot pruning: each weight times its gradient, the absolute value.

    See "SNIP: Single-shot Network Pruning Based on Connection Sensitivity", Lee, Ajanthan and Torr, 2019, where the
    scores of all layers are compared (`prune(..., globally=True)`) before anything is trained.

    Args:
      p, spec: as in `magnitude_scores`.
      gradients: of the loss, a tree like p: the sum over a few batches.
      where: patterns of the weights' paths.

    Returns:
      A tree of the weights that fit, in float32 at least.

    Raises:
      TypeError, ValueError: as `magnitude_scores`.

    >>> from jnn.layers import linear_spec
    >>> p, gradients = {"w": jnp.array([[-3.0], [1.0]])}, {"w": jnp.array([[0.0], [2.0]])}
    >>> saliency_scores(p, linear_spec(2, 1, bias=False), gradients)["w"].tolist()
    [[0.0], [2.0]]
    """
    return _scored("saliency_scores", spec, where, lambda w, g: jnp.abs(wide(w) * wide(g)), p, gradients)


def scores_spec(spec: Spec, *, where: Where = "*") -> Spec:
    """Scores of movement pruning, declared: one beside each weight, 0 at first, as `movement_masked` takes them.

    Args:
      spec: the model's.
      where: patterns of the weights' paths.

    Returns:
      A spec of the weights that fit, of their shapes and axes.

    Raises:
      ValueError: no weight fits.

    >>> from jnn.layers import linear_spec
    >>> scores_spec({"fc": linear_spec(3, 2)})["fc"]["w"].shape
    (3, 2)
    """
    chosen = chosen_weights("scores_spec", spec, where)
    no_fans: dict[str, Any] = {"fan_in": (), "fan_out": (), "receptive": ()}  # no weights: they are not to decay
    return nested({path: dataclasses.replace(param, init=zeros, **no_fans) for path, param in chosen.items()})


def _scored(name: str, spec: Spec, where: Where, score: Callable[..., jax.Array], *trees: Any) -> Scores:
    chosen = chosen_weights(name, spec, where)
    have = [arrays_at(name, chosen, tree) for tree in trees]
    return nested({path: score(*(leaves[path] for leaves in have)) for path in chosen})


def check_scores(name: str, scores: Any) -> dict[str, jax.Array]:
    """Scores by path; raises TypeError for what is none: a number, masks, or params, whose signs would count."""
    found = flatten(scores)
    axes = max((np.ndim(s) for s in found.values()), default=0)
    strange = [path for path, s in found.items() if not _may_be_score(path, s, max(axes, 2))]
    if strange or not found:
        what = f"{checks.describe(found[strange[0]])}{at(strange[0])}" if strange else f"{scores!r}"
        raise TypeError(
            f"{name}: expected scores, arrays of numbers of weights alone, found {what}. Of params they are "
            "magnitude_scores(params, spec)."
        )
    return found


def _may_be_score(path: str, s: Any, axes: int) -> bool:
    """Whether it is an array of numbers, and no bias: one by its name that has fewer axes than the weights."""
    is_bias = path.split("/")[-1] in NO_WEIGHTS and np.ndim(s) < axes
    return isinstance(s, jax.Array | np.ndarray) and s.dtype != bool and not is_bias
