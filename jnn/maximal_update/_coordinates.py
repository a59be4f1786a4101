"""Coordinate check: whether activations, and what a few steps change of them, keep their size as width grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.precision import wide

Activations = Mapping[str, jax.Array]
Build = Callable[[int, jax.Array], tuple[Any, Callable[[Any], Any], Callable[[Any], Activations]]]


class Coordinates(NamedTuple):
    """An activation after some steps: the mean of its absolute values, and of what has changed of them."""

    name: str
    width: int
    step: int
    size: float
    change: float


def coordinate_check(
    build: Build, widths: Sequence[int], *, steps: int = 4, keys: Sequence[jax.Array]
) -> list[Coordinates]:
    """Coordinate check: the sizes of activations at several widths, after 0 to `steps` updates.

    See "Tensor Programs V", Yang et al., 2022, appendix D.1: in maximal update parametrization they are flat in width.

    Args:
      build: `(width, key) -> (state, step, activations)`, where `step(state)` is the next state, of any kind, and
        `activations(state)` arrays by name, of the same examples each time.
      widths: one or more; two or more for `growth`.
      steps: updates.
      keys: one for each network that is averaged over.

    Returns:
      A row for each name, width and step.

    Raises:
      TypeError: keys are a single one.
      ValueError: there are no widths, or no keys.

    >>> def build(width, key):
    ...     return jnp.zeros(width), lambda w: w + 1 / width, lambda w: {"sum": w.sum()}
    >>> rows = coordinate_check(build, (2, 4), steps=1, keys=[jax.random.key(0)])
    >>> rows[-1]
    Coordinates(name='sum', width=4, step=1, size=1.0, change=1.0)
    """
    if isinstance(keys, jax.Array) and keys.ndim == 0:
        raise TypeError("coordinate_check: expected a list of keys, found a single one. Give [key].")
    if len(widths) == 0 or len(keys) == 0:
        raise ValueError(f"coordinate_check: expected widths and keys, found {len(widths)} and {len(keys)}.")
    rows: list[Coordinates] = []
    for width in widths:
        runs = [_run(build, width, steps, key) for key in keys]
        for name in runs[0][0]:
            for i in range(steps + 1):
                size = np.mean([_mean_size(run[i][name]) for run in runs])
                change = np.mean([_mean_size(wide(run[i][name]) - wide(run[0][name])) for run in runs])
                rows.append(Coordinates(name, width, i, float(size), float(change)))
    return rows


def growth(rows: Sequence[Coordinates], name: str, *, of: Literal["change", "size"] = "change") -> float:
    """The power of width by which an activation grows: the slope of its logarithm after the last step.

    Args:
      rows: of `coordinate_check`.
      name: of the activation.
      of: its "change" since the first step, or its "size".

    Raises:
      ValueError: no activation has this name, it is of one width, or 0 or no number at one.

    >>> growth([Coordinates("x", n, 1, 3.0, n**0.5) for n in (4, 16)], "x")
    0.5
    """
    last = max((row.step for row in rows), default=0)
    found = {row.width: getattr(row, of) for row in rows if row.name == name and row.step == last}
    if len(found) < 2:
        names = sorted({row.name for row in rows})
        raise ValueError(f"growth: expected one of {names}, of two widths or more; found {name!r} of {len(found)}.")
    if not all(0 < value < np.inf for value in found.values()):
        raise ValueError(f"growth: a power of width is of positive numbers, and {of} of {name!r} is {found} by width.")
    slope, _ = np.polyfit(np.log([*found]), np.log([*found.values()]), 1)
    return round(float(slope), 12)


def _run(build: Build, width: int, steps: int, key: jax.Array) -> list[Activations]:
    state, step, activations = build(width, key)
    found = [activations(state)]
    for _ in range(steps):
        state = step(state)
        found.append(activations(state))
    return found


def _mean_size(x: jax.Array) -> float:
    return float(jnp.mean(jnp.abs(wide(x))))
