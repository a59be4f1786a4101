"""A decoder of Llama's family a chunk of tokens at a time.

    decoder_cache(p, config, length) -> cache                               empty
    cached_decoder(p, tokens, cache, config) -> (logits, cache)             the next chunk of tokens

Law: `cached_decoder` over any cut equals `decoder` over the whole.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import Cache, attention_cache, rms_norm
from jnn.models._transformer_block import cached_block
from jnn.models.decoders._block import block_options
from jnn.models.decoders._config import DecoderConfig
from jnn.models.decoders._ends import embed_tokens, logits_of
from jnn.models.decoders._groups import groups, layer, layer_at
from jnn.param import Params

Caches = tuple[Cache, ...]


def decoder_cache(
    p: Params,
    config: DecoderConfig,
    length: int,
    *,
    leading: tuple[int, ...] = (),
    dtype: DTypeLike | None = None,
) -> Caches:
    """Key-value caches of a decoder, empty, for tokens (*leading, t), up to `length` of them.

    A layer with a window remembers no more than it, in a ring.

    Args:
      p: as `decoder_spec` declares.
      config: what p was declared by.
      length: of the longest sequence.
      leading: the leading axes of tokens.
      dtype: of what is remembered, as in `attention_cache`: that of the weights, or int8 with scales.

    Returns:
      For each of config.windows the caches of its layers, stacked: (layers / n, *leading, rows, kv_heads, head).

    >>> import jax.numpy as jnp
    >>> from jnn.models import decoder_spec
    >>> from jnn.param import init
    >>> config = DecoderConfig(vocab=65, layers=4, heads=2, embed=8, hidden=16, windows=(6, None))
    >>> p = init(decoder_spec(config), jax.random.key(0))
    >>> [cache["k"].shape for cache in decoder_cache(p, config, 64, leading=(5,))]
    [(2, 5, 6, 2, 4), (2, 5, 64, 2, 4)]
    """
    checks.params("decoder_cache", p, "blocks")
    of_groups = groups(p["blocks"]["attention"], config)

    def empty(i: int, window: int | None) -> Cache:
        rows = length if window is None else min(window, length)
        return jax.vmap(lambda p: attention_cache(layer(p, i, config), rows, leading=leading, dtype=dtype))(of_groups)

    return tuple(empty(i, window) for i, window in enumerate(config.windows))


def cached_decoder(p: Params, tokens: jax.Array, cache: Caches, config: DecoderConfig) -> tuple[jax.Array, Caches]:
    """Cached decoder: logits of the token after each token of the next chunk of a sequence.

    Args:
      p: as `decoder_spec` declares.
      tokens: (..., t), integers in 0..vocab-1.
      cache: from `decoder_cache`, or from the call before.
      config: what p was declared by.

    Returns:
      (..., t, vocab), and the cache with these tokens added. NaN once a cache without a window is exceeded.

    Raises:
      TypeError, ValueError: as `decoder`.

    >>> import jax.numpy as jnp
    >>> from jnn.models import decoder_spec
    >>> from jnn.param import init
    >>> config = DecoderConfig(vocab=65, layers=2, heads=2, embed=8, hidden=16)
    >>> p = init(decoder_spec(config), jax.random.key(0))
    >>> logits, cache = cached_decoder(p, jnp.array([1, 2, 3]), decoder_cache(p, config, 64), config)
    >>> logits, cache = cached_decoder(p, logits[-1:].argmax(-1), cache, config)
    >>> logits.shape, cache[0]["next"].tolist()
    ((1, 65), [4, 4])
    """
    x, cache = cached_rows(p, tokens, cache, config)
    return logits_of(p, x, config), cache


def cached_rows(p: Params, tokens: jax.Array, cache: Caches, config: DecoderConfig) -> tuple[jax.Array, Caches]:
    """The rows (..., t, d) that `cached_decoder` reads logits from."""
    checks.params("cached_decoder", p, "embed", "blocks", "norm", may=("out",))
    checks.integers("cached_decoder", tokens, ndim=1, name="tokens")

    n = len(config.windows)

    def group(carry: tuple[jax.Array, Caches], number: jax.Array) -> tuple[tuple[jax.Array, Caches], None]:
        x, grown = carry[0], []
        for i, (window, cache) in enumerate(zip(config.windows, carry[1], strict=True)):
            own, rows = layer_at(p["blocks"], n * number + i), cache["k"].shape[-3]
            seen = window if window is not None and window <= rows else None  # a shorter sequence never leaves it
            x, new = cached_block(own, x, cache | {"layer": number}, window=seen, **block_options(own, config))
            grown.append({name: new[name] for name in cache})
        return (x, tuple(grown)), None

    begun = embed_tokens(p, tokens, config), cache
    (x, cache), _ = jax.lax.scan(group, begun, jnp.arange(config.layers // n))
    return rms_norm(p["norm"], x, epsilon=config.epsilon), cache
