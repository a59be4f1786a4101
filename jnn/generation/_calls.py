"""What the host does while the device draws: it begins a text, calls for more tokens, and looks at what there is.

    begun = begin(...)                       the prompt is read
    for text in calls(..., *begun, ...):     so many tokens more, until there are enough or all texts have ended
    finished(..., text, length, end)         what the user gets

Law: what is drawn does not depend on how many tokens a call draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.cached_model import CachedModel
from jnn.generation._checks import check_end, check_keys, check_text
from jnn.generation._decode import Allow, Text, decode, prefill
from jnn.generation._sampling import Sampling, as_numbers, check_sampling
from jnn.generation._stop import Stop, cut
from jnn.param import Params

PER_CALL = 16
Advance = Callable[[Text, Any], Text]


class Generated(NamedTuple):
    """Generated text.

    Attributes:
      tokens: (..., t + steps), int32: each prompt, and what was drawn after it; behind `lengths` the end token, or 0.
      lengths: (...), int32: how many of the row are prompt and text, the token that ended it among them.
      log_probs: (..., t + steps), float32: the logarithm of each drawn token's probability, as the model has it,
        whatever `sampling` makes of it. 0 for the others.
    """

    tokens: jax.Array
    lengths: jax.Array
    log_probs: jax.Array


def begin(
    where: str,
    p: Params,
    prompt: jax.Array,
    steps: int,
    model: CachedModel,
    sampling: Sampling,
    key: Any,
    lengths: jax.Array | None,
    end: int | Sequence[int],
    allow: Allow | None,
) -> tuple[Text, Advance, bool]:
    """Texts that hold the prompt, what draws more of them, and whether it is traced; once the arguments make sense."""
    size = check_text(where, p, prompt, steps, model, lengths)
    vocab = model.vocab(p)
    check_sampling(where, sampling, vocab, key, prompt.shape[:-1])
    key, ends = check_keys(where, key, prompt.shape[:-1]), check_end(where, end, vocab)
    text, first = prefill(p, prompt, lengths, model=model, size=size)
    draw = partial(decode, p, first=first, key=key, sampling=as_numbers(sampling), model=model, end=ends, allow=allow)

    def advance(text: Text, limit: int) -> Text:  # the cache by itself: it alone is large, and written in place
        return draw(text._replace(cache=None), text.cache, limit=np.int32(limit))

    traced = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((text, key, sampling)))
    return text, advance, traced


def calls(
    where: str, text: Text, advance: Advance, traced: bool, steps: int, per_call: int, stop: Stop
) -> Iterator[Text]:
    """The texts after each call of the device, until there are `steps` tokens more or all have ended."""
    if traced:
        if stop.strings:
            raise ValueError(f"{where}: stop strings are looked for between calls of the device: not within `jit`.")
        yield advance(text, steps)
        return
    transcripts = stop.transcripts(text)
    for left in range(steps, 0, -per_call):
        text = cut(advance(text, min(left, per_call)), transcripts)
        yield text
        if np.asarray(text.done).all():
            return


def finished(where: str, text: Text, length: int, end: Sequence[int]) -> Generated:
    """The first `length` tokens of each text, and behind its last one what ends texts."""
    fill = end[0] if end else 0
    parts = (text.tokens, text.log_probs, text.lengths)
    if isinstance(text.tokens, jax.core.Tracer):
        return _trimmed(jnp, *parts, length, fill)
    tokens, log_probs, lengths = map(np.asarray, parts)
    found = _trimmed(np, tokens, log_probs, lengths, length, fill)
    if (found.tokens < 0).any():
        at = np.where(found.tokens < 0, np.arange(length), length) - np.asarray(text.prompt)[..., None]
        raise ValueError(
            f"{where}: the logits of step {at.min()} are NaN, or no token is allowed there: none can be drawn. Look "
            "for NaN in p, or at what `allow` gives."
        )
    return jax.device_put(found)


def _trimmed(xp: Any, tokens: Any, log_probs: Any, lengths: Any, length: int, fill: int) -> Generated:
    """In NumPy, where nothing has to be compiled for it, or in JAX."""
    here = xp.broadcast_to(xp.arange(length, dtype=np.int32), (*lengths.shape, length)) < lengths[..., None]
    tokens, log_probs = tokens[..., :length], log_probs[..., :length]
    return Generated(xp.where(here, tokens, np.int32(fill)), lengths, xp.where(here, log_probs, np.float32(0)))
