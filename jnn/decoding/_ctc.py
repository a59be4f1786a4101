"""Decoding of connectionist temporal classification: the likeliest path, and the likeliest strings over all paths."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.decoding import _hypotheses as hypotheses
from jnn.decoding._hypotheses import NEVER, Hypotheses, Language, Strings


def ctc_greedy_decode(logits: jax.Array, lengths: jax.Array, *, blank: int = 0) -> Hypotheses:
    """CTC greedy decoding (best path): the likeliest symbol of each frame, once repeats and then blanks are dropped.

    See "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks",
    Graves et al., 2006. The string of the likeliest path need not be the likeliest: `ctc_beam_search`.

    Args:
      logits: (..., t, v), floating point, of any size.
      lengths: (...), integers in 0..t: frames that are there.
      blank: which of v says nothing.

    Returns:
      Hypotheses: labels (..., t), lengths (...), and scores (...), the log-probability of the path.

    Raises:
      TypeError: logits are not floating point, or lengths not integers.
      ValueError: shapes do not fit, or lengths known to lie out of range; under `jit` these score NaN.

    >>> path = jax.nn.one_hot(jnp.array([0, 2, 2, 0, 2, 1]), 3)
    >>> found = ctc_greedy_decode(path, jnp.array(6))
    >>> found.labels[: found.lengths].tolist()
    [2, 2, 1]
    """
    lengths, known = hypotheses.check("ctc_greedy_decode", logits, lengths)
    return hypotheses.over_rows(partial(_best_path, blank=blank), logits, lengths, known)


def _best_path(logits: jax.Array, length: jax.Array, *, blank: int) -> Hypotheses:
    log_p = hypotheses.log_probs("ctc_greedy_decode", logits, blank)
    there = jnp.arange(len(log_p)) < length
    said = jnp.where(there, log_p.argmax(-1), blank).astype(jnp.int32)
    before = jnp.concatenate([jnp.array([blank], jnp.int32), said[:-1]])
    begins = (said != blank) & (said != before)
    count = begins.sum(dtype=jnp.int32)
    in_front = said[jnp.argsort(~begins, stable=True)]
    labels = jnp.where(jnp.arange(len(said)) < count, in_front, blank)
    return Hypotheses(labels, count, jnp.where(there, log_p.max(-1), 0).sum())


def ctc_beam_search(
    logits: jax.Array,
    lengths: jax.Array,
    *,
    beams: int,
    most: int,
    language: Language | None = None,
    blank: int = 0,
) -> Hypotheses:
    """CTC prefix beam search: the strings that are likeliest over all their paths, with a language model or without.

    Beginnings of strings are kept with two probabilities each, of paths that end in a blank and of those that end in
    the last label. See "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs",
    Hannun, Maas, Jurafsky and Ng, 2014.

    Args:
      logits, lengths, blank: as in `ctc_greedy_decode`.
      beams: how many beginnings are kept from frame to frame, and strings returned.
      most: labels that a string may have.
      language: `(labels (beams, most), lengths (beams,)) -> (beams, v)`: what each next label adds to the score of
        a string and, in the blank's column, what its end adds: such as `0.5 * ngram_log_probs(table, labels, lengths)`.

    Returns:
      Hypotheses: labels (..., beams, most), lengths (..., beams) and scores (..., beams): the log-probability over the
      paths that were kept, and all that the language added.

    Raises:
      TypeError, ValueError: as `ctc_greedy_decode`; beams or most that are no count, or what the language gives.

    >>> found = ctc_beam_search(jnp.log(jnp.array([[0.6, 0.4], [0.6, 0.4]])), jnp.array(2), beams=2, most=1)
    >>> found.labels[:, 0].tolist(), [f"{p:.2f}" for p in jnp.exp(found.scores)]  # greedily it would be nothing
    ([1, 0], ['0.64', '0.36'])
    """
    lengths, known = hypotheses.check("ctc_beam_search", logits, lengths)
    checks.count("ctc_beam_search", "beams", beams)
    checks.count("ctc_beam_search", "most", most)
    search = partial(_search, beams=beams, most=most, language=language, blank=blank)
    return hypotheses.over_rows(search, logits, lengths, known)


class _Beam(NamedTuple):
    strings: Strings
    in_blank: jax.Array  # (k,), of paths that end in a blank
    in_label: jax.Array  # of those that end in the last label


def _search(
    logits: jax.Array, length: jax.Array, *, beams: int, most: int, language: Language | None, blank: int
) -> Hypotheses:
    log_p = jnp.maximum(hypotheses.log_probs("ctc_beam_search", logits, blank), NEVER)
    symbols = log_p.shape[-1]
    strings, first = hypotheses.empty(beams, most, blank, log_p)

    def frame(beam: _Beam, now: tuple[jax.Array, jax.Array]) -> tuple[_Beam, None]:
        said, there = now
        after = _frame(beam, said, language, blank)
        return jax.tree.map(lambda new, old: jnp.where(there, new, old), after, beam), None

    begin = _Beam(strings, first, jnp.full_like(first, NEVER))
    beam, _ = jax.lax.scan(frame, begin, (log_p, jnp.arange(len(log_p)) < length))
    total = jnp.logaddexp(beam.in_blank, beam.in_label)
    return hypotheses.best(hypotheses.ended(beam.strings, total, language, symbols, blank), beams)


def _frame(beam: _Beam, said: jax.Array, language: Language | None, blank: int) -> _Beam:
    """The beam after a frame that says each symbol with these log-probabilities (v,)."""
    strings, in_blank, in_label = beam
    total, last = jnp.logaddexp(in_blank, in_label), hypotheses.last_label(strings, blank)
    again = jnp.arange(len(said))[None] == last[:, None]  # the last label once more: only with a blank between
    say = jnp.where(again, in_blank[:, None], total[:, None]) + said[None]
    in_label, say = hypotheses.merge(strings, total, in_label + said[last], say, blank)
    in_blank = total + said[blank]
    chosen = hypotheses.choose(strings, jnp.logaddexp(in_blank, in_label), say, language, blank)
    return _Beam(
        chosen.strings,
        jnp.where(chosen.stays, jnp.maximum(in_blank[chosen.parent], NEVER), NEVER),
        jnp.where(chosen.stays, jnp.maximum(in_label[chosen.parent], NEVER), chosen.log_p),
    )
