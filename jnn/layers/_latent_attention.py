"""Multi-head latent attention (MLA): keys and values of all heads are made of one small vector a row, which is cached.

Axes: `t` queries, `s` keys, `h` heads, `c` the latent vector, `k` the part of a head that positions do not turn, `r`
the part that they turn, whose key all heads share.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain
from jnn.initializers import Init, lecun_normal
from jnn.layers._attention import Attend, Rotate
from jnn.layers._dot_product_attention import dot_product_attention
from jnn.layers._linear import linear, linear_spec
from jnn.layers._masks import check_mask
from jnn.layers._norm import rms_norm, rms_norm_spec
from jnn.layers._position import rotary
from jnn.layers._prefix import no_prefix
from jnn.layers._quantized_weight import weight_shape
from jnn.param import Params, Spec


def latent_attention_spec(
    d: int,
    heads: int,
    *,
    latent: int,
    head: int,
    turned: int,
    value: int | None = None,
    q_latent: int | None = None,
    init: Init = lecun_normal,
    out_init: Init | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares multi-head latent attention, without biases.

    Args:
      d: the size of the last axis of x, and of the output.
      heads: how many there are.
      latent: the size of the vector that keys and values are made of.
      head: the part of a query or key that positions do not turn.
      turned: the part that they turn; even.
      value: the size of a value; `head` by default.
      q_latent: the size of a vector that queries are made of; None to make them of x.
      init: initial values of all weights but the output's.
      out_init: those of the output weight; `init` by default.
      dtype: of all.

    Returns:
      {"q": {"w": (d, heads, head + turned)}, "latent": {"w": (d, latent)}, "turned": {"w": (d, turned)},
      "norm": {"scale": (latent,)}, "k": {"w": (latent, heads, head)}, "v": {"w": (latent, heads, value)},
      "o": {"w": (heads, value, d)}}; with q_latent, "q" is of it, and there are "q_latent" and "q_norm".

    Raises:
      ValueError: values are larger than queries.

    >>> sorted(latent_attention_spec(64, 4, latent=16, head=8, turned=4))
    ['k', 'latent', 'norm', 'o', 'q', 'turned', 'v']
    """
    value = head if value is None else value
    if value > head + turned:
        raise ValueError(f"latent_attention_spec: expected values of {head + turned} or less, found {value}.")

    def of(d_in: int, d_out: int | tuple[int, ...], *axes: str) -> Spec:
        return linear_spec(d_in, d_out, axes=axes, bias=False, init=init, dtype=dtype)

    low = {} if q_latent is None else {"q_latent": of(d, q_latent, "embed", "latent")}
    return {
        **low,
        **({"q_norm": rms_norm_spec(q_latent, axis="latent", dtype=dtype)} if q_latent is not None else {}),
        "q": of(q_latent or d, (heads, head + turned), "latent" if low else "embed", "heads", "head"),
        "latent": of(d, latent, "embed", "latent"),
        "norm": rms_norm_spec(latent, axis="latent", dtype=dtype),
        "turned": of(d, turned, "embed", "head"),
        "k": of(latent, (heads, head), "latent", "heads", "head"),
        "v": of(latent, (heads, value), "latent", "heads", "head"),
        "o": linear_spec(
            (heads, value), d, axes=("heads", "head", "embed"), bias=False, init=out_init or init, dtype=dtype
        ),
    }


def latent_attention(
    p: Params,
    x: jax.Array,
    *,
    causal: bool = False,
    mask: jax.Array | None = None,
    rotate: Rotate = rotary,
    attend: Attend = dot_product_attention,
) -> jax.Array:
    """Multi-head latent attention (MLA): of rows to each other.

    See "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model", DeepSeek-AI, 2024.

    Args:
      p: as `latent_attention_spec` declares.
      x: (..., t, d), floating point.
      causal, mask, attend: as in `attention`.
      rotate: turns a part of each query, and the key that all heads share, by their positions.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: shapes do not fit.

    >>> from jnn.param import init
    >>> p = init(latent_attention_spec(8, 2, latent=6, head=4, turned=2), jax.random.key(0))
    >>> latent_attention(p, jnp.ones((7, 5, 8)), causal=True).shape
    (7, 5, 8)
    """
    check_latent("latent_attention", p, x)
    if mask is not None:
        check_mask("latent_attention", mask, (*x.shape[:-1], x.shape[-2]))
    plain, turned, latent, shared = project(p, x, rotate, jnp.arange(x.shape[-2]))
    rows = latent[..., 0, :]
    k, v = linear(p["k"], rows), linear(p["v"], rows)
    k = jnp.concatenate([k, jnp.broadcast_to(shared, (*k.shape[:-1], shared.shape[-1]))], -1)
    q, size = jnp.concatenate([plain, turned], -1), v.shape[-1]
    v = jnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, k.shape[-1] - size)])  # kernels take one size
    y = attend(q, k, v, mask, causal=causal, window=None)[..., :size]
    return constrain(linear(p["o"], y, in_axes=2), "time", "embed")


def check_latent(layer: str, p: Params, x: jax.Array) -> None:
    """Raises unless p is a latent attention's, without a prefix, and x (..., t, d) fits it."""
    checks.params(layer, p, "q", "latent", "turned", "norm", "k", "v", "o", may=("q_latent", "q_norm"))
    no_prefix(layer, p)
    checks.map_parts(layer, p, "q", "latent", "turned", "k", "v", "o")
    checks.floats(layer, x, ndim=2)
    checks.trailing(layer, x, weight_shape(p["latent"]["w"])[:1])


def project(
    p: Params, x: jax.Array, rotate: Rotate, positions: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Queries (..., t, h, k) and (..., t, h, r), latent vectors (..., t, 1, c), and shared keys (..., t, 1, r)."""
    of = rms_norm(p["q_norm"], linear(p["q_latent"], x)) if "q_latent" in p else x
    q = constrain(linear(p["q"], of), "time", "heads", "head")
    plain, turned = jnp.split(q, [weight_shape(p["k"]["w"])[-1]], -1)
    latent = rms_norm(p["norm"], linear(p["latent"], x))[..., None, :]
    shared = linear(p["turned"], x)[..., None, :]
    return plain, rotate(turned, positions), latent, rotate(shared, positions)
