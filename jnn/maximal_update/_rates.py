"""Parameters as a function reads them, and updates as they learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from jnn.param import Params

if TYPE_CHECKING:
    import optax


def multiplied(params: Params, multipliers: Any) -> Params:
    """Parameters times the multipliers of maximal update parametrization, for the function that they are for.

    Args:
      params: of the spec of `mup`.
      multipliers: numbers in a tree like them, those of `mup`.

    Returns:
      The same tree, in the same dtypes; what is multiplied by 1 is the array itself.

    >>> multiplied({"w": jax.numpy.ones(2)}, {"w": 0.5})["w"].tolist()
    [0.5, 0.5]
    """
    return jax.tree.map(
        lambda x, factor: x if factor == 1 else x * jax.numpy.asarray(factor, x.dtype), params, multipliers
    )


def scale_by_rates(rates: Any) -> optax.GradientTransformation:
    """Per-parameter learning rates, as a transformation for Optax: each update times its number.

    It stands behind what makes updates and before weight decay, which is to be that of the base: `rate * decay` of each
    parameter a step, however slowly it learns ("How to Set AdamW's Weight Decay as You Scale Model and Dataset Size",
    Wang and Aitchison, 2024).

    >>> import optax
    >>> optimizer = optax.chain(
    ...     optax.scale_by_adam(),
    ...     scale_by_rates({"w": 0.25}),
    ...     optax.add_decayed_weights(0.1),
    ...     optax.scale_by_learning_rate(1e-3),
    ... )
    >>> params = {"w": jax.numpy.zeros(2)}
    >>> updates, _ = optimizer.update({"w": jax.numpy.ones(2)}, optimizer.init(params), params)
    >>> (1e5 * updates["w"]).round().tolist()
    [-25.0, -25.0]

    Args:
      rates: numbers in a tree like the parameters, such as those of `mup`.

    Returns:
      The transformation; it has no state.
    """
    import optax  # takes a while

    def scale(updates: Any, params: Any = None) -> Any:
        return jax.tree.map(lambda u, rate: u if rate == 1 else u * jax.numpy.asarray(rate, u.dtype), updates, rates)

    return optax.stateless(scale)
