"""Checksums of arrays, computed where the arrays are: the same on one device and on any mesh.

    checksum(x) -> (uint32, uint32)          two lanes, under jit
    checksums(tree) -> {path: "8 + 8 hex"}   of every leaf

Each element's bits, as two 32-bit words, go through a bijection that depends on the element's place in the global
array; a lane is the sum of one of the mixed words over all elements, modulo 2**32. Laws:

- *Any mesh, one value.* Integer addition modulo 2**32 has no rounding and no order, and the place is the global one.
- *One changed element is always seen.* Its pair of words changes, so its mixed pair does (a bijection), so at least
  one of the two sums changes by something that is not 0 modulo 2**32.
- Several changed or exchanged elements go unseen with probability 2**-64, as if both lanes were drawn at random.
  Places are counted modulo 2**32, so this does not hold for exchanging two elements exactly that far apart.

Two 32-bit lanes, since a device has no 64-bit integers unless `jax_enable_x64` is set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jnn.param import flatten, is_key
from jnn.train.checkpoint._stored import bits

PLACE = 0x9E3779B9  # the golden ratio: so that the place 0 is not mixed to 0


@jax.jit
def checksum(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two lanes of an array's checksum.

    Args:
      x: any shape, of any dtype: floats, integers, booleans, complex numbers, typed PRNG keys.

    Returns:
      Two uint32 scalars.

    >>> a, b = checksum(jnp.arange(3)), checksum(jnp.array([0, 2, 1]))
    >>> bool(a[0] == b[0]), bool(a[1] == b[1])
    (False, False)
    """
    low, high = _words(x)
    pair = _mix_pair(low, high, _places(low.shape))
    none, add = jnp.uint32(0), lambda a, b: (a[0] + b[0], a[1] + b[1])
    # one reduction of both lanes: of two, XLA would keep the mixed words, twice the array
    return tuple(jax.lax.reduce(pair, (none, none), add, tuple(range(low.ndim))))


def checksums(tree: Any) -> dict[str, str]:
    """The checksums of a tree's leaves by path, as 16 hexadecimal digits.

    >>> checksums({"w": jnp.zeros(0)})
    {'w': '0000000000000000'}
    """
    return checksums_of(flatten(tree))


def checksums_of(leaves: Mapping[str, Any]) -> dict[str, str]:
    """As `checksums`, of leaves that are by path already."""
    lanes = jax.device_get({path: checksum(leaf) for path, leaf in leaves.items()})
    return {path: f"{low:08x}{high:08x}" for path, (low, high) in lanes.items()}


def _words(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The bits of each element as two uint32; different bits, different pairs."""
    if is_key(x):
        x = jax.random.key_data(x)
    if x.dtype == jnp.complex128:
        x = jnp.stack([x.real, x.imag], -1)
    if x.dtype == jnp.complex64:
        return bits(x.real), bits(x.imag)
    if x.dtype.itemsize == 8:
        halves = jax.lax.bitcast_convert_type(x, jnp.uint32)
        return halves[..., 0], halves[..., 1]
    low = (x if x.dtype == jnp.bool_ else bits(x)).astype(jnp.uint32)
    return low, jnp.zeros_like(low)


def _places(shape: tuple[int, ...]) -> jax.Array:
    """The flat index of every element modulo 2**32, made of iotas: no shard needs to know another."""
    places = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = jnp.uint32(math.prod(shape[axis + 1 :]) % 2**32)
        places += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
    return places


def _mix_pair(low: jax.Array, high: jax.Array, places: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Three rounds of a Feistel network; each line can be undone, so for every place this is a bijection."""
    low = _mix(low ^ _mix(places + jnp.uint32(PLACE)))
    high = _mix(high ^ low)
    low = _mix(low ^ high)
    return low, high


def _mix(x: jax.Array) -> jax.Array:
    """A bijection of 32 bits in which every bit moves every other: the finalizer of MurmurHash3, Appleby, 2011."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
