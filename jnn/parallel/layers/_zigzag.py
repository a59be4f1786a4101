"""The zig-zag order of a time axis: 2n chunks on n devices, the chunks i and 2n-1-i on device i.

    enter(x, axis, time) -> (2, ...)        from the natural order: chunks 2i and 2i+1 on device i
    leave(chunks, axis, time) -> x          and back
    chunk(part, device, n)                  which chunk a device has as its part 0 or 1

Within `shard_map`. Laws: leave(enter(x)) is x; each is two collective-permutes of half a piece.

Every device has one even and one odd chunk in either order, so the even ones are one permutation, the odd ones another.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def enter(x: jax.Array, axis: str, time: int) -> jax.Array:
    """(..., time, ...) in the natural order -> (2, ..., time / 2, ...): parts 0 and 1."""
    even, odd = jnp.split(x, 2, time)
    n = jax.lax.axis_size(axis)
    even = jax.lax.ppermute(even, axis, [(i, _home(2 * i, n)) for i in range(n)])
    odd = jax.lax.ppermute(odd, axis, [(i, _home(2 * i + 1, n)) for i in range(n)])
    return jnp.stack(_swap_if_odd(even, odd, axis))


def leave(chunks: jax.Array, axis: str, time: int) -> jax.Array:
    """(2, ..., time / 2, ...) -> (..., time, ...) in the natural order."""
    even, odd = _swap_if_odd(chunks[0], chunks[1], axis)
    n = jax.lax.axis_size(axis)
    even = jax.lax.ppermute(even, axis, [(_home(2 * i, n), i) for i in range(n)])
    odd = jax.lax.ppermute(odd, axis, [(_home(2 * i + 1, n), i) for i in range(n)])
    return jnp.concatenate([even, odd], time)


def chunk(part: Any, device: Any, n: int) -> Any:
    """Which chunk of time a device has as its first or second part, counted from 0 to 2n - 1.

    >>> [(chunk(0, i, 3), chunk(1, i, 3)) for i in range(3)]
    [(0, 5), (1, 4), (2, 3)]
    """
    return device + part * (2 * (n - device) - 1)


def _home(chunk: int, n: int) -> int:
    """The device of a chunk in zig-zag order."""
    return chunk if chunk < n else 2 * n - 1 - chunk


def _swap_if_odd(a: jax.Array, b: jax.Array, axis: str) -> tuple[jax.Array, jax.Array]:
    """Device i's part 0, the chunk i, is even where i is: from (even, odd) to parts, and back."""
    even = jax.lax.axis_index(axis) % 2 == 0
    return jnp.where(even, a, b), jnp.where(even, b, a)
