"""Attention that never holds all scores: chunk after chunk of keys, with a running softmax.

    chunked_attention(q, k, v, mask, causal=True) -> y       `dot_product_attention`, in O(t) memory
    attention(p, x, attend=chunked_attention)                multi-head attention by it

Axes: `t` queries, `s` keys, `c` keys of a chunk, `h` heads, `g` key-value heads (h is a multiple of g), `r` = h / g.

Laws: it is `dot_product_attention`, values and derivatives of every order and mode, but for the order of sums and the
draw of dropout; no array that it makes is larger than t times a chunk, forwards and backwards, on any backend.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import EllipsisType
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from jnn import flop_marks
from jnn.layers._attention import pairs
from jnn.layers._dot_product_attention import check_attention
from jnn.layers._masks import visible
from jnn.layers._scores import Bias, Scores, by_group, shaped
from jnn.precision import over_steps, wide_dtype

Weigh = Callable[[Any, Any], tuple[jax.Array, jax.Array | None]]  # whole, part -> scores, what dropout leaves


def chunked_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    bias: jax.Array | Bias | None = None,
    sinks: jax.Array | None = None,
    cap: float | None = None,
    rate: float = 0.0,
    key: jax.Array | EllipsisType | None = ...,
    chunk: int = 512,
) -> jax.Array:
    """Memory-efficient attention: `dot_product_attention` by an online softmax over chunks of keys, in O(t) memory.

    See "Self-attention Does Not Need O(n^2) Memory", Rabe and Staats, 2021; "FlashAttention", Dao et al., 2022, whose
    backward pass this is. Chunks that causality or a window hides are computed too: it saves memory, not time.

    Args:
      q, k, v, mask, causal, window, bias, sinks, cap, rate, key: as in `dot_product_attention`. A mask or a bias that
        is an array of all pairs is O(t s) by itself; a bias that is a function of positions is made chunk by chunk.
      chunk: how many keys meet the queries at a time.

    Returns:
      (..., t, h, k), in q's dtype; zeros for a query that may attend to nothing.

    Raises:
      TypeError, ValueError: as `dot_product_attention`; a chunk that is not positive.

    >>> chunked_attention(jnp.ones((3, 2, 4)), jnp.ones((5, 1, 4)), jnp.ones((5, 1, 4)), chunk=2).shape
    (3, 2, 4)
    """
    check_attention("chunked_attention", q, k, v, mask, window)
    if chunk < 1:
        raise ValueError(f"chunked_attention: expected a positive chunk of keys, found {chunk}.")
    how = shaped("chunked_attention", q, k, bias, sinks, cap, rate, key) or Scores()
    *leading, t, h, size = q.shape
    g = k.shape[-2]
    heads_first = jnp.moveaxis(q.reshape(*leading, t, g, h // g, size), -4, -2)
    weigh, whole, parts = _laid_out(heads_first, k, v, mask, how, causal=causal, window=window, chunk=chunk)
    meet = pairs(t, k.shape[-3], causal=causal and t == k.shape[-3], window=window if t == k.shape[-3] else None)
    with jax.named_scope("dot_product_attention"), flop_marks.pairs(meet, t * parts["at"].size):
        y, total = _online(weigh, whole, parts)
        if how.sinks is not None:
            sinks = how.sinks.astype(y.dtype).reshape(*(1,) * len(leading), g, h // g, 1)
            y = y * jax.nn.sigmoid(total - sinks)[..., None]
    y = jnp.moveaxis(y.astype(q.dtype), -2, -4).reshape(q.shape)
    return checkpoint_name(y, "attended")  # for `jnn.remat`


def _laid_out(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    mask: jax.Array | None,
    how: Scores,
    *,
    causal: bool,
    window: int | None,
    chunk: int,
) -> tuple[Weigh, Any, Any]:
    """What makes scores (..., g, r, t, c) of what all chunks share and of one chunk; and these two."""
    ndim, t, (s, g) = q.ndim - 1, q.shape[-2], k.shape[-3:-1]
    chunk = min(chunk, s)
    n = -(-s // chunk)
    whole: dict[str, Any] = {"q": q * q.shape[-1] ** -0.5}
    whole |= {name: x for name, x in (("cap", how.cap), ("rate", how.rate)) if isinstance(x, jax.Array)}
    parts: dict[str, Any] = {name: _cut(jnp.swapaxes(a, -3, -2), -2, n, chunk) for name, a in (("k", k), ("v", v))}
    parts["at"] = jnp.arange(n * chunk).reshape(n, chunk)
    if how.key is not None:
        parts["key"] = jax.vmap(jax.random.fold_in, (None, 0))(how.key, jnp.arange(n))
    make_bias: Callable[..., jax.Array] | None = None
    paired: dict[str, jax.Array] = {}
    if mask is not None:
        paired["mask"] = by_group(mask[..., None, :, :] if mask.ndim > 2 else mask, g, ndim)
    if callable(how.bias):
        make_bias, whole["bias_of"] = jax.closure_convert(how.bias, jnp.arange(t), parts["at"][0])
    elif how.bias is not None:
        paired["bias"] = by_group(how.bias, g, ndim)
    whole |= {name: a for name, a in paired.items() if a.shape[-1] == 1}
    parts |= {name: _cut(a, -1, n, chunk) for name, a in paired.items() if a.shape[-1] != 1}

    def bias_of(both: Any) -> jax.Array | None:
        if make_bias is None:
            return both.get("bias")
        return by_group(make_bias(jnp.arange(t), both["at"], *both["bias_of"]), g, ndim)

    def seen(at: jax.Array) -> jax.Array:
        return visible(jnp.arange(t), at, causal=causal, window=window) & (at < s)[None]

    return partial(_weigh, cap=how.cap, rate=how.rate, bias_of=bias_of, seen=seen), whole, parts


def _weigh(
    whole: Any,
    part: Any,
    *,
    cap: Any,
    rate: Any,
    bias_of: Callable[[Any], jax.Array | None],
    seen: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array | None]:
    """Scores of one chunk, -inf where nothing may be seen, and what dropout leaves of each; traced numbers of `whole`
    come first."""
    both = {"cap": cap, "rate": rate} | whole | part
    how = Scores(cap=both["cap"], rate=both["rate"], key=both.get("key"))
    exact = wide_dtype(both["q"])
    scores = jnp.einsum("...grtk,...gck->...grtc", both["q"], both["k"], preferred_element_type=exact)
    scores = how.capped(scores)
    if (bias := bias_of(both)) is not None:
        scores = scores + bias.astype(exact)
    shown = seen(both["at"])
    shown = shown.reshape((1,) * (scores.ndim - 2) + shown.shape)
    scores = jnp.where(shown & both["mask"] if "mask" in both else shown, scores, -jnp.inf)
    return scores, None if how.key is None else how.dropped(jnp.ones_like(scores))


def _cut(a: jax.Array, axis: int, n: int, chunk: int) -> jax.Array:
    """An axis in n chunks, which come first; filled up with zeros."""
    axis %= a.ndim
    widths = [(0, n * chunk - a.shape[axis] if i == axis else 0) for i in range(a.ndim)]
    a = jnp.pad(a, widths) if any(after for _, after in widths) else a
    return jnp.moveaxis(a.reshape(*a.shape[:axis], n, chunk, *a.shape[axis + 1 :]), axis, 0)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _online(weigh: Weigh, whole: Any, parts: Any) -> tuple[jax.Array, jax.Array]:
    """Means of values (..., g, r, t, k), and the log of the sum of exponentials; zeros where nothing is seen."""
    lead, size, exact = whole["q"].shape[:-1], whole["q"].shape[-1], wide_dtype(whole["q"])

    def add(sums: Any, part: Any) -> tuple[Any, None]:
        top, total, y = sums
        scores, left = weigh(whole, part)
        new = jnp.maximum(top, scores.max(-1))
        level = jnp.where(new == -jnp.inf, 0, new)
        now, old = jnp.exp(scores - level[..., None]), jnp.exp(top - level)
        return (new, total * old + now.sum(-1), y * old[..., None] + _mean(now, left, part["v"])), None

    start = jnp.full(lead, -jnp.inf, exact), jnp.zeros(lead, exact), jnp.zeros((*lead, size), exact)
    (top, total, y), _ = jax.lax.scan(add, start, parts)
    some = jnp.where(total == 0, 1, total)
    return y / some[..., None], jnp.where(total == 0, 0, top + jnp.log(some))


@_online.defjvp
def _online_jvp(weigh: Weigh, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """With the log of the sum known, both are sums over chunks, each of which is computed again and forgotten."""
    y, total = _online(weigh, *primals)
    _, (dy, dtotal) = jax.jvp(lambda whole, parts: _sums(weigh, whole, parts, total), primals, tangents)
    return (y, total), (dy - y * dtotal[..., None], dtotal)


def _sums(weigh: Weigh, whole: Any, parts: Any, level: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Sums of `exp(scores - level)` times values, and of these alone."""
    shared = over_steps(whole)

    @jax.checkpoint
    def add(sums: Any, part: Any) -> tuple[Any, None]:
        scores, left = weigh(shared(), part)
        now = jnp.exp(scores - level[..., None])
        return (sums[0] + _mean(now, left, part["v"]), sums[1] + now.sum(-1)), None

    zero = jnp.zeros_like(level)
    return jax.lax.scan(add, (jnp.zeros((*level.shape, whole["q"].shape[-1]), level.dtype), zero), parts)[0]


def _mean(weights: jax.Array, left: jax.Array | None, v: jax.Array) -> jax.Array:
    """Values weighted by what dropout leaves of the weights."""
    weights = (weights if left is None else weights * left).astype(v.dtype)
    return jnp.einsum("...grtc,...gck->...grtk", weights, v, preferred_element_type=wide_dtype(v))
