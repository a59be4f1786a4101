"""Precision: sums are computed in float32 at least, products in the dtype that a step computes in.

    wide(x), wide_dtype(x)          statistics, softmax, losses and metrics: float32, or wider where x is
    wide_integers(x)                numbers of classes, rows and lengths: 32 bits, or wider where x is
    clipped_integers(x)             in int32, where what is beyond it stays out of every range
    computing(dtype), narrow(x)     what a step traces its loss in; what a layer multiplies with its weights

A parameter that many rows use has a gradient that sums over them, in the dtype in which it met them; in 16 bits that
sum stalls: 256 + 1 is 256 in bfloat16. (Products are not concerned: XLA sums them in float32.) So parameters meet rows
in float32, and what comes of it is rounded once:

    add_bias(x, b) -> x + b         b's axes are the last of x's
    take(table, rows) -> rows       of a table, each by its number
    over_steps(p)() -> p            in each step of a loop

Laws: in float32 and wider they are the plain formula; in 16 bits they have its value, and its gradient's in float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

# a part of the key of every `jit`, so that what was traced in one dtype is never used for another
_in_force = jax.make_user_context(default_value=None)


@contextlib.contextmanager
def computing(dtype: DTypeLike | None) -> Iterator[None]:
    """Compute dtype: has layers multiply in it, whatever the loss made of its input; None leaves that to the input.

    A step that is given a `compute_dtype` traces its loss within. `computing(None)` around a layer takes it out again.

    >>> with computing(jnp.bfloat16):
    ...     narrow(jnp.ones(2)).dtype
    dtype(bfloat16)
    """
    with _in_force(None if dtype is None else jnp.dtype(dtype)):
        yield


def narrow(x: jax.Array) -> jax.Array:
    """x in the dtype in force, where that is a narrower float than x's: as it is otherwise."""
    dtype = _in_force.value
    if dtype is None or not jnp.issubdtype(x.dtype, jnp.floating) or jnp.finfo(dtype).bits >= jnp.finfo(x.dtype).bits:
        return x
    return x.astype(dtype)


def wide(x: jax.Array) -> jax.Array:
    """x in float32, or as it is where that would lose digits.

    >>> wide(jnp.ones(2, jnp.bfloat16)).dtype
    dtype('float32')
    """
    return x.astype(wide_dtype(x))


def wide_dtype(x: Any) -> jnp.dtype:
    """The dtype of `wide(x)`, of an array, a number or a dtype.

    >>> wide_dtype(jnp.bfloat16), wide_dtype(jnp.complex64)
    (dtype('float32'), dtype('complex64'))
    """
    return jnp.promote_types(getattr(x, "dtype", x), jnp.float32)


def wide_integers(x: Any) -> Any:
    """Integers in 32 bits at least, with a sign: in others, bounds and differences wrap around in silence.

    >>> wide_integers(jnp.ones(2, jnp.uint8)).dtype, wide_integers(np.array([2**32 + 1], np.uint64)).tolist()
    (dtype('int32'), [4294967297])
    """
    if jnp.issubdtype(x.dtype, jnp.signedinteger) and x.dtype.itemsize >= 4:
        return x
    wider = np.int64 if x.dtype.itemsize >= 4 else np.int32
    # NumPy's keep all digits, so that what is out of range is seen to be; JAX's have the bits that it is set to
    return x.astype(wider if isinstance(x, np.ndarray | np.generic) else jax.dtypes.canonicalize_dtype(wider))


def clipped_integers(x: Any) -> jax.Array:
    """Integers as int32; what that does not hold is its nearest bound, so that it stays out of every range.

    >>> clipped_integers(np.array([3, 2**32])).tolist()
    [3, 2147483647]
    """
    least, most = (-(2**31), 2**31 - 1)
    if x.dtype.itemsize >= 4 and x.dtype != np.int32:
        on = np if isinstance(x, np.ndarray | np.generic) else jnp
        x = on.clip(x, 0 if x.dtype.kind == "u" else least, most)
    return jnp.asarray(x.astype(np.int32))


