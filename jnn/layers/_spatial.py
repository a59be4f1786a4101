"""Spatial axes: one number for each, and one batch axis before them, whatever an input's leading axes are."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jnn import checks


def per_axis(layer: str, name: str, value: int | Sequence[int], axes: int, least: int = 1) -> tuple[int, ...]:
    """One int per spatial axis, from one for all or one for each.

    Raises ValueError where they are too few, too many or too small.

    >>> per_axis("conv", "stride", 2, 3)
    (2, 2, 2)
    """
    values = (value,) * axes if isinstance(value, int) else tuple(map(int, value))
    if len(values) != axes or min(values) < least:
        raise ValueError(f"{layer}: {name} is an int >= {least}, or one for each of {axes} axes; found {value}.")
    return values


def one_batch_axis(layer: str, x: jax.Array, spatial: int) -> tuple[jax.Array, tuple[int, ...]]:
    """x as (b, *spatial, c), whatever its leading axes, and their sizes, to restore them by.

    Raises:
      TypeError: x is not floating point.
      ValueError: x has fewer axes than `*spatial, c`, or is empty.
    """
    checks.floats(layer, x, ndim=spatial + 1)
    leading = x.shape[: x.ndim - spatial - 1]
    # merged only if need be: a reshape may make XLA gather a sharded axis
    return (x if len(leading) == 1 else x.reshape(-1, *x.shape[len(leading) :])), leading
