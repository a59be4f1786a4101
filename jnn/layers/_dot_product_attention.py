"""The heart of attention, without parameters: means of values, weighted by how well a query fits their keys.

    dot_product_attention(q, k, v, mask, causal=True) -> y

(The same without ever holding all scores: `_chunked_attention`.)

Axes: `t` queries, `s` keys, `h` heads, `g` key-value heads (h is a multiple of g), `k` head size.

Laws: softmax is in float32; a key that is masked has no part in it, however small the visible scores are (up to 2e38,
where float32 ends); a query that may attend to nothing gets zeros, never NaN, and gives no gradient;
all formulations (`jnn.backend`) are the same function, and so is what a parallel run computes instead
(`jnn.overrides`).
The kernels of accelerators (`jnn.layers.kernels`) have no forward mode; `jnn.backend.target("cpu")` traces what has.
They and parallel runs take scores as they are: with a bias, sinks, a cap or dropout the plain formulation runs.
"""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from jnn import backend, checks
from jnn.layers._masks import check_mask, check_window, within
from jnn.layers._scores import Bias, Scores, by_group, masked_softmax, shaped
from jnn.layers.kernels import _attention as kernels
from jnn.overrides import overridden
from jnn.precision import wide_dtype

_AS_THEY_ARE = Scores()


def dot_product_attention(
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
) -> jax.Array:
    """Scaled dot-product attention: `softmax(q k / sqrt(head) + bias) v`, head by head.

    See "Attention Is All You Need", Vaswani et al., 2017; for caps "Gemma 2", Gemma Team, 2024; for sinks "gpt-oss-120b
    & gpt-oss-20b Model Card", OpenAI, 2025.

    Args:
      q: (..., t, h, k), floating point.
      k, v: (..., s, g, k), where h is a multiple of g: each key head serves h / g neighbouring query heads.
      mask: bool, (..., t, s) or without the leading axes, True where a query may attend; sizes may be 1. What a masked
        key and its value hold has to be finite: a weight of 0 times NaN is NaN.
      causal: row i attends to rows j <= i alone.
      window: and to rows with |i - j| < window alone.
      bias: (..., h, t, s) or (h, t, s) or (t, s), floating point, added to the scores; sizes may be 1. Or a function
        of positions that makes it: see `alibi` and `relative_bias`.
      sinks: (h,), scores of a key that has no value: a query need not attend to anything.
      cap: soft cap, `cap * tanh(scores / cap)`, before the bias.
      rate: of dropout of the weights.
      key: noise for dropout, None for none; to be said where there is a rate.

    Returns:
      (..., t, h, k), in q's dtype; zeros for a query that may attend to nothing.

    Raises:
      TypeError: q, k, v, bias are not floating point, or mask is not bool.
      ValueError: shapes do not fit, or are empty; a rate without a key.

    >>> dot_product_attention(jnp.ones((3, 2, 4)), jnp.ones((5, 1, 4)), jnp.ones((5, 1, 4))).shape
    (3, 2, 4)
    """
    check_attention("dot_product_attention", q, k, v, mask, window)
    how = shaped("dot_product_attention", q, k, bias, sinks, cap, rate, key)
    if how is not None:
        if callable(how.bias):
            how = how._replace(bias=how.bias(jnp.arange(q.shape[-3]), jnp.arange(k.shape[-3])))
        with jax.named_scope("dot_product_attention"):
            return _plain(attend_heads_first)(q, k, v, ranked(mask, q), causal=causal, window=window, how=how)
    return overridden("dot_product_attention", _attend)(q, k, v, mask, causal=causal, window=window)


def check_attention(
    layer: str, q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, window: int | None
) -> None:
    """Raises unless queries, keys, values and mask fit each other."""
    for name, a in (("q", q), ("k", k), ("v", v)):
        checks.array(layer, a, name)
        checks.floats(f"{layer}: {name}", a, ndim=3)
    fits = k.shape == v.shape and (q.shape[:-3], q.shape[-1]) == (k.shape[:-3], k.shape[-1])
    if not fits or q.shape[-2] % k.shape[-2]:
        q_shape, k_shape, v_shape = map(checks.describe, (q, k, v))
        raise ValueError(
            f"{layer}: expected q (..., t, heads, head), k and v (..., s, kv_heads, head), where kv_heads divide "
            f"heads; found q {q_shape}, k {k_shape}, v {v_shape}."
        )
    check_window(layer, window)
    if mask is not None:
        check_mask(layer, mask, (*q.shape[:-2], k.shape[-3]))


def _attend(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, *, causal: bool, window: int | None
) -> jax.Array:
    mask = ranked(mask, q)
    refusals = {
        "splash": lambda: kernels.no_splash(q, k, mask, window=window),
        "cudnn": lambda: kernels.no_cudnn(q, k, mask, causal=causal, window=window),
    }
    formulation = _FORMULATIONS[backend.choose("attention", refusals)]
    with jax.named_scope("dot_product_attention"):  # for jnn.inspect.kernels
        return formulation(q, k, v, mask, causal=causal, window=window)


def ranked(mask: jax.Array | None, q: jax.Array) -> jax.Array | None:
    """A mask with as many leading axes as q (..., t, h, k) has."""
    return None if mask is None else mask.reshape((1,) * (q.ndim - 1 - mask.ndim) + mask.shape)


def _plain(formulation: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A formulation in XLA's own operations: with causality and the window a part of the mask."""

    def dot_product_attention(
        q: jax.Array,
        k: jax.Array,
        v: jax.Array,
        mask: jax.Array | None,
        *,
        causal: bool,
        window: int | None,
        **how: Scores,
    ) -> jax.Array:
        y = formulation(q, k, v, within(mask, q, k, causal=causal, window=window), **how)
        return checkpoint_name(y, "attended")  # for `jnn.remat`

    return dot_product_attention


def attend_heads_first(
    q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None, how: Scores = _AS_THEY_ARE
) -> jax.Array:
    """With heads before time, so that each head's products are plain matrix products."""
    *leading, t, h, size = q.shape
    s, g = k.shape[-3:-1]
    q = jnp.moveaxis(q.reshape(*leading, t, g, h // g, size), -4, -2).reshape(*leading, g, h // g * t, size)
    k, v = jnp.swapaxes(k, -3, -2), jnp.swapaxes(v, -3, -2)
    exact = wide_dtype(q)
    scores = jnp.einsum("...tk,...sk->...ts", q * size**-0.5, k, preferred_element_type=exact)
    scores = how.capped(scores.reshape(*leading, g, h // g, t, s))
    if isinstance(how.bias, jax.Array):
        scores = scores + by_group(how.bias, g, len(leading) + 3).astype(exact)
    weights = how.softmax(scores) if mask is None else masked_softmax(scores, mask[..., None, None, :, :], how.softmax)
    weights = how.dropped(weights).astype(v.dtype).reshape(*leading, g, h // g * t, s)
    y = jnp.einsum("...ts,...sk->...tk", weights, v).reshape(*leading, g, h // g, t, size)
    return jnp.moveaxis(y, -2, -4).reshape(*leading, t, h, size)


def _fused(q: jax.Array, k: jax.Array, v: jax.Array, mask: jax.Array | None) -> jax.Array:
    """`jax.nn`'s formulation, but for float64, whose softmax it takes in float32."""
    formulation = attend_heads_first if q.dtype == jnp.float64 else kernels.dot_product
    return formulation(q, k, v, mask)


_FORMULATIONS = {
    "heads_first": _plain(attend_heads_first),
    "fused": _plain(_fused),
    "splash": kernels.splash,
    "cudnn": kernels.cudnn,
}
