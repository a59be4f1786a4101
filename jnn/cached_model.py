"""A language model as generation sees it: functions of parameters, tokens and a memory, whatever it is made of.

    model.cache(p, length, leading=()) -> cache                 empty, for tokens (*leading, t)
    model.chunk(p, tokens, cache) -> (logits, cache)            the next chunk of tokens

Laws: `chunk` over any cut of a sequence gives the logits of the whole. A model is static under `jit`: equal ones share
a compiled program, so what makes one of a config gives the same one for equal configs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from jnn.param import Params


def no_limit(p: Params) -> None:
    """Of a model whose sequences may be of any length."""


@dataclasses.dataclass(frozen=True)
class CachedModel:
    """Cached language model: what `jnn.generate` and others that draw text need of one.

    Attributes:
      cache: (p, length, leading=()) -> an empty cache for `length` tokens of each sequence.
      chunk: (p, tokens (..., t), cache) -> logits (..., t, vocab) of the token after each, and the cache with these.
      vocab: (p) -> how many tokens there are.
      longest: (p) -> how many tokens a sequence may have, where positions are learned, or None.
      rows: (p, tokens, cache) -> as `chunk`, but rows (..., t, d) that logits are read from; for `contrastive_search`.
      read_out: (p, rows) -> logits.
      paged_cache: (p, pages, page, table) -> as `jnn.layers.paged_cache`: a position of its own for each sequence in
        "next", which may be set back. None where there is no such cache.
      paged_chunk: (p, tokens, cache, lengths=None) -> as `chunk`, of the first `lengths` of each row's tokens.

    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> from jnn.param import init
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> TRANSFORMER.vocab(p), TRANSFORMER.longest(p)
    (65, 64)
    """

    cache: Callable[..., Any]
    chunk: Callable[[Params, jax.Array, Any], tuple[jax.Array, Any]]
    vocab: Callable[[Params], int]
    longest: Callable[[Params], int | None] = no_limit
    rows: Callable[[Params, jax.Array, Any], tuple[jax.Array, Any]] | None = None
    read_out: Callable[[Params, jax.Array], jax.Array] | None = None
    paged_cache: Callable[..., Any] | None = None
    paged_chunk: Callable[..., tuple[jax.Array, Any]] | None = None
