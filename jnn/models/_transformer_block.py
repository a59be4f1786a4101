"""One block of a transformer: attention, perhaps cross-attention, and a feed-forward network, each added to the stream.

    transformer_block(p, x, key=key) -> x                             a whole sequence; causal, pre-norm
    transformer_block(p, x, causal=False, key=key)                    of an encoder
    transformer_block(p, x, kv, key=key)                              of a decoder that reads what an encoder wrote
    transformer_block(p, x, arrange=post_norm, key=key)               and `parallel`
    transformer_block(p, x, forward=f, key=key)                       another feed-forward network, such as experts
    cached_block(p, x, cache) -> (x, cache)                           its next chunk

The block names what may be remembered of it, for `jnn.remat`.

Laws: there is cross-attention, a gate, and an adapter behind a branch, iff p has it; with no noise, `cached_block` over
any cut equals `transformer_block` over the whole; row i depends on rows j <= i alone, where it is causal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.initializers import normal
from jnn.layers import (
    Attend,
    Bias,
    Cache,
    QkNorm,
    Rotate,
    adapter,
    attention,
    attention_spec,
    cached_attention,
    cross_attention,
    cross_cache,
    dot_product_attention,
    dropout,
    feed_forward,
    feed_forward_spec,
    layer_norm,
    layer_norm_spec,
    paged_attention,
    rms_norm,
)
from jnn.layers import drop_path as dropped
from jnn.models._arrange import Arrange, Branch, Norm, pre_norm
from jnn.param import Params, Spec, path_key

ADAPTERS = ("adapter1", "adapter_cross", "adapter2")
Forward = Callable[..., jax.Array]  # (block's params, (..., t, d), activation=) -> (..., t, d), as `feed_forward`


def transformer_block_spec(
    d: int,
    heads: int,
    hidden: int,
    *,
    kv_heads: int | None = None,
    d_cross: int | None = None,
    gate: bool = False,
    bias: bool = True,
    qk_norm: bool = False,
    parallel: bool = False,
    out_std: float = 0.02,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a transformer block: {"norm1", "attention", "norm2", "up", "down"}.

    Args:
      d, heads, hidden, kv_heads, bias: as in `transformer_spec`.
      d_cross: the size of the rows of another sequence that it attends to; None for no cross-attention.
      gate: whether the feed-forward network is gated, as in `feed_forward_spec`.
      qk_norm: as in `attention_spec`.
      parallel: for `arrange=parallel`, in which all branches share the first norm: no others are declared.
      out_std: the standard deviation of the weights that end a residual branch.
      dtype: of all.

    Returns:
      Beside these "gate", and "cross" with its "norm_cross".

    >>> sorted(transformer_block_spec(64, 4, 256))
    ['attention', 'down', 'norm1', 'norm2', 'up']
    """
    small, out = normal(0.02), normal(out_std)
    norm = layer_norm_spec(d, bias=bias, dtype=dtype)
    attending = partial(attention_spec, d, heads, bias=bias, init=small, out_init=out, dtype=dtype)
    cross = {} if d_cross is None else {"norm_cross": norm, "cross": attending(d_kv=d_cross)}
    spec = {
        "norm1": norm,
        "attention": attending(kv_heads=kv_heads, qk_norm=qk_norm),
        **cross,
        "norm2": norm,
        **feed_forward_spec(d, hidden, gate=gate, bias=bias, init=small, out_init=out, dtype=dtype),
    }
    return {name: spec[name] for name in spec if not (parallel and name in ("norm_cross", "norm2"))}


def transformer_block(
    p: Params,
    x: jax.Array,
    kv: jax.Array | Cache | None = None,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    drop_path: float = 0.0,
    causal: bool = True,
    window: int | None = None,
    mask: jax.Array | None = None,
    kv_mask: jax.Array | None = None,
    rotate: Rotate | None = None,
    bias: jax.Array | Bias | None = None,
    norm: Norm = layer_norm,
    qk_norm: QkNorm = rms_norm,
    activation: Callable[[jax.Array], jax.Array] = gelu,
    attend: Attend = dot_product_attention,
    forward: Forward = feed_forward,
    arrange: Arrange = pre_norm,
) -> jax.Array:
    """Transformer block, pre-norm: `x + attention(norm(x))`, and of that, `x + feed_forward(norm(x))`.

    See "On Layer Normalization in the Transformer Architecture", Xiong et al., 2020.

    Args:
      p: as `transformer_block_spec` declares; "adapter1", "adapter_cross" and "adapter2" beside are behind the
        branches of these norms.
      x: (..., t, d), floating point.
      kv: (..., s, d_cross), or its `cross_cache(p["cross"], kv)`, where p has cross-attention.
      key: noise for dropout and stochastic depth, None for none.
      rate: of dropout, on what is added to x.
      drop_path: of stochastic depth: how often an example leaves a branch out, each by itself, as in `drop_path`.
      causal, window, mask, rotate, bias, qk_norm, attend: as in `attention`.
      kv_mask: (..., t, s), of cross-attention.
      norm: `layer_norm`, or `rms_norm`.
      activation: of the feed-forward network.
      forward: what that is, as a function of p: `feed_forward`.
      arrange: how branches are added up: `pre_norm`, `post_norm`, `sandwich_norm`, `parallel`.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: shapes do not fit, or x is empty; kv without cross-attention, or this without kv.

    >>> from jnn.param import init
    >>> p, x = init(transformer_block_spec(8, 2, 32), jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 8))
    >>> transformer_block(p, x, key=None).shape
    (5, 8)
    """
    _check("transformer_block", p, forward)
    checks.array("transformer_block", x)
    attending = partial(
        attention,
        p["attention"],
        causal=causal,
        window=window,
        mask=mask,
        rotate=rotate,
        bias=bias,
        qk_norm=qk_norm,
        attend=attend,
    )
    keys = [None] * 3 if key is None else jax.random.split(key, 3 if "cross" in p else 2)
    branches: list[Branch] = [
        ("norm1", attending),
        *_others(p, kv, kv_mask, attend, partial(forward, p, activation=activation)),
    ]
    branches = _adapted(p, branches)

    def noisy(h: jax.Array, key: jax.Array | None) -> jax.Array:
        own = None if key is None else path_key(key, "drop_path")
        return dropped(dropout(h, rate, key=key), drop_path, key=own, in_axes=2)

    added = [(name, lambda h, f=f, key=key: noisy(f(h), key)) for (name, f), key in zip(branches, keys, strict=False)]
    return arrange(p, checkpoint_name(x, "input"), added, norm)


