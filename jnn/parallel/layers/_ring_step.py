"""Once around the ring: what each device does with every piece of keys and values that comes by.

    attend_step(how, q, k, v, masks) -> y          within `shard_map`; with a backward pass that goes round again

Axes: q (p, ..., g, r, t, k), k and v (p, ..., g, s, k): `p` parts of a device's piece, two in zig-zag order, else one;
`t` and `s` count within a part.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn import flop_marks
from jnn.layers import pairs, visible
from jnn.parallel.layers import _zigzag as zigzag
from jnn.precision import wide_dtype

Masks = dict[str, jax.Array]  # {"mask": (p, ..., t or 1, all s or 1)}, or empty
Sums = tuple[jax.Array, jax.Array, jax.Array]  # of weighted values, the largest score, of weights


@dataclasses.dataclass(frozen=True)
class RingStep:
    """The axis of the ring, who may see whom, and how long the whole sequences are."""

    axis: str
    causal: bool
    window: int | None
    t: int
    s: int

    @property
    def parts(self) -> int:
        return 2 if self.causal else 1

    def pairs_seen(self) -> contextlib.AbstractContextManager[None]:
        """Within: products are of queries and keys of all pairs of parts; says how many pairs see each other."""
        n = jax.lax.axis_size(self.axis)
        met = self.t * self.s * (2 * n + 1) // (4 * n) if self.causal else self.t * self.s  # see `pairs`
        seen = pairs(self.t, self.s, causal=self.causal, window=self.window)
        return flop_marks.pairs(seen, met)

    def pairs(self, source: jax.Array, own: bool) -> list[tuple[Any, Any]]:
        """Which parts of the queries look at which parts of a piece: all pairs where something is visible."""
        if not self.causal:
            return [(0, 0)]
        if own:
            return [(0, 0), (1, 0), (1, 1)]
        # chunks i and 2n-1-i look at j and 2n-1-j: the late one sees the early one; of the others, the early ones
        # see each other if j < i, otherwise the late ones
        same = jnp.where(source < jax.lax.axis_index(self.axis), 0, 1)
        return [(1, 0), (same, same)]

    def allowed(self, pair: tuple[Any, Any], source: jax.Array, own: bool, masks: Masks, t: int, s: int) -> Any:
        """(..., 1, 1, t, s) or (t, s): True where a query may attend; None where all may to all."""
        queries = self._start(pair[0], jax.lax.axis_index(self.axis), t) + jnp.arange(t)
        first = self._start(pair[1], source, s)
        inside = None
        if self.window is not None or (self.causal and own):
            inside = visible(queries, first + jnp.arange(s), causal=self.causal, window=self.window)
        for mask in masks.values():
            rows = _get(mask, pair[0])[..., None, None, :, :]
            if rows.shape[-1] == self.s:
                rows = jax.lax.dynamic_slice_in_dim(rows, first, s, -1)
            inside = rows if inside is None else rows & inside.reshape((1,) * (rows.ndim - 2) + inside.shape)
        return inside

    def _start(self, part: Any, device: jax.Array, size: int) -> jax.Array:
        """The position of a part's first row in the whole sequence."""
        n = jax.lax.axis_size(self.axis)
        return size * (zigzag.chunk(part, device, n) if self.causal else device)

    def go(self, visit: Callable[..., Any], carry: Any, piece: Any, back: Any = ()) -> tuple[Any, Any]:
        """`carry, back = visit(carry, piece, back, source, own)` with every device's piece.

        A piece is sent on before it is used; what is gathered for it (`back`) follows, and is home at the end.
        """
        n, me = jax.lax.axis_size(self.axis), jax.lax.axis_index(self.axis)
        shift = partial(jax.lax.ppermute, axis_name=self.axis, perm=[(i, (i + 1) % n) for i in range(n)])

        def step(i: Any, state: Any, *, own: bool = False, last: bool = False) -> Any:
            carry, piece, back = state
            following = piece if last else jax.tree.map(shift, piece)
            carry, back = visit(carry, piece, back, (me - i) % n, own)
            return carry, following, jax.tree.map(shift, back)

        state = step(0, (carry, piece, back), own=True, last=n == 1)
        if n > 2:  # one body, however many devices
            state, _ = jax.lax.scan(lambda state, i: (step(i, state), None), state, jnp.arange(1, n - 1))
        if n > 1:
            state = step(n - 1, state, last=True)
        return state[0], state[2]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend_step(how: RingStep, q: jax.Array, k: jax.Array, v: jax.Array, masks: Masks) -> jax.Array:
    """(p, ..., g, r, t, k), in q's dtype."""
    return _forward(how, q, k, v, masks)[0]


