"""How metrics combine: by adding their sums, unless a metric says otherwise.

    Sum(total)                           added
    Last(number)                         the newest one: a learning rate, a temperature, a weight that is annealed
    Max(number)                          the largest one
    concatenation(values, weight)        every row's own value, put together on the host: scores, predictions

    a metric                          a pytree of arrays with `value()`; with `combine(newer)` where it does not add
    combine is None                   what only whole arrays say, and no two combine: an average precision of boxes

What is done with any of them: `_combine`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks


class Sum(NamedTuple):
    """Sum: a total over batches, steps and devices, such as a number of tokens.

    >>> from jnn.metrics import merge
    >>> float(merge(Sum(2.0), Sum(3.0)).value())
    5.0
    """

    total: Any

    def value(self) -> Any:
        """The total."""
        return self.total


class Last(NamedTuple):
    """Last value: the newest of several numbers, such as a learning rate.

    >>> Last(0.1).combine(Last(0.01)).value()
    0.01
    """

    number: Any

    def combine(self, newer: Last) -> Last:
        """The newer one."""
        return newer

    def value(self) -> Any:
        """The number."""
        return self.number


class Max(NamedTuple):
    """Maximum: the largest of several numbers.

    >>> Max(2.0).combine(Max(1.0)).value().item()
    2.0
    """

    number: Any

    def combine(self, newer: Max) -> Max:
        """The larger one, elementwise; NaN if one is."""
        xp: Any = jnp if isinstance(newer.number, jax.Array) else np
        return Max(xp.maximum(self.number, newer.number))

    def value(self) -> Any:
        """The number."""
        return self.number


class Concatenation(NamedTuple):
    """Every row's own value: made by `concatenation`, put together over batches by `merge`.

    A training step leaves these out (its rows of numbers have no place for them); evaluations hand them back.
    """

    values: Any
    weight: Any

    def combine(self, newer: Concatenation) -> Concatenation:
        """The rows of both, in order, on the host."""
        return Concatenation(*(np.concatenate([a, b]) for a, b in zip(self, newer, strict=True)))

    def value(self) -> Any:
        """The values of all rows whose weight is not 0, in order: a NumPy array (rows, ...)."""
        return np.asarray(self.values)[np.asarray(self.weight) != 0]


def concatenation(values: jax.Array, weight: jax.Array | None = None) -> Concatenation:
    """Concatenation of what each row has, such as scores for an exact AUC.

    Args:
      values: (rows, ...).
      weight: (rows,), 0 for padding, which is left out; None keeps every row.

    Raises:
      ValueError: values have no rows, or weight is not one number for each.

    >>> parts = [concatenation(jnp.array([1, 7]), jnp.array([1, keep])) for keep in (1, 0)]
    >>> parts[0].combine(parts[1]).value().tolist()
    [1, 7, 1]
    """
    weight = jnp.ones(values.shape[:1]) if weight is None else weight
    if values.ndim == 0 or weight.shape != values.shape[:1]:
        raise ValueError(
            f"concatenation: expected values (rows, ...) and a weight (rows,), found {checks.describe(values)} and "
            f"{checks.describe(weight)}."
        )
    return Concatenation(values, weight)