def mask_of_rows(mask: jax.Array | None, tokens: jax.Array) -> jax.Array | None:
    """A mask of attention that differs from row to row of a batch, and so goes beside its rows; None for any other."""
    per_row = mask is not None and mask.ndim > tokens.ndim and mask.shape[0] == tokens.shape[0]
    return mask if per_row else None


def cached_block(
    p: Params,
    x: jax.Array,
    cache: Cache,
    kv: jax.Array | Cache | None = None,
    *,
    window: int | None = None,
    kv_mask: jax.Array | None = None,
    rotate: Rotate | None = None,
    bias: Bias | None = None,
    norm: Norm = layer_norm,
    qk_norm: QkNorm = rms_norm,
    activation: Callable[[jax.Array], jax.Array] = gelu,
    attend: Attend = dot_product_attention,
    forward: Forward = feed_forward,
    arrange: Arrange = pre_norm,
    lengths: jax.Array | None = None,
) -> tuple[jax.Array, Cache]:
    """`transformer_block` of the next chunk of a sequence, without noise; the cache as in `cached_attention`.

    With a table in the cache it is that of `paged_attention`, for which `lengths` are.

    >>> from jnn.layers import attention_cache
    >>> from jnn.param import init
    >>> p, x = init(transformer_block_spec(8, 2, 32), jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 8))
    >>> y, cache = cached_block(p, x, attention_cache(p["attention"], 16))
    >>> y.shape, int(cache["next"])
    ((5, 8), 5)
    """
    _check("cached_block", p, forward)
    checks.array("cached_block", x)
    if bias is not None and "table" in cache:
        raise ValueError("cached_block: found a bias and a paged cache, which takes none. Give an `attention_cache`.")
    if lengths is not None and "table" not in cache:
        raise ValueError("cached_block: found lengths and a cache whose rows are all as long. Give a `paged_cache`.")
    how: dict[str, Any] = {"window": window, "rotate": rotate, "qk_norm": qk_norm, "attend": attend}
    grown: list[Cache] = []

    def attending(h: jax.Array) -> jax.Array:
        if "table" in cache:
            y, new = paged_attention(p["attention"], h, cache, lengths=lengths, **how)
        else:
            y, new = cached_attention(p["attention"], h, cache, bias=bias, **how)
        grown.append(new)
        return y

    own: list[Branch] = [
        ("norm1", attending),
        *_others(p, kv, kv_mask, attend, partial(forward, p, activation=activation)),
    ]
    return arrange(p, x, _adapted(p, own), norm), grown[0]


def _adapted(p: Params, branches: list[Branch]) -> list[Branch]:
    """The branches, each with its adapter behind it iff p has one: "adapter1" behind that of "norm1"."""
    behind = lambda own, branch: lambda h: adapter(own, branch(h))
    own = lambda name: p.get(name.replace("norm", "adapter"))
    return [(name, f if own(name) is None else behind(own(name), f)) for name, f in branches]


def _check(layer: str, p: Params, forward: Forward) -> None:
    own = ("up", "down") if forward is feed_forward else ()
    checks.params(layer, p, "norm1", "attention", *own, may=("norm2", "cross", "gate", *ADAPTERS))


def _others(
    p: Params,
    kv: jax.Array | Cache | None,
    mask: jax.Array | None,
    attend: Attend,
    forward: Callable[[jax.Array], jax.Array],
) -> list[Branch]:
    """The branches behind self-attention, once it is known whether there is cross-attention."""
    if ("cross" in p) != (kv is not None):
        found = "cross-attention, and no kv" if "cross" in p else "no cross-attention, and a kv"
        raise ValueError(
            f"transformer_block: found params with {found}. Declare it by transformer_block_spec(d_cross=...), and "
            "give kv."
        )
    last: Branch = ("norm2", forward)
    if kv is None:
        return [last]
    cache = kv if isinstance(kv, dict) else cross_cache(p["cross"], kv)
    return [("norm_cross", partial(cross_attention, p["cross"], cache=cache, mask=mask, attend=attend)), last]
