"""Text drawn token by token from a transformer, or from a decoder by its config.

    generate(p, prompt, steps, key=key) -> tokens                 prefill, then a step a token

Laws: `generate` compiles twice, its prefill and its step, whatever the number of steps. Within another program it is a
scan.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.layers import weight_shape
from jnn.models._cached_transformer import cached_transformer, transformer_cache
from jnn.models.decoders import DecoderConfig, cached_decoder, decoder_cache
from jnn.param import Params, check_key


def generate(
    p: Params,
    prompt: jax.Array,
    steps: int,
    *,
    key: jax.Array | None = None,
    temperature: float | jax.Array = 1.0,
    top_k: int | None = None,
    config: DecoderConfig | None = None,
) -> jax.Array:
    """Text generation: the prompt, and `steps` tokens drawn after it, each given all before it.

    With learned positions, prompt and steps must fit them. To go on for longer, call again with the last
    tokens as the prompt, always as many: nothing is compiled again.

    Args:
      p: as `transformer_spec` declares, or with a config `decoder_spec`.
      prompt: (..., t), integers in 0..vocab-1.
      steps: how many tokens to draw, at least 1.
      key: a PRNG key; draw i is a function of the key and i. A temperature of 0 needs none.
      temperature: divides the logits; 0 takes the likeliest token, the first of equally likely ones.
      top_k: draw among this many likeliest tokens alone: of equally likely ones, the first.
      config: of a `decoder`; None for a `transformer`.

    Returns:
      (..., t + steps), int32. Under `jit` and `jax.export`, which trace one step for all, -1 where the logits (or the
      temperature) are NaN, and from there on.

    Raises:
      TypeError: prompt is not of integers, or key is no PRNG key.
      ValueError: prompt is out of range, t + steps exceeds the learned positions; steps, temperature or
        top_k make no sense; there is no key where one is needed; or the logits are NaN.

    >>> from jnn.param import init
    >>> from jnn.models import transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> generate(p, jnp.array([1, 2, 3]), 5, key=jax.random.key(1), top_k=10).shape
    (8,)
    """
    length = _check(p, prompt, steps, key, temperature, top_k)
    draw = (key, np.float32(temperature) if isinstance(temperature, int | float) else temperature)
    token, cache = _prefill(p, prompt, *draw, length=length, top_k=top_k, config=config)
    step = lambda token, cache, i: _step(p, token, cache, *draw, i, top_k=top_k, config=config)
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((token, cache))):
        return _scanned(prompt, token, cache, steps, step)
    tokens = [token]
    for i in range(1, steps):
        token, cache = step(token, cache, np.int32(i))
        tokens.append(token)
    drawn = np.concatenate([np.asarray(token) for token in (prompt, *tokens)], axis=-1, dtype=np.int32)
    if (drawn < 0).any():
        first = int((drawn < 0).any(tuple(range(drawn.ndim - 1))).argmax()) - prompt.shape[-1]
        raise ValueError(f"generate: the logits of step {first} are NaN: no token can be drawn. Look for NaN in p.")
    return jax.device_put(drawn)


def _check(p: Params, prompt: jax.Array, steps: Any, key: Any, temperature: Any, top_k: Any) -> int:
    """How long the cache is, once the arguments make sense."""
    checks.integers("generate", prompt, ndim=1)
    vocab, t = weight_shape(p["embed"]["table"])[0], prompt.shape[-1]
    checks.in_range("generate", prompt, vocab, what="tokens", of="rows in its table")
    whole = isinstance(steps, int | np.integer) and (top_k is None or isinstance(top_k, int | np.integer))
    if not whole or steps < 1 or not _warm(temperature) or (top_k is not None and not 1 <= top_k <= vocab):
        raise ValueError(
            f"generate: expected steps >= 1, a finite temperature >= 0 and top_k in 1..{vocab} or None, found "
            f"{steps}, {temperature} and {top_k}."
        )
    if key is not None:
        check_key("generate", key)
    elif isinstance(temperature, jax.core.Tracer) or temperature != 0:
        raise ValueError(
            f"generate: a temperature of {temperature} needs a key, found None. Give key=jax.random.key(0) to draw, "
            "or temperature=0 for the likeliest token."
        )
    if "position" not in p:
        return t + steps
    context = p["position"]["table"].shape[0]
    if isinstance(t, int) and t + steps > context:  # a symbolic t is seen when it is known: as NaN
        raise ValueError(
            f"generate: a prompt of {t} and {steps} steps exceed the {context} learned positions. "
            "Call it again with the last tokens as the prompt."
        )
    return context  # one cache for every prompt, and so one compiled step


def _warm(temperature: Any) -> bool:
    """Whether it is a number that logits may be divided by, or 0."""
    if isinstance(temperature, jax.core.Tracer):
        return temperature.shape == ()
    number = isinstance(temperature, int | float | np.number | np.ndarray | jax.Array) and np.shape(temperature) == ()
    return number and 0 <= float(temperature) < np.inf


def _scanned(
    prompt: jax.Array, token: jax.Array, cache: Any, steps: int, step: Callable[..., tuple[Any, Any]]
) -> jax.Array:
    """The tokens of `generate` within another program."""

    def one(carry: tuple[jax.Array, Any], i: jax.Array) -> tuple[tuple[jax.Array, Any], jax.Array]:
        token, cache = step(*carry, i)
        return (token, cache), token[..., 0]

    _, rest = jax.lax.scan(one, (token, cache), jnp.arange(1, steps, dtype=jnp.int32))
    return jnp.concatenate([prompt.astype(jnp.int32), token, jnp.moveaxis(rest, 0, -1)], axis=-1)


@partial(jax.jit, static_argnames=("length", "top_k", "config"))
def _prefill(
    p: Params,
    prompt: jax.Array,
    key: jax.Array | None,
    temperature: jax.Array,
    *,
    length: int,
    top_k: int | None,
    config: DecoderConfig | None,
) -> tuple[jax.Array, Any]:
    leading = prompt.shape[:-1]
    empty = (
        transformer_cache(p, length, leading=leading)
        if config is None
        else decoder_cache(p, config, length, leading=leading)
    )
    logits, cache = _chunk(p, prompt, empty, config)
    return _draw(logits, key, 0, temperature, top_k), cache


@partial(jax.jit, static_argnames=("top_k", "config"), donate_argnames="cache")
def _step(
    p: Params,
    token: jax.Array,
    cache: Any,
    key: jax.Array | None,
    temperature: jax.Array,
    i: jax.Array,
    *,
    top_k: int | None,
    config: DecoderConfig | None,
) -> tuple[jax.Array, Any]:
    logits, cache = _chunk(p, token, cache, config)
    return _draw(logits, key, i, temperature, top_k), cache


def _chunk(p: Params, tokens: jax.Array, cache: Any, config: DecoderConfig | None) -> tuple[jax.Array, Any]:
    """The next chunk of a transformer, or of a decoder by its config."""
    return cached_transformer(p, tokens, cache) if config is None else cached_decoder(p, tokens, cache, config)


def _draw(
    logits: jax.Array, key: jax.Array | None, i: jax.Array | int, temperature: jax.Array, top_k: int | None
) -> jax.Array:
    """(..., t, vocab) -> (..., 1): a token drawn from the last row of logits; -1 where they are NaN."""
    last = logits[..., -1:, :].astype(jnp.float32)
    broken = jnp.isnan(last).any(-1) | ~(temperature >= 0)
    token = last.argmax(-1)
    if key is not None:
        best, which = (last, None) if top_k is None else jax.lax.top_k(last, top_k)  # of equal ones, the first
        likeliest = best.max(-1, keepdims=True)
        # from the likeliest down, so that no division overflows
        scaled = jnp.where(best == likeliest, 0, (best - likeliest) / jnp.maximum(temperature, 1e-6))
        drawn = jax.random.categorical(jax.random.fold_in(key, i), scaled)
        drawn = drawn if which is None else jnp.take_along_axis(which, drawn[..., None], -1)[..., 0]
        token = jnp.where(temperature == 0, token, drawn)
    return jnp.where(broken, -1, token).astype(jnp.int32)
