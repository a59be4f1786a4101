"""What every data function asks of what it is given: arrays, seeds, steps, sizes; one clear error each.

Law: nothing is converted, rounded or wrapped around on the way to a batch. 64-bit values that JAX would make something
else of, since it holds 32 bits unless `jax_enable_x64` is set, are refused by name and row.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = Mapping[str, np.ndarray]


def check_seed(where: str, seed: Any, *, bits: int | None = None) -> None:
    """Raises unless seed is an integer, 0 or more, and below 2**bits."""
    if not _is_integer(seed) or seed < 0 or (bits is not None and seed >= 2**bits):
        most = "0 or more" if bits is None else f"in 0..2**{bits} - 1"
        raise ValueError(f"{where}: expected a seed that is an integer {most}, found {seed!r}. Give seed=0, say.")


def check_step(where: str, step: Any, k: Any = 1) -> None:
    """Raises unless step counts from 0, and k, the steps of a stack, from 1."""
    if not _is_integer(step) or not _is_integer(k):
        raise TypeError(
            f"{where}: a batch is asked for by the number of its step, [0], and several by stack(0, k); "
            f"found step {step!r}, k {k!r}."
        )
    if step < 0 or k < 1:
        raise ValueError(f"{where}: a step counts from 0 and a stack from 1; found step {step}, k {k}.")


def check_count(where: str, what: str, value: Any) -> None:
    """Raises unless value is an integer, 1 or more."""
    if not _is_integer(value) or value < 1:
        raise ValueError(f"{where}: expected {what} to be an integer, 1 or more, found {value!r}.")


def check_batch_size(where: str, size: Any, rows: int | None, *, drop_last: bool = False, what: str = "rows") -> None:
    """Raises unless size is an integer that leaves a batch of this many rows; says it where no batch can be full.

    Warns:
      UserWarning: a batch that is larger than the data.
    """
    leaves = "" if rows is None else " and leave a batch"
    if not _is_integer(size) or size < 1 or (drop_last and rows is not None and size > rows):
        found = "" if rows is None else f" for {rows} {what}"
        give = f"an integer from 1 to {rows}" if drop_last else "an integer of 1 or more"
        raise ValueError(f"{where}: batch_size must be at least 1{leaves}; found {size!r}{found}. Give {give}.")
    if rows is not None and size > rows:
        warnings.warn(
            f"{where}: batch_size {size} is more than the {rows} {what} that there are: {size - rows} rows of every "
            f"batch fill it up, with weight 0. Give batch_size={rows} or less.",
            stacklevel=4,
        )


def _is_integer(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def check_array(where: str, name: str, array: Any) -> None:
    """Raises unless it is a NumPy or JAX array of numbers, one that indexing does not change the meaning of.

    Raises:
      TypeError: a list, a tensor of torch, a table of pandas, ...; the error says how to convert it.
      ValueError: an array of strings, objects, dates or records.
    """
    if not isinstance(array, np.ndarray | jax.Array) or isinstance(array, np.ma.MaskedArray | np.matrix):
        kind = f"{type(array).__module__}.{type(array).__qualname__}".removeprefix("builtins.")
        raise TypeError(
            f"{where}: expected {name!r} to be an array of NumPy or JAX, found {kind}. Convert it: np.asarray({name})."
        )
    check_numeric(where, name, array.dtype)


def check_numeric(where: str, name: str, dtype: Any) -> None:
    """Raises unless arrays of this dtype hold numbers."""
    if not is_numeric(dtype):
        hints = {"O": "Pad rows of unequal lengths: jnn.data.pad", "U": "Encode text: Words or Characters"}
        hint = hints.get(getattr(dtype, "kind", ""), "Encode it first")
        raise ValueError(f"{where}: {name!r} must be numeric, found {dtype}. {hint}.")


def is_numeric(dtype: Any) -> bool:
    """Whether these are numbers or booleans, bfloat16 and its like included."""
    number = jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_)
    return bool(number) and getattr(dtype, "kind", "") != "m"


def check_arrays(where: str, arrays: Arrays, classes: int | None = None) -> int:
    """The common length of arrays that can be batched.

    Raises:
      TypeError: no dict of NumPy arrays.
      ValueError: see `Batches`; it names the array and the first bad row.

    >>> check_arrays("Batches", {"x": [1, 2]})
    Traceback (most recent call last):
    TypeError: Batches: expected 'x' to be an array of NumPy or JAX, found list. Convert it: np.asarray(x).
    """
    if not isinstance(arrays, Mapping):
        raise TypeError(
            f"{where}: expected a dict of arrays, such as {{'x': x, 'y': y}}, found {type(arrays).__name__}."
        )
    for name, array in arrays.items():
        check_array(where, name, array)
    lengths = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ValueError(
            f"{where}: expected arrays with one common length of at least 1, found {lengths}. Give each the same rows."
        )
    for name, array in arrays.items():
        if jnp.issubdtype(array.dtype, jnp.inexact):
            finite = np.isfinite(array).reshape(len(array), -1).all(1)
            if not finite.all():
                raise ValueError(
                    f"{where}: {name!r} holds NaN or infinity, first in row {int(np.argmin(finite))}. "
                    "Leave such rows out, or put a number there."
                )
    if classes is not None:
        _check_labels(where, arrays, classes)
    return next(len(array) for array in arrays.values())


def _check_labels(where: str, arrays: Arrays, classes: int) -> None:
    check_count(where, "classes", classes)
    if "y" not in arrays or arrays["y"].dtype.kind not in "iu":
        found = arrays["y"].dtype if "y" in arrays else f"only {sorted(arrays)}"
        raise ValueError(
            f"{where}: classes={classes} expects integer labels in 'y', found {found}. Give them, or classes=None."
        )
    labels = arrays["y"].reshape(len(arrays["y"]), -1)
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(np.argmax(outside.any(1)))
        label = int(labels[row][outside[row]][0])
        raise ValueError(
            f"{where}: 'y' must lie in 0..{classes - 1} ({classes} classes), found {label}, first in row {row}. "
            f"{f'Give classes={label + 1} or more' if label > 0 else 'Number classes from 0'}, if it is a class."
        )
