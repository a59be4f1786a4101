"""The transformer a chunk of tokens at a time.

    transformer_cache(p, length) -> cache                         empty
    cached_transformer(p, tokens, cache) -> (logits, cache)       the next chunk of tokens

Law: `cached_transformer` over any cut equals `transformer` over the whole.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import Cache, attention_cache, layer_norm, unembed
from jnn.models._transformer import embed_tokens, rotation
from jnn.models._transformer_block import cached_block
from jnn.param import Params


def transformer_cache(
    p: Params, length: int, *, leading: tuple[int, ...] = (), dtype: DTypeLike | None = None
) -> Cache:
    """Key-value caches of a transformer, empty, of `length` tokens, for tokens (*leading, t): one for each layer.

    What they remember is of this dtype, as in `attention_cache`.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=3, heads=2, embed=8), jax.random.key(0))
    >>> transformer_cache(p, 64, leading=(5,))["k"].shape
    (3, 5, 64, 2, 4)
    """
    checks.params("transformer_cache", p, "blocks")
    return jax.vmap(lambda p: attention_cache(p, length, leading=leading, dtype=dtype))(p["blocks"]["attention"])


def cached_transformer(p: Params, tokens: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
    """Cached transformer: logits of the token after each token of the next chunk of a sequence.

    Args:
      p: as `transformer_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `transformer_cache`, or from the call before.

    Returns:
      (..., t, vocab), and the cache with these tokens added. Under `jit`, NaN once the cache or the learned
      positions are exceeded.

    Raises:
      TypeError, ValueError: as `transformer`.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> logits, cache = cached_transformer(p, jnp.array([1, 2, 3]), transformer_cache(p, 64))
    >>> logits, cache = cached_transformer(p, logits[-1:].argmax(-1), cache)
    >>> logits.shape, cache["next"].tolist()
    ((1, 65), [4, 4])
    """
    x, cache = cached_rows(p, tokens, cache)
    return unembed(p["embed"], x), cache


def cached_rows(p: Params, tokens: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
    """The rows (..., t, d) that `cached_transformer` reads logits from."""
    checks.integers("cached_transformer", tokens, ndim=1)
    x = embed_tokens(p, tokens, cache["next"][0] + jnp.arange(tokens.shape[-1]))

    def layer(carry: tuple[jax.Array, Cache], slice_: tuple[Params, jax.Array]) -> tuple[tuple[jax.Array, Cache], None]:
        x, grown = cached_block(slice_[0], carry[0], carry[1] | {"layer": slice_[1]}, rotate=rotation(p))
        return (x, {name: grown[name] for name in cache}), None

    (x, cache), _ = jax.lax.scan(layer, (x, cache), (p["blocks"], jnp.arange(len(cache["next"]))))
    return layer_norm(p["norm"], x), cache
