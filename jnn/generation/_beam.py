"""Beam search: the likeliest texts among those whose beginnings are among the likeliest.

Law: with a beam for every text there could be, it finds the best of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation._checks import check_end, check_text
from jnn.generation._decode import Allow, Text, allowed_by, prefill, read
from jnn.param import Params


class Beams(NamedTuple):
    """Texts that a beam search found, the best one first.

    Attributes:
      tokens: (..., beams, t + steps), int32: the prompt and the text; behind `lengths` the end token, or 0.
      lengths: (..., beams), int32: how many of the row are prompt and text, the token that ended it among them.
      scores: (..., beams), float32: log-probability, divided by the length of the text to the power of the penalty.
    """

    tokens: jax.Array
    lengths: jax.Array
    scores: jax.Array


def beam_search(
    p: Params,
    prompt: jax.Array,
    steps: int,
    model: CachedModel,
    *,
    beams: int,
    length_penalty: float = 1.0,
    end: int | Sequence[int] = (),
    allow: Allow | None = None,
) -> Beams:
    """Beam search: the texts of up to `steps` tokens with the best scores, of those that it comes by.

    It goes on until no text that is being written can beat those that are complete.

    Args:
      p, prompt, steps, model, end, allow: as in `generate`.
      beams: how many texts are written at a time, and returned.
      length_penalty: log-probabilities are divided by the length of the text to this power: 0 for as they are; the
        larger, the longer texts.

    Returns:
      `Beams`.

    Raises:
      TypeError, ValueError: as `generate`; beams or the penalty make no sense.

    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> from jnn.param import init
    >>> p = init(transformer_spec(26, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> beam_search(p, jnp.array([1, 2]), 5, TRANSFORMER, beams=3).tokens.shape
    (3, 7)
    """
    size = check_text("beam_search", p, prompt, steps, model)
    checks.count("beam_search", "beams", beams)
    if not np.isfinite(length_penalty):
        raise ValueError(f"beam_search: expected a finite length_penalty, found {length_penalty}.")
    ends, (*leading, t) = check_end("beam_search", end, model.vocab(p)), prompt.shape
    how = {"model": model, "size": size, "beams": beams, "end": ends, "allow": allow}
    found = _search(p, prompt.reshape(-1, t), np.int32(steps), np.float32(length_penalty), **how)
    tokens, lengths, scores = (x.reshape(*leading, *x.shape[1:]) for x in found)
    if not isinstance(scores, jax.core.Tracer) and np.isneginf(scores).any() | np.isnan(scores).any():
        raise ValueError(
            f"beam_search: found fewer than {beams} texts, or logits that are NaN. Take no more beams than there are "
            "texts that may be written, or look for NaN in p."
        )
    return Beams(tokens[..., : t + steps], lengths, scores)


class _State(NamedTuple):
    """Axes: (rows, beams, ...). What is being written, of equal length, and the best complete texts so far."""

    drawn: jax.Array
    tokens: jax.Array
    sums: jax.Array  # of log-probabilities
    cache: Any
    best: Beams


@partial(jax.jit, static_argnames=("model", "size", "beams", "end", "allow"))
def _search(
    p: Params,
    prompt: jax.Array,
    steps: jax.Array,
    penalty: jax.Array,
    *,
    model: CachedModel,
    size: int,
    beams: int,
    end: tuple[int, ...],
    allow: Allow | None,
) -> Beams:
    rows, t = prompt.shape
    text, _ = prefill(p, prompt, None, model=model, size=size)
    axes = row_axes(model, p, size)

    def goes_on(state: _State) -> jax.Array:
        longest = jnp.where(penalty > 0, steps, state.drawn + 1)
        hope = state.sums[:, 0] / longest.astype(jnp.float32) ** penalty
        return (state.drawn < steps) & (hope > state.best.scores[:, -1]).any()

    def one(state: _State) -> _State:
        at, drawn = t + state.drawn, state.drawn + 1
        logs, cache = _next_logs(p, state, at, model=model, allow=allow)
        sums, parent, token = _candidates(state.sums[..., None] + logs, max(2, 1 + len(end)) * beams)
        tokens = jnp.take_along_axis(state.tokens, parent[..., None], 1).at[:, :, at].set(token)
        ends = (jnp.isin(token, jnp.array(end, jnp.int32)) if end else False) | (drawn == steps)
        counts = ends & (jnp.arange(sums.shape[1]) < beams)[None]  # what the beams would go on with
        scores = jnp.where(counts, sums / drawn.astype(jnp.float32) ** penalty, -jnp.inf)
        best = _better(state.best, Beams(tokens, jnp.full(token.shape, at + 1), scores))
        sums, kept = jax.lax.top_k(jnp.where(ends, -jnp.inf, sums), beams)
        parents = jnp.take_along_axis(parent, kept, 1) + jnp.arange(rows)[:, None] * beams
        tokens = jnp.take_along_axis(tokens, kept[..., None], 1)
        return _State(drawn, tokens, sums, pick(cache, axes, parents.reshape(-1)), best)

    best = jax.lax.while_loop(goes_on, one, _begun(text, t, axes, beams)).best
    here = jax.lax.broadcasted_iota(jnp.int32, best.tokens.shape, 2) < best.lengths[..., None]
    return best._replace(tokens=jnp.where(here, best.tokens, end[0] if end else 0))


def _begun(text: Text, t: int, axes: Any, beams: int) -> _State:
    """Prompts of t tokens, each in all of its beams, of which the first alone counts: the others are the same text."""
    rows, _ = text.tokens.shape
    tokens = jnp.repeat(text.tokens[:, None], beams, 1)
    worst = jnp.full((rows, beams), -jnp.inf)
    return _State(
        drawn=jnp.zeros((), jnp.int32),
        tokens=tokens,
        sums=worst.at[:, 0].set(0),
        cache=pick(text.cache, axes, jnp.repeat(jnp.arange(rows), beams)),
        best=Beams(tokens, jnp.full((rows, beams), t, jnp.int32), worst),
    )


def _next_logs(
    p: Params, state: _State, at: jax.Array, *, model: CachedModel, allow: Allow | None
) -> tuple[jax.Array, Any]:
    """Log-probabilities (rows, beams, vocab) of the token at this place, -inf of those not allowed; and the cache."""
    rows, beams, _ = state.tokens.shape
    last = jax.lax.dynamic_slice_in_dim(state.tokens, at - 1, 1, 2).reshape(rows * beams, 1)
    logits, cache = read(model, p, last, state.cache, None)
    logs = jax.nn.log_softmax(logits[:, 0].astype(jnp.float32)).reshape(rows, beams, -1)
    if allow is None:
        return logs, cache
    allowed = allowed_by(allow, state.tokens, jnp.broadcast_to(at, (rows, beams)), logs)
    return jnp.where(allowed, logs, -jnp.inf), cache


def _candidates(sums: jax.Array, many: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(rows, beams, vocab) -> the best sums (rows, many), of which beams and by which tokens."""
    rows, beams, vocab = sums.shape
    best, which = jax.lax.top_k(sums.reshape(rows, -1), min(many, beams * vocab))
    return best, which // vocab, which % vocab


def _better(best: Beams, more: Beams) -> Beams:
    """As many as there were, of both."""
    both = Beams(*(jnp.concatenate(pair, 1) for pair in zip(best, more, strict=True)))
    scores, which = jax.lax.top_k(both.scores, best.scores.shape[1])
    return Beams(
        jnp.take_along_axis(both.tokens, which[..., None], 1), jnp.take_along_axis(both.lengths, which, 1), scores
    )


def row_axes(model: CachedModel, p: Params, size: int) -> Any:
    """For each array of a cache for tokens (rows, t) the axis that differs with their number; -1 where none does."""
    two, three = (jax.eval_shape(lambda p, n=n: model.cache(p, size, leading=(n,)), p) for n in (2, 3))
    differs = lambda a, b: next((i for i, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n), -1)
    return jax.tree.map(differs, two, three)


def pick(cache: Any, axes: Any, rows: jax.Array) -> Any:
    """The cache of these of its rows."""
    return jax.tree.map(lambda x, axis: x if axis < 0 else jnp.take(x, rows, axis), cache, axes)
