"""Text on the device: the two programs that `generate` compiles, and what they hand each other.

    prefill(p, prompt, lengths, ...) -> text, None  reads all of a prompt but its last token
    decode(p, text, key, sampling, limit, ...)      reads the last token, draws the next one, and so on: a loop

A step reads before it draws, so that the prompt's logits are never made, whatever its length.

Law: what is drawn does not depend on how steps are cut into calls of `decode`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn.cached_model import CachedModel
from jnn.generation._sampling import History, Sampling, adjusted_logits
from jnn.param import Params

Allow = Callable[[jax.Array, jax.Array], jax.Array]  # tokens (..., size), lengths (...) -> bool (..., vocab)


class Text(NamedTuple):
    """Texts that are being written: tokens (..., size), how many of them count (...), and whether that is all.

    The cache has all of them but the last; `prompt` (...) were given, and `drawn` () steps were taken since.
    """

    tokens: jax.Array
    log_probs: jax.Array
    prompt: jax.Array
    lengths: jax.Array
    done: jax.Array
    drawn: jax.Array
    cache: Any


@partial(jax.jit, static_argnames=("model", "size"))
def prefill(
    p: Params, prompt: jax.Array, lengths: jax.Array | None, *, model: CachedModel, size: int
) -> tuple[Text, jax.Array | None]:
    """Texts of a prompt (..., t), with room for `size` tokens; with lengths (...), each in a page of its own.

    Of a t that is symbolic, and may be 1, all is read: logits (..., vocab) of the next token go with it.
    """
    *leading, t = prompt.shape
    cache, logits = empty_cache(model, p, size, tuple(leading), paged=lengths is not None), None
    if not isinstance(t, int):
        logits, cache = read(model, p, prompt, cache, lengths)
        last = jnp.full(leading, t, jnp.int32) if lengths is None else lengths
        logits = jnp.take_along_axis(logits, last[..., None, None] - 1, -2)[..., 0, :]
    elif t > 1:
        _, cache = read(model, p, prompt[..., :-1], cache, None if lengths is None else lengths - 1)
    return start(prompt, lengths, size)._replace(cache=cache), logits


def start(prompt: jax.Array, lengths: jax.Array | None, size: int) -> Text:
    """Texts that are nothing but their prompts (..., t), without a cache."""
    *leading, t = prompt.shape
    count = jnp.broadcast_to(jnp.asarray(t, jnp.int32), leading) if lengths is None else lengths.astype(jnp.int32)
    return Text(
        tokens=jnp.zeros((*leading, size), jnp.int32).at[..., :t].set(prompt.astype(jnp.int32)),
        log_probs=jnp.zeros((*leading, size), jnp.float32),
        prompt=count,
        lengths=count,
        done=jnp.zeros(leading, bool),
        drawn=jnp.zeros((), jnp.int32),
        cache=None,
    )


def empty_cache(model: CachedModel, p: Params, size: int, leading: tuple[int, ...], *, paged: bool) -> Any:
    """A cache for texts of `size` tokens; a paged one has one page for each text."""
    if not paged:
        return model.cache(p, size, leading=leading)
    assert model.paged_cache is not None  # see `_checks`
    rows = math.prod(leading)
    return model.paged_cache(p, rows, size, jnp.arange(rows, dtype=jnp.int32).reshape(*leading, 1))


def read(model: CachedModel, p: Params, tokens: jax.Array, cache: Any, lengths: jax.Array | None) -> tuple[Any, Any]:
    """The next chunk by the model's function for a cache of this kind."""
    if isinstance(cache, dict) and "table" in cache and model.paged_chunk is not None:
        return model.paged_chunk(p, tokens, cache, lengths=lengths)
    return model.chunk(p, tokens, cache)


