"""What guesses the next tokens cheaply: a smaller model, or the text itself, where it says something again.

DraftModel(p, model)        draws them, one after the other
PromptLookup(longest=3)     what stood behind the last tokens where they stood before
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jnn.cached_model import CachedModel
from jnn.generation._decode import Text, last_token, prefill, read
from jnn.generation._sampling import History, Sampling, adjusted_logits
from jnn.param import Params


@partial(jax.tree_util.register_dataclass, data_fields=["p"], meta_fields=["model"])
@dataclasses.dataclass(frozen=True)
class DraftModel:
    """Draft model: a smaller one of the same vocabulary.

    Attributes:
      p: its parameters.
      model: as in `generate`, with a paged cache.
    """

    p: Params
    model: CachedModel

    def begin(self, prompt: jax.Array, lengths: jax.Array, size: int) -> Any:
        """What it remembers of the prompt."""
        longest = self.model.longest(self.p)
        return prefill(self.p, prompt, lengths, model=self.model, size=size if longest is None else longest)[0].cache

    def propose(
        self, text: Text, memory: Any, key: jax.Array, sampling: Sampling, ahead: int
    ) -> tuple[jax.Array, jax.Array, Any]:
        """Drafted tokens (..., ahead), the probabilities they were drawn by (..., ahead, vocab), and its memory."""

        def one(state: tuple[Text, Any], i: jax.Array) -> tuple[tuple[Text, Any], Any]:
            text, memory = state
            logits, memory = read(self.model, self.p, last_token(text), memory, None)
            scores = adjusted_logits(logits[..., 0, :], sampling, History(text.tokens, text.prompt, text.lengths))
            token = jax.random.categorical(jax.random.fold_in(key, i), scores).astype(jnp.int32)
            at = jax.lax.broadcasted_iota(jnp.int32, text.tokens.shape, text.tokens.ndim - 1)
            tokens = jnp.where(at == text.lengths[..., None], token[..., None], text.tokens)
            grown = text._replace(tokens=tokens, lengths=text.lengths + 1)
            return (grown, memory), (token, jax.nn.softmax(scores))

        # one step more than is asked for: it reads the last one
        (_, memory), (tokens, chances) = jax.lax.scan(one, (text._replace(cache=None), memory), jnp.arange(ahead + 1))
        return jnp.moveaxis(tokens[:-1], 0, -1), jnp.moveaxis(chances[:-1], 0, -2), memory


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["longest"])
@dataclasses.dataclass(frozen=True)
class PromptLookup:
    """Prompt look-up: guesses that what followed the last tokens before follows them again.

    See "Prompt Lookup Decoding", Saxena, 2023 (github.com/apoorvumang/prompt-lookup-decoding).

    Attributes:
      longest: how many last tokens are looked for; where they stand nowhere, fewer.
    """

    longest: int = 3

    def begin(self, prompt: jax.Array, lengths: jax.Array, size: int) -> Any:
        """Nothing: it reads the text."""
        return {"next": lengths.astype(jnp.int32)}

    def propose(
        self, text: Text, memory: Any, key: jax.Array, sampling: Sampling, ahead: int
    ) -> tuple[jax.Array, None, Any]:
        """Drafted tokens (..., ahead), each with probability 1, for which None stands; and its memory."""
        rows, size = text.tokens.reshape(-1, text.tokens.shape[-1]), text.tokens.shape[-1]
        behind = jax.vmap(self._behind)(rows, text.lengths.reshape(-1))
        at = jnp.minimum(behind[:, None] + jnp.arange(ahead)[None], size - 1)
        return jnp.take_along_axis(rows, at, -1).reshape(*text.lengths.shape, ahead), None, memory

    def _behind(self, tokens: jax.Array, length: jax.Array) -> jax.Array:
        """The place behind where the longest end of a text that stood in it before stood last; else its last place."""
        size, best = tokens.shape[0], length - 1
        for n in range(1, self.longest + 1):
            end = tokens[length - n + jnp.arange(n)]
            same = jnp.stack([jnp.roll(tokens, -i) == end[i] for i in range(n)]).all(0)
            starts = same & (jnp.arange(size) + n < length) & (length > n)
            best = jnp.where(starts.any(), jnp.where(starts, jnp.arange(size), -1).max() + n, best)
        return best
