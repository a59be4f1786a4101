"""How metrics combine: by adding their sums, unless a metric says otherwise.

    Sum(total)                           added
    Last(number)                         the newest one: a learning rate, a temperature, a weight that is annealed
    Max(number)                          the largest one
    concatenation(values, weight)        every row's own value, put together on the host: scores, predictions

    a metric                          a pytree of arrays with `value()`; with `combine(newer)` where it does not add
    combine is None                   what only whole arrays say, and no two combine: an average precision of boxes
    combine(a, b), fold(stacked)      two metrics, or those along a leading axis from the first to the last
    check_metric(what, metric)        refuses what does not say how it combines; check_metrics: a dict of them, by name

Law: `fold` of a stack is `combine` of its members in their order.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide


class Sum(NamedTuple):
    """Sum: a total over batches, steps and devices, such as a number of tokens.

    >>> combine(Sum(2.0), Sum(3.0)).value()
    5.0
    """

    total: Any

    def value(self) -> Any:
        """The total."""
        return self.total


class Last(NamedTuple):
    """Last value: the newest of several numbers, such as a learning rate.

    >>> combine(Last(0.1), Last(0.01)).value()
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

    >>> combine(Max(2.0), Max(1.0)).value().item()
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
    >>> combine(*parts).value().tolist()
    [1, 7, 1]
    """
    weight = jnp.ones(values.shape[:1]) if weight is None else weight
    if values.ndim == 0 or weight.shape != values.shape[:1]:
        raise ValueError(
            f"concatenation: expected values (rows, ...) and a weight (rows,), found {checks.describe(values)} and "
            f"{checks.describe(weight)}."
        )
    return Concatenation(values, weight)


def adds_up(metric: Any) -> bool:
    """Whether metrics of this kind combine by adding them, leaf by leaf."""
    return not hasattr(metric, "combine")


def to_add(metric: Any) -> Any:
    """A metric whose numbers can be added up: floats in float32 at least, integers and truths in int32 at least.

    >>> to_add(Sum(jnp.ones((), jnp.bfloat16))).total.dtype, to_add(Sum(jnp.bool_(True))).total.dtype
    (dtype('float32'), dtype('int32'))
    """

    def widened(x: Any) -> jax.Array:
        x = jnp.asarray(x)
        if jnp.issubdtype(x.dtype, jnp.inexact):
            return wide(x)
        return x if x.dtype.itemsize >= 4 else x.astype(jnp.int32)

    return jax.tree.map(widened, metric)


def of_nothing(metric: Any) -> Any:
    """What a metric of no rows leaves as it is: sums of 0, the least of all numbers; of `Last` and others themselves.

    >>> of_nothing(Max(jnp.float32(3))).value().item()
    -inf
    """
    if adds_up(metric):
        return jax.tree.map(jnp.zeros_like, metric)
    if not isinstance(metric, Max):
        return metric
    number = jnp.asarray(metric.number)
    least = -jnp.inf if jnp.issubdtype(number.dtype, jnp.inexact) else jnp.iinfo(number.dtype).min
    return Max(jnp.full_like(number, least))


def by_kind(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metrics that add, and the others."""
    adding = {name: metric for name, metric in metrics.items() if adds_up(metric)}
    return adding, {name: metric for name, metric in metrics.items() if name not in adding}


def combine(older: Any, newer: Any) -> Any:
    """Two metrics of one kind as one."""
    return jax.tree.map(added, older, newer) if adds_up(older) else older.combine(newer)


def added(*sums: Any) -> Any:
    """The sum of sums, which are of one shape: of others, those of one class would count in all.

    >>> added(np.ones(1), np.ones(2))
    Traceback (most recent call last):
    ValueError: metrics: expected sums of one shape, found (1,) and (2,). Metrics of other numbers of classes, bins or
    outputs do not merge.
    """
    shapes = list(dict.fromkeys(map(np.shape, sums)))
    if len(shapes) > 1:
        raise ValueError(
            f"metrics: expected sums of one shape, found {' and '.join(map(str, shapes))}. Metrics of other numbers of "
            "classes, bins or outputs do not merge."
        )
    return sum(sums[1:], start=sums[0])


def fold(stacked: Any) -> Any:
    """One metric from those along a leading axis of its leaves, combined from the first to the last.

    >>> fold(Last(jnp.array([1.0, 2.0]))).value().item()
    2.0
    """
    check_metric("fold: the stack", stacked)
    count = jax.tree.leaves(stacked)[0].shape[0]
    return functools.reduce(combine, [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(count)])


def is_metric(x: Any) -> bool:
    """Whether this is one metric, which combines or does not, rather than a tree of them."""
    return hasattr(x, "value") or hasattr(x, "combine")


def check_metric(what: str, metric: Any) -> None:
    """Raises TypeError for what does not combine: a bare number, or what only whole arrays say.

    >>> check_metric("merge: metrics['auc']", 0.5)
    Traceback (most recent call last):
    TypeError: merge: metrics['auc'] is a float, which does not say how it combines over batches. Give
    jnn.metrics.mean(x, weight), or jnn.metrics.Last(x), Max(x) or Sum(x). What only whole arrays say (an AUC, a mAP)
    is asked once: gather the rows of all batches by jnn.metrics.concatenation(x, weight) first.
    """
    if callable(getattr(metric, "value", None)) and (adds_up(metric) or metric.combine is not None):
        return
    found = checks.describe(metric) if hasattr(metric, "dtype") else f"a {type(metric).__name__}"
    raise TypeError(
        f"{what} is {found}, which does not say how it combines over batches. Give jnn.metrics.mean(x, weight), or "
        "jnn.metrics.Last(x), Max(x) or Sum(x). What only whole arrays say (an AUC, a mAP) is asked once: gather the "
        "rows of all batches by jnn.metrics.concatenation(x, weight) first."
    )


def check_metrics(where: str, metrics: Any, taken: tuple[str, ...] = ()) -> None:
    """Raises unless metrics are a dict of metrics that combine, none of a name that is taken.

    >>> check_metrics("train step", {"loss": Last(1.0)}, taken=("loss",))
    Traceback (most recent call last):
    ValueError: train step: metrics['loss'] is the step's own; call yours by another name.
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(f"{where}: expected metrics as a dict by name, found {type(metrics).__name__}.")
    for name, metric in metrics.items():
        check_metric(f"{where}: metrics[{name!r}]", metric)
        if name in taken:
            raise ValueError(f"{where}: metrics[{name!r}] is the step's own; call yours by another name.")
