"""What is stored of an array: a name, plain words, and a shape that can be cut into pieces.

stored_name(path) -> name          `check_names(paths)`: whether each has one of its own
words(x) -> array                  typed PRNG keys as their integers; `key_dtypes()` leads back
divisible(shape) -> shape          with axes that have many divisors
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

CHUNK_BYTES = 2**20  # what of an array is compressed, and read, at once; in threads that keep what they freed
GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")  # of typed PRNG keys


def stored_name(path: str) -> str:
    """The name under which Orbax stores the array of a path.

    >>> stored_name("params/fc/w")
    'params.fc.w'
    """
    return path.replace("/", ".")


def check_names(where: str, paths: Iterable[str]) -> None:
    """Raises unless every path has a name of its own.

    Raises:
      ValueError: names the paths that do not, such as "a/b" and "a.b".
    """
    first: dict[str, str] = {}
    for path in paths:
        if (other := first.setdefault(stored_name(path), path)) != path:
            raise ValueError(
                f"{where}: expected paths that differ in more than / and dots, found {other!r} and {path!r}, which "
                "would be stored in one place. Rename a key."
            )


def is_key(x: Any) -> bool:
    """Whether this is an array of typed PRNG keys, or describes one."""
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def words(x: jax.Array) -> jax.Array:
    """What is stored of an array: typed keys as their words."""
    return jax.random.key_data(x) if is_key(x) else x


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
