"""Forced alignment: which label each frame says, where the labels are known and CTC's likeliest path says them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jnn.losses._alignment import NEVER
from jnn.losses._ctc import inputs, lattice, shift


class Alignment(NamedTuple):
    """The likeliest path through labels.

    Attributes:
      places: (..., t), int32: which of the labels a frame says, from 0; -1 for a blank, and past the frames there are.
      score: (...), float32 at least: the log-probability of the path.
    """

    places: jax.Array
    score: jax.Array


def ctc_alignment(
    logits: jax.Array, labels: jax.Array, logit_lengths: jax.Array, label_lengths: jax.Array, *, blank: int = 0
) -> Alignment:
    """Forced alignment by CTC (Viterbi): the likeliest of all paths that spell the labels.

    See "Error Bounds for Convolutional Codes and an Asymptotically Optimum Decoding Algorithm", Viterbi, 1967; of CTC's
    segmentations "CTC-Segmentation of Large Corpora for German End-to-end Speech Recognition", Kuerzinger et al., 2020.

    Args:
      logits, labels, logit_lengths, label_lengths, blank: as in `ctc_loss`.

    Returns:
      `Alignment`: of equally likely paths the one that, from the end backwards, stays longest where it is. Labels that
      the frames are too few for score -inf, as do those that `ctc_loss` gives no finite cost, and every place is -1.

    Raises:
      TypeError, ValueError: as `ctc_loss`; what raises nothing under `jit` scores NaN.

    >>> path = 9 * jax.nn.one_hot(jnp.array([0, 2, 2, 0, 2]), 3)
    >>> ctc_alignment(path, jnp.array([2, 2]), jnp.array(5), jnp.array(2)).places.tolist()
    [-1, 0, 0, -1, 1]
    """
    labels, logit_lengths, label_lengths, valid = inputs(
        "ctc_alignment", logits, labels, logit_lengths, label_lengths, blank
    )
    said, may_skip = lattice(logits, labels, blank)
    place = jax.lax.broadcasted_iota(jnp.int32, may_skip.shape, may_skip.ndim - 1)

    def forward(score: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        said, there = now
        ways = jnp.stack([score, shift(score, 1), jnp.where(may_skip, shift(score, 2), NEVER)])
        after = jnp.maximum(ways.max(0) + said, NEVER)
        return jnp.where(there[..., None], after, score), jnp.where(there[..., None], ways.argmax(0), 0)

    def backward(state: jax.Array, moved: jax.Array) -> tuple[jax.Array, jax.Array]:
        return state - jnp.take_along_axis(moved, state[..., None], -1)[..., 0], state

    begin = jnp.where(place == 0, 0, NEVER).astype(said.dtype)
    time = jax.lax.broadcasted_iota(jnp.int32, (len(said), *valid.shape), 0)
    there = time < logit_lengths[None]
    score, moved = jax.lax.scan(forward, begin, (said, there))
    end = 2 * label_lengths[..., None]
    score = jnp.where((place == end) | (place == end - 1), score, NEVER)
    _, states = jax.lax.scan(backward, score.argmax(-1), moved, reverse=True)
    best = score.max(-1)
    possible = valid & (best > NEVER / 2)
    places = jnp.where(there & possible[None] & (states % 2 == 1), states // 2, -1).astype(jnp.int32)
    return Alignment(jnp.moveaxis(places, 0, -1), jnp.where(valid, jnp.where(possible, best, -jnp.inf), jnp.nan))
