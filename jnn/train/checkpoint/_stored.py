"""What is stored of an array: a name, plain words, and a shape that can be cut into pieces.

stored_name(path) -> name          one for each path
words(x) -> array                  typed PRNG keys and rare dtypes as unsigned integers
unwords(words, dtype) -> x         the same bits again
divisible(shape) -> shape          with axes that have many divisors
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any
from urllib.parse import quote

import jax
import jax.numpy as jnp

from jnn.param import is_key

CHUNK_BYTES = 2**20  # what of an array is compressed, and read, at once; in threads that keep what they freed
GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")  # of typed PRNG keys


def stored_name(path: str) -> str:
    """The name under which Orbax stores the array of a path: another path, another name.

    >>> stored_name("params/fc/w"), stored_name("params/fc.w")
    ('params.fc.w', 'params.fc%2Ew')
    """
    return quote(path, errors="surrogatepass").replace(".", "%2E").replace("/", ".")


def bits(x: jax.Array) -> jax.Array:
    """The bits of numbers as unsigned integers of their width; not of booleans, complex numbers and keys.

    >>> bits(jnp.ones(2, jnp.bfloat16))
    Array([16256, 16256], dtype=uint16)
    """
    return jax.lax.bitcast_convert_type(x, _unsigned(x.dtype))


def words(x: Any) -> jax.Array:
    """What is stored of an array: typed keys as their words, dtypes that are not NumPy's own as bytes, others as such.

    >>> words(jnp.ones(2, jnp.uint4)), words(jnp.ones(2, jnp.bfloat16)).dtype.name
    (Array([1, 1], dtype=uint8), 'bfloat16')
    """
    if is_key(x):
        return jax.random.key_data(x)
    return bits(x).astype(jnp.uint8) if _is_rare(x.dtype) else x


def unwords(stored: jax.Array, dtype: Any) -> jax.Array:
    """The array whose `words` these are.

    >>> unwords(words(jnp.ones(2, jnp.float8_e4m3)), jnp.float8_e4m3).dtype.name
    'float8_e4m3'
    """
    if str(dtype) in key_dtypes():
        return jax.random.wrap_key_data(stored, impl=key_dtypes()[str(dtype)][0])
    return jax.lax.bitcast_convert_type(stored.astype(_unsigned(dtype)), dtype) if _is_rare(dtype) else stored


def _is_rare(dtype: Any) -> bool:
    """Whether it is a float8, an int4 or the like: there is always one more of them than TensorStore knows."""
    return jnp.dtype(dtype).isbuiltin == 2 and dtype != jnp.bfloat16


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