@partial(jax.jit, static_argnames=("model", "end", "allow"), donate_argnames="cache")
def decode(
    p: Params,
    text: Text,
    cache: Any,
    key: jax.Array | None,
    sampling: Sampling,
    limit: jax.Array | int,
    first: jax.Array | None = None,
    *,
    model: CachedModel,
    end: tuple[int, ...],
    allow: Allow | None,
) -> Text:
    """Texts with up to `limit` tokens more, fewer where all have ended; of the first one, logits may be given."""

    def longer(text: Text, logits: jax.Array) -> Text:
        return written(text, *draw(logits, text, key, sampling, allow), end)

    def goes_on(state: tuple[jax.Array, Text]) -> jax.Array:
        return (state[0] < limit) & ~state[1].done.all()

    def one(state: tuple[jax.Array, Text]) -> tuple[jax.Array, Text]:
        n, text = state
        logits, cache = read(model, p, last_token(text), text.cache, None)
        return n + 1, longer(text._replace(cache=cache), logits[..., 0, :])

    text = text._replace(cache=cache)
    text, n = (text, 0) if first is None else (longer(text, first), 1)
    return jax.lax.while_loop(goes_on, one, (jnp.asarray(n, jnp.int32), text))[1]


def last_token(text: Text) -> jax.Array:
    """(..., 1)."""
    return jnp.take_along_axis(text.tokens, text.lengths[..., None] - 1, -1)


def draw(
    logits: jax.Array, text: Text, key: jax.Array | None, sampling: Sampling, allow: Allow | None
) -> tuple[jax.Array, jax.Array]:
    """(..., vocab) -> a token (...), -1 where none can be drawn, and its logarithm of probability, the model's own."""
    history = History(text.tokens, text.prompt, text.lengths)
    allowed = None if allow is None else allow(text.tokens, text.lengths)
    scores = adjusted_logits(logits, sampling, history, allowed)
    if key is None:
        token = scores.argmax(-1)
    elif key.ndim == 0:
        token = jax.random.categorical(jax.random.fold_in(key, text.drawn), scores)
    else:
        one = lambda key, scores: jax.random.categorical(jax.random.fold_in(key, text.drawn), scores)
        token = jax.vmap(one)(key.reshape(-1), scores.reshape(-1, scores.shape[-1])).reshape(key.shape)
    token, log_prob = token_log_prob(logits, token, allowed)
    broken = ~(sampling.temperature >= 0) | (last_token(text)[..., 0] < 0)
    return jnp.where(broken, -1, token), log_prob


def token_log_prob(
    logits: jax.Array, token: jax.Array, allowed: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Token log-probability: of a token (...) drawn from logits (..., vocab), whatever sampling made of them.

    Args:
      logits: the model's own.
      token: integers in 0..vocab-1.
      allowed: bool (..., vocab), of constrained decoding.

    Returns:
      The token, int32, -1 where none can be drawn: of logits that are NaN, or all -inf where they are allowed; and its
      logarithm of probability, float32.

    >>> token, log_prob = token_log_prob(jnp.log(jnp.array([0.25, 0.75])), jnp.array(1))
    >>> token.item(), round(jnp.exp(log_prob).item(), 6)
    (1, 0.75)
    """
    possible = logits > -jnp.inf if allowed is None else allowed & (logits > -jnp.inf)
    broken = jnp.isnan(logits).any(-1) | ~possible.any(-1)
    logs = jax.nn.log_softmax(logits.astype(jnp.float32))
    log_prob = jnp.take_along_axis(logs, token[..., None], -1)[..., 0]
    return jnp.where(broken, -1, token).astype(jnp.int32), log_prob


def written(text: Text, token: jax.Array, log_prob: jax.Array, end: tuple[int, ...]) -> Text:
    """With one token more each, but of texts that have ended."""
    at = jax.lax.broadcasted_iota(jnp.int32, text.tokens.shape, text.tokens.ndim - 1)
    here = (at == text.lengths[..., None]) & ~text.done[..., None]
    ends = jnp.isin(token, jnp.array(end, jnp.int32)) if end else jnp.zeros_like(text.done)
    return text._replace(
        tokens=jnp.where(here, token[..., None], text.tokens),
        log_probs=jnp.where(here, log_prob[..., None], text.log_probs),
        lengths=text.lengths + ~text.done,
        done=text.done | ends,
        drawn=text.drawn + 1,
    )
