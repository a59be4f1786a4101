"""What all metrics stand on: a weighted mean as two sums, exact merging, division that says NaN, and what counts."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.metrics._combine import added, adds_up, check_metric, combine, is_metric
from jnn.metrics._kinds import Concatenation
from jnn.precision import clipped_integers, wide, wide_dtype

ROUNDING = 1e-3  # of probabilities in few bits


class Mean(NamedTuple):
    """Weighted mean: the sum of values and the sum of weights.

    >>> float(Mean(6.0, 4.0).value())
    1.5
    """

    total: Any
    weight: Any

    def value(self) -> Any:
        """total / weight, NaN where the weight is 0."""
        return ratio(self.total, self.weight)

    def __float__(self) -> float:
        return float(self.value())


def mean(values: jax.Array, weight: jax.Array | None = None) -> Mean:
    """Weighted mean of anything that has one value per example.

    Args:
      values: any shape.
      weight: of the same shape, or of its leading axes; None means 1 each.

    Raises:
      ValueError: values are empty, or weight is not of their leading axes.

    >>> float(mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1, 1, 0])).value())
    2.0
    """
    if weight is None:  # counted, not added up: a float32 sum of ones ends at 2**24
        checks.rank("mean", values, 0)
        return Mean(jnp.sum(wide(values)), jnp.asarray(values.size, wide(values).dtype))
    weight = spread("mean", weight, values)
    return Mean(total(values, weight), jnp.sum(weight))


def merge(*metrics: Any) -> Any:
    """Merged metrics: combines trees of them on the host; sums are added in float64, exact for counts to 2**53.

    Raises:
      TypeError: one of them does not combine: a bare number, or what only whole arrays say.

    >>> float(merge(Mean(1.0, 2.0), Mean(5.0, 2.0)).value())
    1.5
    """
    add = lambda *leaves: added(*(np.asarray(leaf, np.float64) for leaf in leaves))

    def of_one(path: Any, *parts: Any) -> Any:
        check_metric(f"merge: metrics{jax.tree_util.keystr(path)}", parts[0])
        if adds_up(parts[0]):
            return jax.tree.map(add, *parts)
        parts = jax.tree.map(np.asarray, parts)
        if isinstance(parts[0], Concatenation):  # at once: one by one each would be copied once for every later one
            return Concatenation(*map(np.concatenate, zip(*parts, strict=True)))
        return functools.reduce(combine, parts)

    return jax.tree_util.tree_map_with_path(of_one, *metrics, is_leaf=is_metric)


def ratio(total: Any, weight: Any, *, empty: float = np.nan) -> Any:
    """total / weight, and `empty` where the weight is 0: in NumPy on the host, in JAX on a device or in a trace.

    >>> float(ratio(1.0, 0.0, empty=0.0))
    0.0
    """
    if not (isinstance(total, jax.Array) or isinstance(weight, jax.Array)):
        nothing = np.asarray(weight) == 0
        return np.where(nothing, empty, total / np.where(nothing, 1.0, weight))
    nothing = jnp.asarray(weight) == 0
    some = jnp.where(nothing, 1.0, weight)
    # XLA would multiply by the inverse of one weight of many numbers: a number over itself were not 1
    each = jax.lax.optimization_barrier(jnp.broadcast_to(some, jnp.broadcast_shapes(jnp.shape(total), some.shape)))
    return jnp.where(nothing, empty, total / each)


def floored(x: Any) -> Any:
    """x, and 0 where rounding has made it negative; NaN stays, which a product with `x > 0` may lose under XLA.

    >>> floored(np.array([-1e-9, 2.0, np.nan])).tolist()
    [0.0, 2.0, nan]
    """
    return (x + abs(x)) / 2


def entropy(p: Any) -> Any:
    """-sum p log p over the last axis."""
    xp: Any = jnp if isinstance(p, jax.Array) else np
    return 0.0 - (p * xp.log(xp.where(p == 0, 1.0, p))).sum(-1)


def spread(name: str, weight: jax.Array | None, values: jax.Array) -> jax.Array:
    """The weight of each value, from weights of the leading axes."""
    checks.rank(name, values, 0)
    if weight is None:
        return jnp.ones(values.shape, _of_sums(values))
    if weight.shape != values.shape[: weight.ndim]:
        raise ValueError(
            f"{name}: expected weights of the leading axes of {checks.describe(values)}, "
            f"found {checks.describe(weight)}."
        )
    weight = weight.astype(jnp.promote_types(_of_sums(values), _of_sums(weight)))
    return jnp.broadcast_to(weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim)), values.shape)


def _of_sums(x: jax.Array) -> Any:
    """The dtype to add x up in: float32 at least, float64 for float64."""
    return wide_dtype(x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.float32)


def total(values: jax.Array, weight: jax.Array, axis: int | tuple[int, ...] | None = None) -> jax.Array:
    """The weighted sum. Where, not only times: padding may hold anything, and 0 * inf is nan.

    A weight of NaN, which stands for an example that cannot be counted, gives NaN even for a value of 0:
    XLA may turn a product with a bool into a choice, and lose it.
    """
    terms = jnp.where(weight == 0, 0.0, wide(values) * weight)
    return jnp.sum(jnp.where(jnp.isnan(weight), weight, terms), axis=axis)


def classified(
    name: str, logits: jax.Array, labels: jax.Array, weight: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Checked labels that index safely, as int32, and the weight of each.

    The weight is NaN where an example that counts has NaN among its logits, or a label out of range.
    """
    checks.floats(name, logits)
    checks.integers(name, labels, name="labels")
    classes = logits.shape[-1]
    if labels.shape != logits.shape[:-1]:
        advice = " Of one-hot labels take labels.argmax(-1)." if labels.shape == logits.shape else ""
        raise ValueError(
            f"{name}: expected labels {logits.shape[:-1]} for logits {checks.describe(logits)}, "
            f"found {checks.describe(labels)}.{advice}"
        )
    weight = spread(name, weight, labels)
    labels = jnp.where(weight == 0, 0, clipped_integers(labels))
    checks.in_range(name, labels, classes)
    known = (labels >= 0) & (labels < classes)
    broken = (weight != 0) & (~known | jnp.any(jnp.isnan(logits), axis=-1))
    return jnp.where(known, labels, 0), jnp.where(broken, jnp.nan, weight)