def over_last_axes(v: jax.Array, h: jax.Array) -> jax.Array:
    """v in h's dtype and rank, its axes the last of h's.

    >>> over_last_axes(jnp.ones(3), jnp.ones((5, 4, 3))).shape
    (1, 1, 3)
    """
    return v.astype(h.dtype).reshape((1,) * (h.ndim - v.ndim) + v.shape)


def add_bias(x: jax.Array, b: jax.Array) -> jax.Array:
    """x (..., *s) plus b (*s), in x's dtype; b's gradient is summed over the leading axes in float32 at least.

    >>> grad = jax.grad(lambda b: add_bias(jnp.zeros(1024, jnp.bfloat16), b).sum().astype(jnp.float32))
    >>> grad(jnp.zeros((), jnp.bfloat16)).item()
    1024.0
    """
    h = wide(x)
    return (h + over_last_axes(b, h)).astype(x.dtype)


def take(table: jax.Array, rows: jax.Array, *, known: bool = False) -> jax.Array:
    """`table[rows]`; the table's gradient adds up in float32 at least.

    Args:
      table: (n, ...), floating point.
      rows: (...), integers.
      known: whether all rows are known to be in 0..n-1; otherwise those out of range are NaN.

    >>> grad = jax.grad(lambda t: take(t, jnp.zeros(1024, int)).sum(dtype=jnp.float32))
    >>> grad(jnp.zeros(3, jnp.bfloat16)).tolist()
    [1024.0, 0.0, 0.0]
    """
    return (_take_narrow if _is_narrow(table) else _take)(table, rows, known)


def over_steps(p: Any) -> Callable[[], Any]:
    """Parameters for a loop: its body asks for them, and their gradient adds up over the steps in float32 at least.

    Args:
      p: arrays in any tree.

    Returns:
      A function, to be called within the loop, that gives p.

    >>> def loss(w, x):
    ...     now = over_steps(w)
    ...     return jax.lax.scan(lambda total, x: (total + (now() * x).astype(jnp.float32), None), 0.0, x)[0]
    >>> jax.grad(loss)(jnp.ones((), jnp.bfloat16), jnp.ones(1024, jnp.bfloat16)).item()
    1024.0
    """
    # each narrow leaf has a twin in float32 outside the loop, of which nothing but the gradient is ever computed
    twins = jax.tree.map(lambda leaf: wide(leaf) if _is_narrow(leaf) else leaf, p)
    alone = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if _is_narrow(leaf) else leaf, p)
    return lambda: jax.tree.map(lambda twin, leaf: _of_twin(twin, leaf) if _is_narrow(leaf) else leaf, twins, alone)


@jax.custom_jvp
def _of_twin(twin: jax.Array, leaf: jax.Array) -> jax.Array:
    return leaf


@_of_twin.defjvp
def _of_twin_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    return _of_twin(*primals), tangents[0].astype(primals[1].dtype)


def _is_narrow(x: Any) -> bool:
    """Whether x is of floating point with fewer digits than float32."""
    dtype = jax.dtypes.result_type(x)
    return jnp.issubdtype(dtype, jnp.floating) and wide_dtype(dtype) != dtype


def _take(table: jax.Array, rows: jax.Array, known: bool, fill: float = jnp.nan) -> jax.Array:
    if known:
        return table[rows]
    return table.at[rows].get(mode="fill", fill_value=fill, wrap_negative_indices=False)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _take_narrow(table: jax.Array, rows: jax.Array, known: bool) -> jax.Array:
    """Reads the table as it is; the derivative reads, and so its transpose adds up, in float32."""
    return _take(table, rows, known)


@_take_narrow.defjvp
def _take_narrow_jvp(known: bool, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (table, rows), (change, _) = primals, tangents
    return _take_narrow(table, rows, known), _take(wide(change), rows, known, 0.0).astype(table.dtype)
