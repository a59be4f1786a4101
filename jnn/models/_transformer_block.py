"""One block of a pre-norm transformer, of GPT-2's shape: attention, then an MLP, each added to the stream.

    transformer_block(p, x, key=key) -> x                   a whole sequence
    cached_block(p, x, cache) -> (x, cache)                 its next chunk

The block names what may be remembered of it, for `jnn.remat`.

Laws: with no noise, `cached_block` over any cut equals `transformer_block` over the whole; row i depends on rows
j <= i alone.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.typing import DTypeLike

from jnn import checks
from jnn.activations import gelu
from jnn.axes import constrain
from jnn.initializers import normal
from jnn.layers import (
    Cache,
    Rotate,
    attention,
    attention_spec,
    cached_attention,
    dropout,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
)
from jnn.param import Params, Spec


def transformer_block_spec(
    d: int,
    heads: int,
    hidden: int,
    *,
    kv_heads: int | None = None,
    bias: bool = True,
    out_std: float = 0.02,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a transformer block: {"norm1", "attention", "norm2", "up", "down"}.

    Args:
      d, heads, hidden, kv_heads, bias: as in `transformer_spec`.
      out_std: the standard deviation of the weights that end a residual branch.
      dtype: of all.

    >>> sorted(transformer_block_spec(64, 4, 256))
    ['attention', 'down', 'norm1', 'norm2', 'up']
    """
    small, out = normal(0.02), normal(out_std)
    return {
        "norm1": layer_norm_spec(d, bias=bias, dtype=dtype),
        "attention": attention_spec(d, heads, kv_heads=kv_heads, bias=bias, init=small, out_init=out, dtype=dtype),
        "norm2": layer_norm_spec(d, bias=bias, dtype=dtype),
        "up": linear_spec(d, hidden, bias=bias, init=small, dtype=dtype),
        "down": linear_spec(hidden, d, axes=("hidden", "embed"), bias=bias, init=out, dtype=dtype),
    }


def transformer_block(
    p: Params,
    x: jax.Array,
    *,
    key: jax.Array | None,
    rate: float = 0.0,
    causal: bool = True,
    mask: jax.Array | None = None,
    rotate: Rotate | None = None,
) -> jax.Array:
    """Pre-norm transformer block: `x + attention(norm(x))`, and of that, `x + mlp(norm(x))`.

    See "On Layer Normalization in the Transformer Architecture", Xiong et al., 2020.

    Args:
      p: as `transformer_block_spec` declares.
      x: (..., t, d), floating point.
      key: noise for dropout, None for none.
      rate: of dropout, on what is added to x.
      causal, mask, rotate: as in `attention`; an encoder's blocks are not causal.

    Returns:
      (..., t, d), in x's dtype.

    Raises:
      TypeError: x is not floating point, or mask is not bool.
      ValueError: shapes do not fit, or x is empty.

    >>> from jnn.param import init
    >>> p, x = init(transformer_block_spec(8, 2, 32), jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 8))
    >>> transformer_block(p, x, key=None).shape
    (5, 8)
    """
    checks.params("transformer_block", p, "norm1", "attention", "norm2", "up", "down")
    x = checkpoint_name(x, "input")
    one, two = (None, None) if key is None else jax.random.split(key)
    h = attention(p["attention"], layer_norm(p["norm1"], x), causal=causal, mask=mask, rotate=rotate)
    x = checkpoint_name(x + dropout(h, rate, key=one), "stream")
    return x + dropout(_mlp(p, x), rate, key=two)


def cached_block(p: Params, x: jax.Array, cache: Cache, *, rotate: Rotate | None) -> tuple[jax.Array, Cache]:
    """`transformer_block` of the next chunk of a sequence, without noise; the cache as in `cached_attention`."""
    h, cache = cached_attention(p["attention"], layer_norm(p["norm1"], x), cache, rotate=rotate)
    x = x + h
    return x + _mlp(p, x), cache


def _mlp(p: Params, x: jax.Array) -> jax.Array:
    h = checkpoint_name(constrain(linear(p["up"], layer_norm(p["norm2"], x)), "time", "hidden"), "hidden")
    return constrain(linear(p["down"], gelu(h)), "time", "embed")
