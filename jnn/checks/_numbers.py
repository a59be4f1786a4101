"""Numbers that say how: rates and temperatures, counts and sizes, and the parts of a batch.

number(layer, name, value, fits, expected)      a number that may be traced: a rate, a temperature
noise(layer, rate, key) -> key                  a key that is said, wherever there is a rate
count, size(where, name, value)                 an integer of 1 or more; one that may be symbolic, of an axis
divides(where, rows, devices=8)                 the parts of a batch divide its rows
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import EllipsisType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.checks._arrays import describe


def number(layer: str, name: str, value: Any, fits: Callable[[Any], Any], expected: str, *, like: jax.Array) -> Any:
    """A number once it is known to fit, of Python, which widens no dtype; a traced one like `like`, NaN if unfit."""
    if isinstance(value, jax.core.Tracer) and value.ndim == 0:
        value = value.astype(like.dtype)
        return jnp.where(fits(value), value, jnp.nan)
    if np.ndim(value) or isinstance(value, bool | str) or value is None:
        raise TypeError(f"{layer}: expected a number {name} {expected}, found {describe(value)}.")
    if not fits(float(value)):
        raise ValueError(f"{layer}: expected {name} {expected}, found {value}.")
    return float(value) if hasattr(value, "dtype") else value


def noise(layer: str, rate: Any, key: jax.Array | EllipsisType | None) -> jax.Array | None:
    """The key of a dropout by this rate, or None for no noise; raises ValueError for a rate whose key is not said."""
    if not isinstance(key, EllipsisType):
        return key
    if isinstance(rate, jax.core.Tracer) or rate != 0:
        raise ValueError(f"{layer}: a rate of dropout needs a key, or key=None for no noise; found rate={rate}.")
    return None


def count(where: str, name: str, value: Any, *, least: int = 1) -> None:
    """Raises ValueError unless a value is an integer of 1 or more, or of what is the least.

    >>> count("update", "microbatches", 2.0)
    Traceback (most recent call last):
    ValueError: update: expected microbatches of 1 or more, found 2.0, which is no integer.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(
            f"{where}: expected {name} of {least} or more, found {value!r}{'' if whole else ', which is no integer'}."
        )


def size(where: str, name: str, value: Any) -> None:
    """Raises ValueError unless a value is the size of an axis: an integer of 1 or more, or one that is symbolic.

    >>> size("attention_cache", "length", 8.0)
    Traceback (most recent call last):
    ValueError: attention_cache: expected length of 1 or more, found 8.0, which is no integer.
    """
    from jax import export

    if not export.is_symbolic_dim(value):
        count(where, name, value)


def divides(where: str, rows: int, *, of: str = "the batch", **parts: int) -> None:
    """Raises ValueError unless the parts of a batch divide its rows.

    >>> divides("train", 24, lanes=8, micro_batches=2)
    Traceback (most recent call last):
    ValueError: train: 8 lanes of 2 micro-batches each do not divide the 24 rows of the batch. Fill up with rows of
    weight 0, or change the batch or the number of lanes or micro-batches.
    """
    if rows % math.prod(parts.values()):
        counts = {name.replace("_", "-"): count for name, count in parts.items() if count > 1}
        each = " each" if len(counts) > 1 else ""
        raise ValueError(
            f"{where}: {' of '.join(f'{count} {name}' for name, count in counts.items())}{each} do not divide the "
            f"{rows} rows of {of}. Fill up with rows of weight 0, or change the batch or the number of "
            f"{' or '.join(counts)}."
        )
