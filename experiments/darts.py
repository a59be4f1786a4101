"""DARTS: what stands on an edge is a mixture, which learns beside the weights, on other rows.

bilevel_spec(channels), in_halves(arrays), bilevel_loss(params, batch, ctx)
chosen(mixtures) -> operations              what is left of a mixture
discrete(members) -> members                the same weights, with nothing but that

See "DARTS: Differentiable Architecture Search", Liu et al., 2019. This is its first order: a mixture's gradient takes
the weights as they are. Both learn at every step, where theirs take turns.

Law: no gradient of weights comes from the rows of the mixtures, and none of mixtures from those of the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from experiments.cells import EDGES, OPERATIONS, cell_network, cell_network_spec
from experiments.training import with_accuracy
from jnn.initializers import normal
from jnn.param import Spec
from jnn.sweep import Members
from jnn.train import LossOutput


def bilevel_spec(channels: int) -> Spec:
    """Declares weights of all operations, and the logits of the mixtures."""
    mixtures = jnn.Param((len(EDGES), len(OPERATIONS)), normal(1e-3), ("edge", "operation"))
    return {"weights": cell_network_spec(channels), "mixtures": mixtures}


def in_halves(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Rows by pairs: one of the first half, that the weights learn from, and one of the second, for the mixtures.

    >>> {name: x.tolist() for name, x in in_halves({"y": np.arange(5)}).items()}
    {'y': [0, 1], 'other_y': [2, 3]}
    """
    half = len(arrays["y"]) // 2
    others = {f"other_{name}": x[half : 2 * half] for name, x in arrays.items()}
    return {name: x[:half] for name, x in arrays.items()} | others


def bilevel_loss(params: Any, batch: Any, ctx: Any) -> LossOutput:
    """The loss of weights on a row, and of mixtures on the other; where there is no other, of the whole."""
    weights, mixtures = params["weights"], jax.nn.softmax(params["mixtures"])
    if "other_x" not in batch:
        return with_accuracy(cell_network(weights, batch["x"], mixtures), batch)
    still = jax.lax.stop_gradient
    own = with_accuracy(cell_network(weights, batch["x"], still(mixtures)), batch)
    logits = cell_network(still(weights), batch["other_x"], mixtures)
    return own._replace(values=own.values + jnn.losses.cross_entropy(logits, batch["other_y"]))


def chosen(mixtures: np.ndarray) -> np.ndarray:
    """The operation (..., edges) of the largest share but for "none", as DARTS derives it.

    >>> chosen(np.array([[0.6, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.6]])).tolist()
    [1, 4]
    """
    return mixtures[..., 1:].argmax(-1) + 1


def discrete(members: Members) -> Members:
    """Members whose mixtures are what is chosen of them, with the weights that learned beside all others."""
    kept = jax.nn.one_hot(chosen(np.asarray(members.state.params["mixtures"])), len(OPERATIONS)) > 0
    params = members.state.params | {"mixtures": np.asarray(jnp.where(kept, 0.0, -jnp.inf))}
    return dataclasses.replace(members, state=members.state.replace(params=params))
