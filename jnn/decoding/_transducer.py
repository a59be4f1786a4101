"""Greedy decoding of a transducer: label by label, each after those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.decoding import _hypotheses as hypotheses
from jnn.decoding._hypotheses import Hypotheses
from jnn.precision import wide

Predict = Callable[[Any, jax.Array], tuple[Any, jax.Array]]
Join = Callable[[jax.Array, jax.Array], jax.Array]


def transducer_greedy_decode(
    frames: jax.Array, lengths: jax.Array, predict: Predict, join: Join, *, most: int, blank: int = 0
) -> Hypotheses:
    """RNN-T greedy decoding: at each frame the likeliest labels until a blank is likelier, which goes on to the next.

    See "Sequence Transduction with Recurrent Neural Networks", Graves, 2012.

    Args:
      frames: (..., t, d), floating point, what an encoder makes of the input.
      lengths: (...), integers in 0..t: frames that are there.
      predict: the prediction network, `(carry, labels (k,)) -> (carry, said (k, e))`; begun with a carry of None and
        blanks. Arrays of the carry have the axis of k first.
      join: the joint network, `(frames (k, d), said (k, e)) -> logits (k, v)`.
      most: labels that a string may have; after so many only blanks are said.
      blank: which of v goes on.

    Returns:
      Hypotheses: labels (..., most), lengths (...), and scores (...), the log-probability of what was said, all blanks
      among it. Without a frame it is -inf.

    Raises:
      TypeError: frames are not floating point, or lengths not integers.
      ValueError: shapes do not fit, or lengths known to lie out of range; under `jit` these score NaN.

    >>> predict = lambda carry, labels: (labels, jax.nn.one_hot(labels, 3))  # whatever was said last...
    >>> join = lambda frames, said: frames - 9 * said  # ... is not said again
    >>> found = transducer_greedy_decode(jnp.array([[1.0, 2, 0], [1, 0, 3]]), jnp.array(2), predict, join, most=4)
    >>> found.labels.tolist()
    [1, 2, 0, 0]
    """
    lengths, known = hypotheses.check("transducer_greedy_decode", frames, lengths)
    checks.count("transducer_greedy_decode", "most", most)

    def search(frames: jax.Array, length: jax.Array) -> Hypotheses:
        return _greedy(frames, length, predict, join, most=most, blank=blank)

    return hypotheses.over_rows(search, frames, lengths, known)


def _greedy(frames: jax.Array, length: jax.Array, predict: Predict, join: Join, *, most: int, blank: int) -> Hypotheses:
    """Of one example; every step says a label or a blank, so that there are t + most at the most."""
    carry, said = predict(None, jnp.full(1, blank, jnp.int32))

    def step(state: Any, _: None) -> tuple[Any, None]:
        labels, count, total, at, carry, said = state
        logits = join(frames[at][None], said)[0]
        log_p = hypotheses.log_probs("transducer_greedy_decode: what join gives", logits, blank)
        log_p = jnp.where((count < most) | (jnp.arange(len(log_p)) == blank), log_p, -jnp.inf)
        label, there = log_p.argmax().astype(jnp.int32), at < length
        speaks = there & (label != blank)
        labels = jnp.where((jnp.arange(most) == count) & speaks, label, labels)
        after = predict(carry, label[None])
        carry, said = jax.tree.map(lambda new, old: jnp.where(speaks, new, old), after, (carry, said))
        total = total + jnp.where(there, log_p.max(), 0)
        return (labels, count + speaks, total, at + (there & ~speaks), carry, said), None

    zero = jnp.zeros((), jnp.int32)
    begin = (jnp.full(most, blank, jnp.int32), zero, jnp.zeros((), wide(frames).dtype), zero, carry, said)
    (labels, count, total, *_), _ = jax.lax.scan(step, begin, length=len(frames) + most)
    return Hypotheses(labels, count, jnp.where(length > 0, total, -jnp.inf))
