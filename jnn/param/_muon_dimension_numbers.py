"""Muon's dimension numbers: which axes of a spec's parameters are the two sides of a matrix."""

from __future__ import annotations

import math
from typing import Any

import jax

from jnn.param._declare import Param, Spec, check_spec

TABLES = {"vocab", "position", "segment", "seeds"}  # what counts rows of a table, or logits of one: no features


def muon_dimension_numbers(spec: Spec) -> Any:
    """Muon's dimension numbers for Optax: of each linear map of a spec, which axes its matrix sums over and makes.

    `optax.contrib.muon` orthogonalizes such a matrix; an axis of neither kind, as that of stacked layers or of experts,
    holds one matrix beside another. See "Muon: An optimizer for hidden layers in neural networks", Jordan et al., 2024.

    Returns:
      A tree like spec of `optax.contrib.MuonDimensionNumbers`, and None of what Muon is not for: biases, scales, maps
      of or to one number, embeddings, and what makes logits of a vocabulary. Optax gives these to AdamW.

    Raises:
      TypeError: spec is none.

    >>> from jnn.layers import linear_spec
    >>> from jnn.param import stack
    >>> muon_dimension_numbers(stack(linear_spec(3, 2), 4))
    {'b': None, 'w': MuonDimensionNumbers(reduction_axis=(1,), output_axis=(2,))}
    """
    check_spec("muon_dimension_numbers", spec)
    return jax.tree.map(_numbers, spec)


def _numbers(param: Param) -> Any:
    from optax.contrib import MuonDimensionNumbers  # takes a while, and few ask for it

    size = dict(zip(param.axes, param.shape, strict=True))
    vector = any(math.prod(size[name] for name in side) <= 1 for side in (param.fan_in, param.fan_out))
    if vector or TABLES & {*param.fan_in, *param.fan_out}:
        return None
    places = lambda names: tuple(param.axes.index(name) for name in names)
    return MuonDimensionNumbers(places((*param.receptive, *param.fan_in)), places(param.fan_out))
