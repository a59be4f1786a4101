"""The transformer as a generator: a chunk of tokens at a time with a cache, and text drawn token by token.

    transformer_cache(p, length) -> cache                         empty
    cached_transformer(p, tokens, cache) -> (logits, cache)       the next chunk of tokens
    generate(p, prompt, steps, key=key) -> tokens                 prefill, then a step a token

Laws: `cached_transformer` over any cut equals `transformer` over the whole; `generate` compiles twice, its prefill
and its step, whatever the number of steps.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.layers import attention_cache, layer_norm, unembed
from jnn.layers.attention_cache import Cache
from jnn.models.transformer import embed_tokens, rotation
from jnn.models.transformer_block import cached_block
from jnn.param import Params


def transformer_cache(p: Params, length: int, *, leading: tuple[int, ...] = ()) -> Cache:
    """An empty memory of `length` tokens, for tokens (*leading, t): `attention_cache`, once a layer.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=3, heads=2, embed=8), jax.random.key(0))
    >>> transformer_cache(p, 64, leading=(5,))["k"].shape
    (3, 5, 64, 2, 4)
    """
    return jax.vmap(lambda p: attention_cache(p, length, leading=leading))(p["blocks"]["attention"])


def cached_transformer(p: Params, tokens: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
    """Logits of the token after each token of the next chunk of a sequence.

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
    checks.integers("cached_transformer", tokens, ndim=1)
    x = embed_tokens(p, tokens, cache["next"][0] + jnp.arange(tokens.shape[-1]))

    def layer(x: jax.Array, slice_: tuple[Params, Cache]) -> tuple[jax.Array, Cache]:
        return cached_block(slice_[0], x, slice_[1], rotate=rotation(p))

    x, cache = jax.lax.scan(layer, x, (p["blocks"], cache))
    return unembed(p["embed"], layer_norm(p["norm"], x)), cache


def generate(
    p: Params,
    prompt: jax.Array,
    steps: int,
    *,
    key: jax.Array,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> jax.Array:
    """The prompt, and `steps` tokens drawn after it, each given all before it.

    With learned positions, prompt and steps must fit them. To go on for longer, call again with the last
    tokens as the prompt, always as many: nothing is compiled again.

    Args:
      p: as `transformer_spec` declares.
      prompt: (..., t), integers in 0..vocab-1.
      steps: how many tokens to draw, at least 1.
      key: a PRNG key; draw i is a function of the key and i.
      temperature: divides the logits; 0 takes the likeliest token.
      top_k: draw among this many likeliest tokens alone.

    Returns:
      (..., t + steps), int32.

    Raises:
      TypeError: prompt is not of integers.
      ValueError: prompt is out of range, t + steps exceeds the learned positions, or steps, temperature or
        top_k make no sense.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> generate(p, jnp.array([1, 2, 3]), 5, key=jax.random.key(1), top_k=10).shape
    (8,)
    """
    checks.integers("generate", prompt, ndim=1)
    vocab, length = p["embed"]["table"].shape[0], prompt.shape[-1] + steps
    checks.in_range("generate", prompt, vocab, what="tokens", of="rows in its table")
    if "position" in p:
        context = p["position"]["table"].shape[0]
        if length > context:
            raise ValueError(
                f"generate: a prompt of {prompt.shape[-1]} and {steps} steps exceed the {context} learned positions. "
                "Call it again with the last tokens as the prompt."
            )
        length = context  # one cache for every prompt, and so one compiled step
    if steps < 1 or temperature < 0 or (top_k is not None and not 1 <= top_k <= vocab):
        raise ValueError(
            f"generate: expected steps >= 1, temperature >= 0 and top_k in 1..{vocab} or None, found "
            f"{steps}, {temperature} and {top_k}."
        )
    draw = (key, np.float32(temperature))
    token, cache = _prefill(p, prompt, *draw, length=length, top_k=top_k)
    tokens = [token]
    for i in range(1, steps):
        token, cache = _step(p, token, cache, *draw, np.int32(i), top_k=top_k)
        tokens.append(token)
    drawn = np.concatenate([np.asarray(token) for token in (prompt, *tokens)], axis=-1, dtype=np.int32)
    return jax.device_put(drawn)


@partial(jax.jit, static_argnames=("length", "top_k"))
def _prefill(
    p: Params, prompt: jax.Array, key: jax.Array, temperature: jax.Array, *, length: int, top_k: int | None
) -> tuple[jax.Array, Cache]:
    logits, cache = cached_transformer(p, prompt, transformer_cache(p, length, leading=prompt.shape[:-1]))
    return _draw(logits, jax.random.fold_in(key, 0), temperature, top_k), cache


@partial(jax.jit, static_argnames="top_k", donate_argnames="cache")
def _step(
    p: Params,
    token: jax.Array,
    cache: Cache,
    key: jax.Array,
    temperature: jax.Array,
    i: jax.Array,
    *,
    top_k: int | None,
) -> tuple[jax.Array, Cache]:
    logits, cache = cached_transformer(p, token, cache)
    return _draw(logits, jax.random.fold_in(key, i), temperature, top_k), cache


def _draw(logits: jax.Array, key: jax.Array, temperature: jax.Array, top_k: int | None) -> jax.Array:
    """(..., t, vocab) -> (..., 1): a token drawn from the last row of logits."""
    last = logits[..., -1:, :].astype(jnp.float32)
    if top_k is not None:
        last = jnp.where(last < jax.lax.top_k(last, top_k)[0][..., -1:], -jnp.inf, last)
    drawn = jax.random.categorical(key, last / jnp.maximum(temperature, 1e-6))
    return jnp.where(temperature == 0, last.argmax(-1), drawn).astype(jnp.int32)
