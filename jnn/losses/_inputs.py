"""What losses ask of their input. Values that do not fit are an error where they are known, and NaN under `jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.precision import wide, wide_dtype

ROUNDING = 1e-6  # what float32 sums of probabilities miss 1 by; twice the last place of a dtype of 16 bits


def beside(predictions: jax.Array, x: jax.Array) -> jax.Array:
    """x in float32 at least, and in float64 where predictions are, so that integers keep their digits."""
    return x.astype(jnp.promote_types(wide_dtype(predictions), wide_dtype(x)))


def alike(name: str, **arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Arrays of one shape, each in float32 at least."""
    for x in arrays.values():
        checks.floats(name, x, ndim=0)
    checks.same_shape(name, **arrays)
    return tuple(wide(x) for x in arrays.values())


def fitting(
    name: str, what: str, x: jax.Array, fits: Callable[[Any], Any], expected: str, *, like: jax.Array
) -> jax.Array:
    """x in the dtype of sums of `like`, NaN where it does not fit; an error where its values are known."""
    if not isinstance(x, jax.core.Tracer):
        values = np.asarray(x)
        if not np.all(fits(values)):
            raise ValueError(f"{name}: expected {what} {expected}, found values from {values.min()} to {values.max()}.")
    x = beside(like, x)
    return jnp.where(fits(x), x, jnp.nan)


def unit_interval(name: str, what: str, x: jax.Array) -> jax.Array:
    """x in [0, 1], in float32 at least: rounding outside it counts as its end, and what is further out is NaN."""
    narrow = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize == 2
    rounding = 2 * float(jnp.finfo(x.dtype).eps) if narrow else ROUNDING
    checks.in_unit_interval(name, what, x, tolerance=rounding)
    x = wide(x)
    inside = jnp.where(x < 0, 0, jnp.where(x > 1, 1, x))
    return jnp.where((x >= -rounding) & (x <= 1 + rounding), inside, jnp.nan)


def soft_targets(name: str, predictions: jax.Array, targets: jax.Array) -> jax.Array:
    """Targets in [0, 1], of the shape of predictions, in float32 at least."""
    checks.same_shape(name, predictions=predictions, targets=targets)
    return unit_interval(name, "targets", targets)


def asked(weight: jax.Array, x: jax.Array) -> jax.Array:
    """x where it has a weight, and 0 where that is 0: there x may be infinite, of which 0 times is NaN."""
    return jnp.where(weight == 0, 0.0, x)


def growing(name: str, what: str, x: jax.Array) -> None:
    """Raises if values are known not to be strictly increasing."""
    if not isinstance(x, jax.core.Tracer) and not (np.diff(np.asarray(x)) > 0).all():
        raise ValueError(f"{name}: expected {what} that increase, found {x}. Sort or add them up.")


def yes_no(name: str, scores: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scores, and targets of 0 and 1 in any dtype as signs, -1 and 1."""
    scores, _ = checks.pair(name, scores, targets)
    known = fitting(name, "targets", targets, lambda t: (t == 0) | (t == 1), "of 0 and 1", like=scores)
    return scores, 2 * known - 1


def one_of(name: str, scores: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scores in float32 at least, and which of them (..., classes) each label means: none, if it is out of range."""
    scored(name, scores, labels)
    checks.in_range(name, labels, scores.shape[-1])
    classes = jax.lax.broadcasted_iota(jnp.int32, scores.shape, labels.ndim)
    return wide(scores), classes == labels[..., None].astype(jnp.int32)


def scored(name: str, scores: jax.Array, labels: jax.Array) -> None:
    """Raises unless labels are integers, one for each of scores' leading axes."""
    checks.floats(name, scores)
    checks.integers(name, labels, name="labels")
    if labels.shape != scores.shape[:-1]:
        raise ValueError(
            f"{name}: expected labels {scores.shape[:-1]} for {checks.describe(scores)}, "
            f"found {checks.describe(labels)}."
        )


def masked(name: str, mask: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
    """The mask as bools of this shape; all true where there is none."""
    if mask is None:
        return jnp.ones(shape, bool)
    checks.array(name, mask, "mask")
    if mask.shape != shape:
        raise ValueError(f"{name}: expected a mask {shape}, found {checks.describe(mask)}.")
    return jnp.asarray(mask) != 0


def pixels(name: str, mask: jax.Array | None, of: jax.Array, spatial: int) -> jax.Array:
    """The mask of pixels `of`, an array (..., *spatial)."""
    if of.ndim < spatial:
        raise ValueError(f"{name}: expected {spatial} spatial axes, found pixels {checks.describe(of)}.")
    return masked(name, mask, of.shape)


def positive(name: str, what: str, value: jax.Array | float, like: jax.Array) -> jax.Array | float:
    """A number above 0, such as a temperature; NaN where a traced one is not."""
    number: jax.Array | float = checks.number(name, what, value, lambda t: t > 0, "> 0", like=like)
    return number
