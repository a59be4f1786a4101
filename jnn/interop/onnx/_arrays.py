"""Arrays of a graph: those that are known when it is traced are NumPy's and stay so; others are JAX's.

What a graph computes of shapes, by Shape, Gather, Concat and the like, is then known when the function is traced, as
the shapes are, and Reshape can use it.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

Array = Any  # of NumPy where it is known, of JAX where not
DTYPES = {  # ONNX's numbers for them
    **dict(enumerate(("float32", "uint8", "int8", "uint16", "int16", "int32", "int64"), 1)),
    **dict(enumerate(("bool", "float16", "float64", "uint32", "uint64"), 9)),
    16: "bfloat16",
}


def dtype_of(number: int) -> Any:
    """The dtype that ONNX numbers so.

    Raises:
      ValueError: there is none here, such as strings.
    """
    if number not in DTYPES:
        raise ValueError(f"ONNX's type of elements {number} is not known; there are {DTYPES}.")
    return jnp.dtype(DTYPES[number])


def is_known(*xs: Array | None) -> bool:
    """Whether all of them are known when the function is traced."""
    return all(x is None or isinstance(x, np.ndarray | np.generic) for x in xs)


def library(*xs: Array | None) -> Any:
    """NumPy for arrays that are known, `jax.numpy` for others: their functions have the same names."""
    return np if is_known(*xs) else jnp


def known(operator: str, what: str, x: Array) -> np.ndarray:
    """The array, which must be known.

    Raises:
      ValueError: it depends on values that are not.
    """
    if not is_known(x):
        raise ValueError(
            f"{operator}: {what} must be known when the function is traced, found {x}. Where it comes from an input, "
            "give this one as an array of NumPy, outside of jit's arguments: partial(function, sr=np.array(16000))."
        )
    return np.asarray(x)


def integers(operator: str, what: str, x: Array) -> list[int]:
    """The same, as Python's integers."""
    return [int(i) for i in known(operator, what, x).reshape(-1)]


def as_list(operator: str, axes: Array | list[int]) -> list[int]:
    """Axes, or sizes, that are an attribute in older operator sets and an input in newer ones."""
    return list(axes) if isinstance(axes, list) else integers(operator, "the axes", axes)


def together(*xs: Array) -> list[Array]:
    """Arrays of one rank, so that they broadcast; and of one dtype: constants take that of what is computed."""
    xs = of_rank(max(np.ndim(x) for x in xs), *xs)
    computed = [x for x in xs if not is_known(x)]
    return [like(x, computed[0]) if computed and is_known(x) else x for x in xs]


def of_rank(rank: int, *xs: Array) -> tuple[Array, ...]:
    """Arrays with more axes in front, of size 1, until they have so many."""
    return tuple(x.reshape((1,) * (rank - x.ndim) + x.shape) for x in xs)


def of_channels(a: Array, x: Array) -> Array:
    """One number for each channel of x, which is its second axis."""
    return a.reshape((1, -1) + (1,) * (x.ndim - 2))


def like(x: Array, other: Array) -> Array:
    """x in the dtype of the other, if both are floating point: in a graph they have one dtype, which a cast of the
    parameters has changed."""
    floating = jnp.issubdtype(x.dtype, jnp.floating) and jnp.issubdtype(other.dtype, jnp.floating)
    return x.astype(other.dtype) if floating else x


def axis_of(axis: int, x: Array) -> int:
    """An axis that may be counted from the end."""
    return axis % max(x.ndim, 1)
