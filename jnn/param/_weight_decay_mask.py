"""Weight-decay mask: which of a spec's parameters are linear maps."""

from __future__ import annotations

from typing import Any

import jax

from jnn.param._declare import Spec, check_spec, existing


def weight_mask(spec: Spec) -> Any:
    """Weight-decay mask for Optax: True for the linear maps of a spec, False for biases, scales and offsets.

    Raises:
      TypeError: spec is none.
      ValueError: it is of `spec_of`, and says of no array that it is a linear map.

    >>> from jnn.layers import linear_spec
    >>> weight_mask(linear_spec(3, 2))
    {'b': False, 'w': True}
    """
    check_spec("weights", spec)
    mask = jax.tree.map(lambda param: bool(param.fan_in), spec)
    params = jax.tree.leaves(spec)
    if any(param.init is existing for param in params) and not any(jax.tree.leaves(mask)):
        raise ValueError(
            "weight_mask: this spec, made from existing arrays, says of none that it is a linear map. "
            "Say it by an arrow: jnn.spec_of(params, axes={'*kernel': 'embed -> hidden'})."
        )
    return mask
