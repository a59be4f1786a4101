"""How the next token is drawn: which options there are, and what they make of logits.

    Sampling(temperature=0.7, top_p=0.9)                        static in its shape, traced in its numbers
    adjusted_logits(logits, sampling, history, allowed) -> logits      all that it says, in this order

The order is that of the table: penalties, what is allowed, temperature, and what cuts off the tail.
"""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn.generation._adjust import (
    allowed_logits,
    frequency_logits,
    min_p_logits,
    presence_logits,
    repetition_logits,
    temperature_logits,
    top_k_logits,
    top_p_logits,
    typical_logits,
)
from jnn.precision import wide

Number = float | jax.Array  # one for all rows, or (...) one for each
CUTS = {"top_p": top_p_logits, "min_p": min_p_logits, "typical_p": typical_logits}  # behind top-k


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["temperature", "top_p", "min_p", "typical_p", "repetition", "presence", "frequency"],
    meta_fields=["top_k"],
)
@dataclasses.dataclass(frozen=True)
class Sampling:
    """Sampling options: how a token is drawn from logits. What is None is not done.

    Numbers are traced, so that others need no other program; each may be an array, one for each row.

    Attributes:
      temperature: divides the logits; 0 takes the likeliest token, the first of equally likely ones.
      top_k: draws among this many likeliest tokens alone: of equally likely ones, the first.
      top_p: and among the fewest likeliest ones that have this probability together.
      min_p: and among those that have this part of the likeliest one's probability.
      typical_p: and among those whose surprise is nearest to what is expected, that have this probability together.
      repetition: divides positive logits of tokens that are in the text or its prompt, and multiplies negative ones.
      presence: is subtracted from logits of tokens that were drawn before.
      frequency: as often as they were.

    >>> Sampling(temperature=0.7, top_p=0.9).top_k is None
    True
    """

    temperature: Number = 1.0
    top_k: int | None = None
    top_p: Number | None = None
    min_p: Number | None = None
    typical_p: Number | None = None
    repetition: Number | None = None
    presence: Number | None = None
    frequency: Number | None = None


PLAIN = Sampling()
GREEDY = Sampling(temperature=0.0)


class History(NamedTuple):
    """What was read and drawn: tokens (..., size), of which the first `lengths` (...) count; `prompt` were given."""

    tokens: jax.Array
    prompt: jax.Array
    lengths: jax.Array


def adjusted_logits(
    logits: jax.Array, sampling: Sampling, history: History, allowed: jax.Array | None = None
) -> jax.Array:
    """(..., vocab) -> (..., vocab), float32 or wider: a draw by their softmax is what `sampling` asks for."""
    scores = wide(logits)
    vocab = scores.shape[-1]
    if sampling.repetition is not None:
        scores = repetition_logits(scores, _counts(history, vocab, 0 * history.prompt) > 0, sampling.repetition)
    if sampling.presence is not None or sampling.frequency is not None:
        drawn = _counts(history, vocab, history.prompt)
        scores = scores if sampling.presence is None else presence_logits(scores, drawn, sampling.presence)
        scores = scores if sampling.frequency is None else frequency_logits(scores, drawn, sampling.frequency)
    scores = scores if allowed is None else allowed_logits(scores, allowed)
    scores = temperature_logits(scores, sampling.temperature)
    scores = scores if sampling.top_k is None else top_k_logits(scores, sampling.top_k)
    for name, cut in CUTS.items():
        scores = scores if getattr(sampling, name) is None else cut(scores, getattr(sampling, name))
    return scores


def _counts(history: History, vocab: int, first: jax.Array) -> jax.Array:
    """(..., vocab): how often each token stands at `first` or behind."""
    at = jax.lax.broadcasted_iota(jnp.int32, history.tokens.shape, history.tokens.ndim - 1)
    here = (at >= first[..., None]) & (at < history.lengths[..., None]) & (history.tokens >= 0)
    one = lambda tokens, here: jnp.zeros(vocab, jnp.int32).at[tokens].add(here, mode="drop")
    flat = (x.reshape(-1, x.shape[-1]) for x in (history.tokens, here.astype(jnp.int32)))
    return jax.vmap(one)(*flat).reshape(*history.lengths.shape, vocab)


# a name, what is expected of it, and whether a number is that
RULES = {
    "temperature": ("finite and at least 0", lambda x: 0 <= x < math.inf),
    **dict.fromkeys(("top_p", "typical_p"), ("over 0 and at most 1", lambda x: 0 < x <= 1)),
    "min_p": ("from 0 to 1", lambda x: 0 <= x <= 1),
    "repetition": ("positive", lambda x: 0 < x < math.inf),
    **dict.fromkeys(("presence", "frequency"), ("finite", lambda x: -math.inf < x < math.inf)),
}


def check_sampling(where: str, sampling: Any, vocab: int, key: Any, leading: tuple[int, ...]) -> None:
    """Raises unless the options make sense for rows `leading`, and there is a key if one is needed.

    Traced numbers are not looked at.
    """
    if not isinstance(sampling, Sampling):
        raise TypeError(f"{where}: expected a jnn.generation.Sampling, found {type(sampling).__name__}.")
    k = sampling.top_k
    if k is not None and (not isinstance(k, int | np.integer) or not 1 <= k <= vocab):
        raise ValueError(f"{where}: expected top_k in 1..{vocab} or None, found {k}.")
    for name, (expected, fits) in RULES.items():
        number = getattr(sampling, name)
        if (shape := np.shape(number)) not in ((), leading):
            each = f"a {name} for each of the rows {leading}, or one for all" if leading else f"one {name} of one row"
            raise ValueError(f"{where}: expected {each}, found {shape}.")
        if number is None or isinstance(number, jax.core.Tracer):
            continue
        if not isinstance(number, int | float | np.number | np.ndarray | jax.Array) or not _all(fits, number):
            raise ValueError(f"{where}: expected a {name} that is {expected}, found {number}.")
    if key is None and (isinstance(sampling.temperature, jax.core.Tracer) or np.any(sampling.temperature != 0)):
        raise ValueError(
            f"{where}: a temperature of {sampling.temperature} needs a key, found None. Give key=jax.random.key(0) to "
            "draw, or jnn.generation.GREEDY, whose temperature is 0, for the likeliest token."
        )


def _all(fits: Any, numbers: Any) -> bool:
    return all(map(fits, np.ravel(numbers).tolist()))


def as_numbers(sampling: Sampling) -> Sampling:
    """With its numbers as float32: 0 and 0.5 need one program."""
    return jax.tree.map(lambda x: np.float32(x) if isinstance(x, int | float) else x, sampling)
