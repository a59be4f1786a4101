"""The recurrence of RWKV: means of values weighted by keys that fade, feature by feature, with a bonus for the present.

    wkv(k, v, decay, bonus, carry) -> (y, carry)

Axes: `t` time, `d` features.

Laws: sums are kept as numbers times an exponential, so that no key is too large; cut a sequence into chunks anywhere:
chunk after chunk is the whole.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide

Sums = tuple[jax.Array, jax.Array, jax.Array]  # of weighted values, of weights, both over exp of the third


def wkv(
    k: jax.Array, v: jax.Array, decay: jax.Array, bonus: jax.Array, carry: Sums | None = None
) -> tuple[jax.Array, Sums]:
    """WKV, of RWKV: `y[t] = (sum of exp(k[i] - (t-1-i) decay) v[i] + exp(bonus + k[t]) v[t]) / (the same of weights)`.

    See "RWKV: Reinventing RNNs for the Transformer Era", Peng et al., 2023. By an associative scan: O(t) work and
    O(log t) steps after each other.

    Args:
      k, v: (..., t, d), floating point: the next chunk of a sequence.
      decay: (d,), positive: by how much weights fade a step, in logarithms. In a layer, `exp` of a parameter.
      bonus: (d,), of the present row.
      carry: from the chunk before; None at the start.

    Returns:
      (..., t, d) in k's dtype, computed in float32 at least; and the carry, three arrays (..., d).

    Raises:
      TypeError: k is not floating point.
      ValueError: shapes do not fit, or are empty.

    >>> k, v = jnp.zeros((3, 1)), jnp.array([[1.0], [2.0], [6.0]])
    >>> wkv(k, v, jnp.zeros(1), jnp.zeros(1))[0].ravel().tolist()
    [1.0, 1.5, 3.0]
    """
    checks.floats("wkv", k, ndim=2)
    checks.same_shape("wkv", k=k, v=v)
    for name, leaf in (("decay", decay), ("bonus", bonus)):
        checks.array("wkv", leaf, name)
        if leaf.shape != k.shape[-1:]:
            raise ValueError(f"wkv: expected {name} {k.shape[-1:]}, found {checks.describe(leaf)}.")
    level, value = wide(k), wide(v)
    axis = k.ndim - 2
    fade, more = (wide(leaf).reshape((1,) * (k.ndim - 1) + (-1,)) for leaf in (decay, bonus))
    start = _nothing(level[..., :1, :]) if carry is None else tuple(a[..., None, :] for a in carry)
    rows = (value, jnp.ones_like(value), level)
    # row i as a step of time: what was there fades, and it is added
    steps = jax.tree.map(lambda a, b: jnp.concatenate([a.astype(b.dtype), b], axis), start, rows)
    length = jnp.ones((*k.shape[:-2], k.shape[-2] + 1, 1), level.dtype)
    *sums, _ = jax.lax.associative_scan(lambda a, b: _then(a, b, fade), (*steps, length), axis=axis)
    before = tuple(jax.lax.slice_in_dim(a, 0, -1, axis=axis) for a in sums)
    total, weight, _ = _added(before, (value, jnp.ones_like(value), level + more))
    return (total / weight).astype(k.dtype), (sums[0][..., -1, :], sums[1][..., -1, :], sums[2][..., -1, :])


def _nothing(like: jax.Array) -> Sums:
    """Sums of no rows: zeros, at a level that any key is above."""
    return jnp.zeros_like(like), jnp.zeros_like(like), jnp.full_like(like, -1e30)


def _then(first: tuple[jax.Array, ...], second: tuple[jax.Array, ...], fade: jax.Array) -> tuple[jax.Array, ...]:
    """Sums over two stretches of time, of which the first has faded by the length of the second."""
    *early, long = first
    *late, longer = second
    return *_added((early[0], early[1], early[2] - longer * fade), (late[0], late[1], late[2])), long + longer


def _added(a: tuple[jax.Array, ...], b: tuple[jax.Array, ...]) -> Sums:
    """Both sums, at the higher of their levels."""
    level = jax.lax.stop_gradient(jnp.maximum(a[2], b[2]))
    one, two = jnp.exp(a[2] - level), jnp.exp(b[2] - level)
    return a[0] * one + b[0] * two, a[1] * one + b[1] * two, level