def _forward(how: RingStep, q: jax.Array, k: jax.Array, v: jax.Array, masks: Masks) -> tuple[jax.Array, Any]:
    t, s = q.shape[-2], k.shape[-2]
    scaled = q * q.shape[-1] ** -0.5

    def visit(sums: Sums, piece: Any, back: Any, source: jax.Array, own: bool) -> tuple[Sums, Any]:
        for pair in how.pairs(source, own):
            a, (k, v) = pair[0], (_get(x, pair[1]) for x in piece)
            scores = _scores(_get(scaled, a), k)
            new = _add(
                jax.tree.map(lambda x, a=a: _get(x, a), sums), scores, v, how.allowed(pair, source, own, masks, t, s)
            )
            sums = jax.tree.map(lambda x, y, a=a: jax.lax.dynamic_update_index_in_dim(x, y, a, 0), sums, new)
        return sums, back

    zeros = jnp.zeros_like(q, wide_dtype(q))
    (total, top, weight), _ = how.go(visit, (zeros, zeros[..., 0] - jnp.inf, zeros[..., 0]), (k, v))
    top = _finite(top)
    y = (total / jnp.where(weight == 0, 1, weight)[..., None]).astype(q.dtype)
    log_weight = top + jnp.log(jnp.where(weight == 0, 1, weight))
    return y, (q, k, v, masks, y, log_weight)


def _backward(how: RingStep, remembered: Any, dy: jax.Array) -> Any:
    """See "FlashAttention", Dao et al., 2022, appendix B: the weights come again from scores and their sum."""
    q, k, v, masks, y, log_weight = remembered
    t, s, scale, exact = q.shape[-2], k.shape[-2], q.shape[-1] ** -0.5, wide_dtype(q)
    mean = jnp.sum(dy.astype(exact) * y.astype(exact), -1)
    product = partial(jnp.einsum, preferred_element_type=exact)

    def visit(dq: jax.Array, piece: Any, back: Any, source: jax.Array, own: bool) -> tuple[jax.Array, Any]:
        for pair in how.pairs(source, own):
            a, b = pair
            k, v = (_get(x, b) for x in piece)
            qa, dya = _get(q, a), _get(dy, a)
            with flop_marks.again():
                scores = _scores(qa * scale, k)
            weights = jnp.exp(scores - _get(log_weight, a)[..., None])
            weights = _keep(weights, how.allowed(pair, source, own, masks, t, s))
            d_scores = weights * (product("...grtk,...gsk->...grts", dya, v) - _get(mean, a)[..., None])
            d_scores, weights = d_scores.astype(q.dtype), weights.astype(q.dtype)
            dq = dq.at[a].add(scale * product("...grts,...gsk->...grtk", d_scores, k))
            dk = scale * product("...grts,...grtk->...gsk", d_scores, qa)
            dv = product("...grts,...grtk->...gsk", weights, dya)
            back = (back[0].at[b].add(dk), back[1].at[b].add(dv))
        return dq, back

    zeros = lambda x: jnp.zeros_like(x, exact)
    dq, (dk, dv) = how.go(visit, zeros(q), (k, v), (zeros(k), zeros(v)))
    return dq.astype(q.dtype), dk.astype(k.dtype), dv.astype(v.dtype), None


attend_step.defvjp(_forward, _backward)


def _scores(q: jax.Array, k: jax.Array) -> jax.Array:
    """(..., g, r, t, s), in float32 at least; q is scaled."""
    return jnp.einsum("...grtk,...gsk->...grts", q, k, preferred_element_type=wide_dtype(q))


def _add(sums: Sums, scores: jax.Array, v: jax.Array, allowed: jax.Array | None) -> Sums:
    """The sums with another block's. See "Online normalizer calculation for softmax", Milakov and Gimelshein, 2018."""
    total, top, weight = sums
    if allowed is not None:
        scores = jnp.where(_like(allowed, scores), scores, -jnp.inf)
    higher = jnp.maximum(top, scores.max(-1))
    weights, shrink = jnp.exp(scores - _finite(higher)[..., None]), jnp.exp(top - _finite(higher))
    values = jnp.einsum("...grts,...gsk->...grtk", weights.astype(v.dtype), v, preferred_element_type=total.dtype)
    return shrink[..., None] * total + values, higher, shrink * weight + weights.sum(-1)


def _finite(top: jax.Array) -> jax.Array:
    """The largest score, or 0 where none has been visible yet: then all weights are exp(-inf) = 0."""
    return jnp.where(top == -jnp.inf, 0, top)


def _keep(weights: jax.Array, allowed: jax.Array | None) -> jax.Array:
    return weights if allowed is None else jnp.where(_like(allowed, weights), weights, 0)


def _like(allowed: jax.Array, x: jax.Array) -> jax.Array:
    return allowed.reshape((1,) * (x.ndim - allowed.ndim) + allowed.shape)


def _get(x: jax.Array, part: Any) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(x, part, 0, keepdims=False)
