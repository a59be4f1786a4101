"""Beam search of a transducer, by the length of what was said: labels and blanks together.

After i symbols a string of u labels is at frame i - u: strings of one beam are at different frames, each string at one
alone, so that a step costs the same for all, and whatever is equal is merged.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.decoding import _hypotheses as hypotheses
from jnn.decoding._hypotheses import NEVER, Hypotheses, Language, Strings
from jnn.decoding._transducer import Join, Predict
from jnn.precision import wide


def transducer_beam_search(
    frames: jax.Array,
    lengths: jax.Array,
    predict: Predict,
    join: Join,
    *,
    beams: int,
    most: int,
    language: Language | None = None,
    blank: int = 0,
) -> Hypotheses:
    """RNN-T beam search: the strings that are likeliest over all ways to place them among the frames.

    See "Sequence Transduction with Recurrent Neural Networks", Graves, 2012; strings are compared when as many symbols
    have been said, blanks among them, as in "Alignment-Length Synchronous Decoding for RNN Transducer", Saon, Tuske and
    Audhkhasi, 2020.

    Args:
      frames, lengths, predict, join, most, blank: as in `transducer_greedy_decode`.
      beams: how many beginnings are kept from step to step, and strings returned.
      language: as in `ctc_beam_search`.

    Returns:
      Hypotheses: labels (..., beams, most), lengths (..., beams) and scores (..., beams): the log-probability over the
      ways that were kept, and all that the language added.

    Raises:
      TypeError, ValueError: as `transducer_greedy_decode`; beams that are no count, or what the language gives.

    >>> predict = lambda carry, labels: (labels, jnp.zeros((len(labels), 1)))
    >>> frames, join = jnp.zeros((2, 2)), lambda frames, said: frames
    >>> found = transducer_beam_search(frames, jnp.array(2), predict, join, beams=3, most=2)
    >>> found.labels.tolist()
    [[0, 0], [1, 0], [1, 1]]
    >>> [f"{p:.3f}" for p in jnp.exp(found.scores)]  # two ways to place one label, three to place two
    ['0.250', '0.250', '0.188']
    """
    lengths, known = hypotheses.check("transducer_beam_search", frames, lengths)
    checks.count("transducer_beam_search", "beams", beams)
    checks.count("transducer_beam_search", "most", most)
    networks = _Networks(predict, join, language, blank)

    def search(frames: jax.Array, length: jax.Array) -> Hypotheses:
        strings, first = hypotheses.empty(beams, most, blank, wide(frames))
        carry, said = predict(None, jnp.full(beams, blank, jnp.int32))
        none = hypotheses.ended(strings, jnp.full_like(first, NEVER), None, 0, blank)
        one = lambda beam, i: (_step(beam, i, frames, length, networks), None)
        beam, _ = jax.lax.scan(one, _Beam(strings, first, carry, said, none), jnp.arange(len(frames) + most))
        return beam.found

    return hypotheses.over_rows(search, frames, lengths, known)


class _Networks(NamedTuple):
    predict: Predict
    join: Join
    language: Language | None
    blank: int


class _Beam(NamedTuple):
    strings: Strings
    log_p: jax.Array  # (k,)
    carry: Any  # of the prediction network
    said: jax.Array  # (k, e), what it says
    found: Hypotheses  # the best whole strings so far


def _step(
    beam: _Beam,
    i: jax.Array,
    frames: jax.Array,
    length: jax.Array,
    networks: _Networks,
) -> _Beam:
    """The beam once i + 1 symbols have been said."""
    predict, join, language, blank = networks
    strings, beams = beam.strings, len(beam.log_p)
    at = i - strings.lengths
    here = frames[jnp.clip(at, 0, len(frames) - 1)]
    said = hypotheses.log_probs("transducer_beam_search: what join gives", join(here, beam.said), blank)
    before = jnp.where(at < length, beam.log_p, NEVER)
    stay, say = before + said[:, blank], jnp.maximum(before[:, None] + said, NEVER)
    last = at == length - 1  # a blank there is the end of the string
    whole = hypotheses.ended(strings, jnp.where(last, stay, NEVER), language, said.shape[1], blank)
    both = Hypotheses(*(jnp.concatenate(pair) for pair in zip(beam.found, whole, strict=True)))
    stay, say = hypotheses.merge(strings, before, jnp.where(last, NEVER, stay), say, blank)
    chosen = hypotheses.choose(strings, stay, say, language, blank)
    kept = jax.tree.map(lambda x: x[chosen.parent], (beam.carry, beam.said))
    new = predict(kept[0], chosen.label)
    after = lambda new, old: jnp.where(chosen.stays.reshape(-1, *[1] * (new.ndim - 1)), old, new)
    carry, said = jax.tree.map(after, new, kept)
    return _Beam(chosen.strings, chosen.log_p, carry, said, hypotheses.best(both, beams))