def yes_or_no(name: str, scores: jax.Array, labels: jax.Array, weight: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Checked labels 0 and 1 of any dtype, as bools, and the weight of each.

    The weight is NaN where an element that counts has a NaN score, or a label that is neither.
    """
    checks.floats(name, scores, ndim=0)
    checks.same_shape(name, scores=scores, labels=labels)
    weight = spread(name, weight, labels)
    labels = jnp.where(weight == 0, 0, labels)
    known = (labels == 0) | (labels == 1)
    if not isinstance(labels, jax.core.Tracer) and not bool(jnp.all(known)):
        raise ValueError(f"{name}: expected labels 0 and 1, found values from {jnp.min(labels)} to {jnp.max(labels)}.")
    broken = (weight != 0) & (~known | jnp.isnan(scores))
    return labels == 1, jnp.where(broken, jnp.nan, weight)


def in_unit_interval(name: str, scores: jax.Array, weight: jax.Array, *, squash: str) -> jax.Array:
    """The weight of each, NaN where one that counts has a score beyond [0, 1].

    Raises:
      ValueError: such scores are known: logits, most likely, which are to be squashed by this function.
    """
    scores = scores.reshape(*weight.shape, -1)
    counts = (weight != 0) & ~jnp.isnan(weight)
    advice = f" Of logits give jax.nn.{squash}(logits)."
    seen = jnp.where(counts[..., None], scores, 0)
    checks.in_unit_interval(name, "probabilities", seen, tolerance=ROUNDING, advice=advice)
    return jnp.where(jnp.any((seen < -ROUNDING) | (seen > 1 + ROUNDING), axis=-1), jnp.nan, weight)
