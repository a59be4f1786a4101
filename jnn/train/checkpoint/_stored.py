"""What is stored of a tree: arrays by path, and of each a name, plain words, and a shape that can be cut into pieces.

by_path(where, tree) -> arrays     or an error for what is none
check_storable(where, arrays)      whether they can be stored as they are
stored_name(path) -> name          one for each path
words(x) -> array                  of JAX or NumPy: typed PRNG keys and rare dtypes as unsigned integers
unwords(words, dtype) -> x         the same bits again
divisible(shape) -> shape          with axes that have many divisors
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jax
import jax.numpy as jnp
import numpy as np

from jnn.param import is_key

CHUNK_BYTES = 2**20  # what of an array is compressed, and read, at once; in threads that keep what they freed
GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")  # of typed PRNG keys


def by_path(where: str, tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path.

    Raises:
      ValueError: two leaves share a path, as those of {"a/b": x, "a": {"b": x}} do.
      TypeError: leaves that are no arrays of numbers or typed keys.

    >>> by_path("example", {"fc": {"w": jnp.ones(2)}})
    {'fc/w': Array([1., 1.], dtype=float32)}
    """
    pairs = [(jax.tree_util.keystr(p, simple=True, separator="/"), x) for p, x in jax.tree.leaves_with_path(tree)]
    flat = dict(pairs)
    if len(flat) < len(pairs):
        twice = sorted({path for path, _ in pairs if [p for p, _ in pairs].count(path) > 1})
        raise ValueError(f"{where}: expected one leaf for each path, found several for {twice}. Rename their keys.")
    if strange := [f"{path} ({found})" for path, x in pairs if (found := _no_array(x)) is not None]:
        raise TypeError(
            f"{where}: expected arrays of JAX's dtypes, found {', '.join(strange)}. Convert numbers, jnp.asarray(x); "
            "what is none belongs in the records, or in a static field."
        )
    return flat


def _no_array(x: Any) -> str | None:
    """What this is, if it is nothing that JAX could hold as an array."""
    kinds = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)
    if not isinstance(x, kinds) or isinstance(x, np.ma.MaskedArray):
        return type(x).__name__
    return None if str(x.dtype) in key_dtypes() or _is_numeric(x.dtype) else str(x.dtype)


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether JAX has numbers of this NumPy dtype: not of another byte order, nor long doubles."""
    is_number = any(jnp.issubdtype(dtype, kind) for kind in (np.number, np.bool_))
    return is_number and dtype.isnative and dtype.type not in (np.longdouble, np.clongdouble)


def check_storable(where: str, arrays: Mapping[str, Any]) -> None:
    """Raises unless the arrays can be stored as they are.

    Raises:
      TypeError: arrays that hold nothing, or of which JAX would change a dtype.
    """
    if absent := [path for path, x in arrays.items() if isinstance(x, jax.ShapeDtypeStruct) or _is_deleted(x)]:
        raise TypeError(
            f"{where}: expected arrays with values, found none at {', '.join(absent)}: a step donates the state that "
            "it is given. Save the state that it returned."
        )
    if cut := [f"{path} ({x.dtype})" for path, x in arrays.items() if is_cut(x)]:
        raise TypeError(f"{where}: 64-bit arrays need jax.config.update('jax_enable_x64', True): {', '.join(cut)}.")


def is_cut(x: Any) -> bool:
    """Whether JAX would shorten an array: it has 64 bits, and JAX is not set to them."""
    return not is_key(x) and jax.dtypes.canonicalize_dtype(x.dtype) != x.dtype


def _is_deleted(x: Any) -> bool:
    return isinstance(x, jax.Array) and x.is_deleted()


def stored_name(path: str) -> str:
    """The name under which Orbax stores the array of a path: another path, another name.

    >>> stored_name("params/fc/w"), stored_name("params/fc.w")
    ('params.fc.w', 'params.fc%2Ew')
    """
    return quote(path, errors="surrogatepass").replace(".", "%2E").replace("/", ".")


def bits(x: Any) -> Any:
    """The bits of numbers as unsigned integers of their width; not of booleans, complex numbers and keys.

    >>> bits(jnp.ones(2, jnp.bfloat16))
    Array([16256, 16256], dtype=uint16)
    """
    return x.view(_unsigned(x.dtype))


def words(x: Any) -> Any:
    """An array in a dtype of NumPy's own: typed keys as their words, bfloat16, int4 and the like as bits.

    >>> words(jnp.ones(2, jnp.uint4)), words(np.ones(2, jnp.bfloat16))
    (Array([1, 1], dtype=uint8), array([16256, 16256], dtype=uint16))
    """
    if is_key(x):
        return jax.random.key_data(x)
    return bits(x).astype(f"uint{8 * x.dtype.itemsize}") if x.dtype.isbuiltin == 2 else x


def as_stored(x: Any) -> Any:
    """What TensorStore is given of an array: words, but for bfloat16, which it knows; float8s are ever more."""
    return x if x.dtype == jnp.bfloat16 else words(x)


def unwords(stored: Any, dtype: Any) -> Any:
    """The array whose words these are, by its dtype or by what a manifest calls that.

    >>> unwords(words(jnp.ones(2, jnp.float8_e4m3)), jnp.float8_e4m3).dtype.name
    'float8_e4m3'
    >>> unwords(words(jax.random.key(3)), "key<fry>") == jax.random.key(3)
    Array(True, dtype=bool)
    """
    if str(dtype) in key_dtypes():
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=key_dtypes()[str(dtype)][0])
    return stored if stored.dtype == dtype else stored.astype(_unsigned(jnp.dtype(dtype))).view(jnp.dtype(dtype))


def _unsigned(dtype: Any) -> Any:
    info = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else jnp.finfo(dtype)
    return jnp.dtype(f"uint{info.bits}")


@functools.cache
def key_dtypes() -> dict[str, tuple[str, Any]]:
    """The generator and the dtype of typed keys, by what a manifest calls the dtype.

    >>> key_dtypes()["key<fry>"]
    ('threefry2x32', key<fry>)
    """
    dtypes = {name: jax.eval_shape(functools.partial(jax.random.key, 0, impl=name)).dtype for name in GENERATORS}
    return {str(dtype): (name, dtype) for name, dtype in dtypes.items()}


def is_divisible(shape: tuple[int, ...]) -> bool:
    """Whether every axis can be cut nearly anywhere: none of its divisors is more than 64 times the one before.

    Orbax cuts an array into chunks by the divisors of its axes: one of prime length would fall into single elements.

    >>> is_divisible((38400, 768)), is_divisible((50261, 768))
    (True, False)
    """
    return all(_gap(size) <= 64 for size in shape)


def divisible(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with every axis rounded up, by less than 1/32, to at most 64 times a power of two.

    >>> divisible((50261, 768, 3))
    (51200, 768, 3)
    """
    unit = lambda size: 1 << max(0, size.bit_length() - 6)
    return tuple(-(-size // unit(size)) * unit(size) for size in shape)


@functools.cache
def _gap(size: int) -> float:
    """The largest ratio of two neighbouring divisors."""
    small = [divisor for divisor in range(1, math.isqrt(size) + 1) if size % divisor == 0]
    divisors = small + [size // divisor for divisor in reversed(small)]
    return max((b / a for a, b in itertools.pairwise(divisors)), default=1.0)
