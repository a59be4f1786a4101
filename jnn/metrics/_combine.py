"""Metrics as one: added, folded, sorted by whether they add, and refused where they do not say how they combine.

    combine(a, b), fold(stacked)      two metrics, or those along a leading axis from the first to the last
    check_metric(what, metric)        refuses what does not say how it combines; check_metrics: a dict of them, by name

Law: `fold` of a stack is `combine` of its members in their order.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._kinds import Max
from jnn.precision import wide


def adds_up(metric: Any) -> bool:
    """Whether metrics of this kind combine by adding them, leaf by leaf."""
    return not hasattr(metric, "combine")


def to_add(metric: Any) -> Any:
    """A metric whose numbers can be added up: floats in float32 at least, integers and truths in int32 at least.

    >>> from jnn.metrics import Sum
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

    >>> from jnn.metrics import Last
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

    >>> from jnn.metrics import Last
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
