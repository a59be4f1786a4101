"""Whether arrays are the same: by checksums where they are, by a digest on the host; and where two trees differ.

    checksum(x) -> (uint32, uint32)       two lanes, under jit
    checksums(tree) -> {path: "16 hex"}   of every leaf
    digest(tree) -> str                   what an experiment prints, and what "bit-equal" means
    diff(a, b) -> [Difference, ...]       path by path; nothing for what is bit-equal
    table(differences) -> str             for people; `python -m jnn.train.checkpoint A B` prints it

Each element's bits, as two 32-bit words, go through a bijection that depends on the element's place in the global
array; a lane is the sum of one of the mixed words over all elements, modulo 2**32. Laws of the checksum:

- *Any mesh, one value.* Integer addition modulo 2**32 has no rounding and no order, and the place is the global one.
- *One changed element is always seen.* Its pair of words changes, so its mixed pair does (a bijection), so at least
  one of the two sums changes by something that is not 0 modulo 2**32.
- Several changed or exchanged elements go unseen with probability 2**-64, as if both lanes were drawn at random.
  Places are counted modulo 2**32, so this does not hold for exchanging two elements exactly that far apart.

Two 32-bit lanes, since a device has no 64-bit integers unless `jax_enable_x64` is set.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.inspect import format_table
from jnn.param import flatten, is_key
from jnn.train.checkpoint._stored import bits, by_path

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
    lanes = jax.device_get({path: checksum(leaf) for path, leaf in by_path("checksums", tree).items()})
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


@dataclasses.dataclass(frozen=True)
class Difference:
    """One path at which two trees differ.

    path: of the leaf.
    a, b: dtype and shape on both sides, such as "float32[3,2]"; None where there is no such path.
    norm: of b - a, where both have numbers of one shape.
    relative: the norm over a's own; infinite where that is 0.
    """

    path: str
    a: str | None
    b: str | None
    norm: float | None = None
    relative: float | None = None


def diff(a: Any, b: Any) -> list[Difference]:
    """Differences of two trees of arrays, by path.

    Args:
      a, b: trees, or what `read(folder).state` gives.

    Returns:
      One `Difference` for each path that is in one tree only, or has another shape, dtype or value, sorted. Norms are
      computed in float64. NaN in the same place with the same bits is no difference.

    >>> for d in diff({"w": jnp.ones(4), "b": jnp.ones(2)}, {"w": jnp.full(4, 1.5)}):
    ...     print(d)
    Difference(path='b', a='float32[2]', b=None, norm=None, relative=None)
    Difference(path='w', a='float32[4]', b='float32[4]', norm=1.0, relative=0.5)
    """
    left, right = by_path("diff", a), by_path("diff", b)
    pairs = {path: (left.get(path), right.get(path)) for path in sorted(left.keys() | right.keys())}
    return [_difference(path, x, y) for path, (x, y) in pairs.items() if not _equal(x, y)]


def digest(tree: Any) -> str:
    """Digest: a SHA-256 over the paths, dtypes, shapes and bytes of a tree of arrays: equal iff bit-equal.

    >>> digest({"w": np.ones(2, np.float32)}) == digest({"w": np.ones(2, np.float32)})
    True
    """
    sha = hashlib.sha256()
    for path, leaf in sorted(flatten(tree).items()):
        x = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        sha.update(f"{path} {x.dtype} {x.shape}\n".encode(errors="surrogatepass"))
        sha.update(_host(x).tobytes())
    return sha.hexdigest()


def table(differences: list[Difference]) -> str:
    """A table of differences.

    >>> print(table(diff({"w": jnp.ones(4)}, {"w": jnp.full(4, 1.5)})))
    path  a           b           norm of b - a  relative
    w     float32[4]  float32[4]  1              0.5
    """
    number = lambda x: "" if x is None else f"{x:.4g}"
    rows = [[d.path, d.a or "-", d.b or "-", number(d.norm), number(d.relative)] for d in differences]
    return format_table(["path", "a", "b", "norm of b - a", "relative"], rows)


def _equal(x: Any, y: Any) -> bool:
    if x is None or y is None or x.shape != y.shape or x.dtype != y.dtype:
        return False
    return _host(x).tobytes() == _host(y).tobytes()


def _difference(path: str, x: Any, y: Any) -> Difference:
    names = [None if z is None else checks.describe(z) for z in (x, y)]
    if x is None or y is None or x.shape != y.shape or any(is_key(z) for z in (x, y)):
        return Difference(path, names[0], names[1])
    wide = np.complex128 if any(jnp.issubdtype(z.dtype, jnp.complexfloating) for z in (x, y)) else np.float64
    old, new = (_host(z).astype(wide) for z in (x, y))
    norm, own = float(np.linalg.norm((new - old).ravel())), float(np.linalg.norm(old.ravel()))
    return Difference(path, names[0], names[1], norm, norm / own if own else norm and float("inf"))


def _host(x: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if is_key(x) else x)
