"""Strings that a search is at, and what one step does to them: each stays as it is, or goes on with a label.

Axes: `k` strings of a beam, `n` labels that they have room for, `v` symbols. What could never be has NEVER for its
log-probability. Law: of the strings that are not NEVER no two are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import wide

NEVER = -1e30  # log 0, whose sums are finite

Language = Callable[[jax.Array, jax.Array], jax.Array]
Pair = tuple[jax.Array, jax.Array]


class Hypotheses(NamedTuple):
    """Strings of labels; of a search (..., beams, ...), the best first.

    Attributes:
      labels: (..., n), int32; behind the end blanks.
      lengths: (...), int32.
      scores: (...), float32 at least: log-probability, and what a language adds. -inf where a search found no more; a
        string that would score -5e29 or less is one that it does not find.
    """

    labels: jax.Array
    lengths: jax.Array
    scores: jax.Array


def check(name: str, x: jax.Array, lengths: jax.Array) -> Pair:
    """The lengths (...) of x (..., t, d), wide; and which are known to be right. Raises unless they fit."""
    checks.floats(name, x, ndim=2)
    lengths = checks.integers(name, lengths, name="lengths")
    if lengths.shape != x.shape[:-2]:
        raise ValueError(
            f"{name}: expected lengths {x.shape[:-2]}, one an example of {checks.describe(x)}, found "
            f"{checks.describe(lengths)}."
        )
    checks.lengths(name, lengths, x.shape[-2], of="frames")
    return lengths, (lengths >= 0) & (lengths <= x.shape[-2])


def log_probs(name: str, logits: jax.Array, blank: int) -> jax.Array:
    """Log-probabilities of logits (..., v), wide, once it is known that the blank is one of v."""
    checks.floats(name, logits)
    if not 0 <= blank < logits.shape[-1]:
        raise ValueError(f"{name}: expected a blank in 0..{logits.shape[-1] - 1}, found {blank}.")
    return jax.nn.log_softmax(wide(logits), axis=-1)


def over_rows(search: Callable[..., Hypotheses], x: jax.Array, lengths: jax.Array, known: jax.Array) -> Hypotheses:
    """A search of one example over all leading axes; where lengths are not known to be right, scores are NaN."""
    for _ in lengths.shape:
        search = jax.vmap(search)
    found = search(x, lengths)
    known = known.reshape(known.shape + (1,) * (found.scores.ndim - known.ndim))
    return found._replace(scores=jnp.where(known, found.scores, jnp.nan))


class Strings(NamedTuple):
    """labels (k, n), blanks behind the end; lengths (k,); and told (k,), what a language has added so far."""

    labels: jax.Array
    lengths: jax.Array
    told: jax.Array


def empty(beams: int, most: int, blank: int, like: jax.Array) -> tuple[Strings, jax.Array]:
    """Strings without a label, and their log-probabilities: the first is certain, the others would be the same."""
    first = jnp.where(jnp.arange(beams) == 0, 0, NEVER).astype(like.dtype)
    labels = jnp.full((beams, most), blank, jnp.int32)
    return Strings(labels, jnp.zeros(beams, jnp.int32), jnp.zeros_like(first)), first


def last_label(strings: Strings, blank: int) -> jax.Array:
    """(k,), the blank of an empty one."""
    place = jnp.maximum(strings.lengths - 1, 0)[:, None]
    return jnp.where(strings.lengths > 0, jnp.take_along_axis(strings.labels, place, 1)[:, 0], blank)


def merge(strings: Strings, log_p: jax.Array, stay: jax.Array, say: jax.Array, blank: int) -> Pair:
    """What a step that says a label makes of a string joins the equal one that stays.

    Args:
      log_p: (k,), of the strings before the step.
      stay: (k,), of those that stay as they are.
      say: (k, v), of those that go on with each label.

    Returns:
      stay and say after it; what has joined is NEVER in say.
    """
    last, place = last_label(strings, blank), jnp.arange(strings.labels.shape[1])[None]
    before = jnp.where(place < strings.lengths[:, None] - 1, strings.labels, blank)
    longer = strings.lengths[:, None] + 1 == strings.lengths[None]
    possible = log_p > NEVER / 2
    # (k, k): whether the second is the first and one label more
    same = (strings.labels[:, None] == before[None]).all(-1) & longer & possible[:, None] & possible[None]
    joins = jnp.where(same, say[:, last], NEVER).max(0)  # of one at most, since no two are equal
    is_last = jnp.arange(say.shape[1])[None] == last[:, None]
    gone = (same[..., None] & is_last[None]).any(1)
    return jnp.logaddexp(stay, joins), jnp.where(gone, NEVER, say)


class Chosen(NamedTuple):
    """The best of what a step makes: strings, and of each of these (k,) which it was before, whether it stays as it
    was, and else by which label it goes on; and log-probabilities."""

    strings: Strings
    parent: jax.Array
    stays: jax.Array
    label: jax.Array
    log_p: jax.Array


def choose(strings: Strings, stay: jax.Array, say: jax.Array, language: Language | None, blank: int) -> Chosen:
    """As many strings as there were, of those that stay (k,) and those that go on (k, v), by all scores together."""
    (beams, most), symbols = strings.labels.shape, say.shape[1]
    room = (strings.lengths < most)[:, None] & (jnp.arange(symbols) != blank)[None]
    more = 0 if language is None else added(language, strings, symbols)
    told = jnp.broadcast_to(strings.told[:, None] + more, say.shape).astype(stay.dtype)
    all_p = jnp.concatenate([stay, jnp.where(room, say, NEVER).reshape(-1)])
    all_told = jnp.concatenate([strings.told, told.reshape(-1)])
    _, which = jax.lax.top_k(jnp.maximum(all_p + all_told, NEVER), beams)
    stays, other = which < beams, jnp.maximum(which - beams, 0)
    parent, label = jnp.where(stays, which, other // symbols), (other % symbols).astype(jnp.int32)
    count = strings.lengths[parent]
    here = (jnp.arange(most)[None] == count[:, None]) & ~stays[:, None]
    labels = jnp.where(here, label[:, None], strings.labels[parent])
    lengths = jnp.minimum(count + ~stays, most)  # what could never be has no room
    return Chosen(Strings(labels, lengths, all_told[which]), parent, stays, label, jnp.maximum(all_p[which], NEVER))


def added(language: Language, strings: Strings, symbols: int) -> jax.Array:
    """What each next label adds, and the end in the blank's column: (k, v)."""
    found = language(strings.labels, strings.lengths)
    if found.shape != (expected := (strings.labels.shape[0], symbols)):
        raise ValueError(f"language: expected numbers {expected}, found {checks.describe(found)}.")
    return jnp.maximum(found, NEVER)


def ended(strings: Strings, log_p: jax.Array, language: Language | None, symbols: int, blank: int) -> Hypotheses:
    """The strings as they are, scored as whole ones."""
    end = 0 if language is None else added(language, strings, symbols)[:, blank]
    scores = log_p + strings.told + end
    return Hypotheses(strings.labels, strings.lengths, jnp.where(scores > NEVER / 2, scores, -jnp.inf))


def best(found: Hypotheses, beams: int) -> Hypotheses:
    """The first so many, in order."""
    scores, which = jax.lax.top_k(found.scores, beams)
    return Hypotheses(found.labels[which], found.lengths[which], scores)
