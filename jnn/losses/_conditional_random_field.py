"""Linear-chain conditional random field (CRF): each tag scored by what is seen and by the tag before it.

    crf_loss(p, scores, tags) -> (...)                      minus the log-likelihood of whole sequences of tags
    crf_decode(p, scores) -> (tags, score)                  the likeliest one (Viterbi)

Axes: `t` time, `k` tags. Laws: the likelihoods of all sequences sum to 1; none is likelier than the decoded one; what
stands past a length changes nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.initializers import Init, zeros
from jnn.param import Param, Params, Spec
from jnn.precision import over_last_axes, wide, wide_integers


def crf_spec(tags: int, *, init: Init = zeros, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a linear-chain conditional random field: scores of one tag after another, of the first and of the last.

    Args:
      tags: how many there are.
      init: initial values; 0 leaves each tag to its own score.
      dtype: of all.

    Returns:
      {"transition": (tags, tags), from a tag (first axis) to the next, "start": (tags,), "end": (tags,)}

    >>> crf_spec(5)["transition"].shape
    (5, 5)
    """
    ends = {name: Param((tags,), init, ("tags",), dtype) for name in ("start", "end")}
    return {"transition": Param((tags, tags), init, ("tags_before", "tags"), dtype), **ends}


def crf_loss(p: Params, scores: jax.Array, tags: jax.Array, *, lengths: jax.Array | None = None) -> jax.Array:
    """Log-likelihood of sequences of tags in a linear-chain CRF: their score, less the log-sum of all sequences' exp.

    See "Conditional Random Fields: Probabilistic Models for Segmenting and Labeling Sequence Data", Lafferty, McCallum
    and Pereira, 2001; over a recurrent network "Bidirectional LSTM-CRF Models for Sequence Tagging", Huang, Xu and Yu,
    2015.

    Args:
      p: as `crf_spec` declares.
      scores: (..., t, k), floating point, of each tag at each time, as a network gives them; past a length anything.
      tags: (..., t), integers in 0..k-1; past a length anything.
      lengths: (...), integers in 1..t: how many of each are there. None: all.

    Returns:
      (...): one number per sequence; NaN under `jit` where tags or lengths are out of range.

    Raises:
      TypeError: scores are not floating point, or tags or lengths not integers.
      ValueError: shapes do not fit, or tags or lengths are known to be out of range.

    >>> p = {"transition": jnp.zeros((2, 2)), "start": jnp.zeros(2), "end": jnp.zeros(2)}
    >>> jnp.exp(-crf_loss(p, jnp.zeros((3, 2)), jnp.array([0, 1, 1]))).item()
    0.125
    """
    checks.array("crf_loss", tags, "tags")
    there = _check("crf_loss", p, scores, lengths)
    tags = checks.integers("crf_loss", tags, ndim=1, name="tags")
    checks.same_shape("crf_loss", tags=tags, scores=scores[..., 0])
    k, ones = scores.shape[-1], jnp.moveaxis(there, 0, -1)
    tags = jnp.where(ones, tags, 0)
    checks.in_range("crf_loss", tags, k, what="tags", of="tags")
    h, start, end, step = _exact(p, scores)
    own = jnp.sum(jnp.where(ones, jnp.take_along_axis(h, tags[..., None], -1)[..., 0], 0), -1)
    moves = jnp.sum(jnp.where(ones[..., 1:], step[tags[..., :-1], tags[..., 1:]], 0), -1)
    last = jnp.take_along_axis(tags, jnp.sum(ones, -1, keepdims=True) - 1, -1)[..., 0]

    def forward(alpha: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        score, there = now
        new = jax.nn.logsumexp(alpha[..., None] + over_last_axes(step, alpha[..., None]), axis=-2) + score
        return jnp.where(there[..., None], new, alpha), None

    first = h[..., 0, :] + over_last_axes(start, h[..., 0, :])
    alpha, _ = jax.lax.scan(forward, first, (jnp.moveaxis(h, -2, 0)[1:], there[1:]))
    total = jax.nn.logsumexp(alpha + over_last_axes(end, alpha), axis=-1)
    inside = jnp.all((tags >= 0) & (tags < k), -1) & _known(lengths, scores)
    return jnp.where(inside, total - (own + moves + start[tags[..., 0]] + end[last]), jnp.nan)


def crf_decode(p: Params, scores: jax.Array, *, lengths: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Viterbi decoding of a linear-chain CRF: the likeliest sequence of tags, and its score.

    See "Error Bounds for Convolutional Codes and an Asymptotically Optimum Decoding Algorithm", Viterbi, 1967.

    Args:
      p, scores, lengths: as in `crf_loss`.

    Returns:
      (..., t) int32, 0 past a length; of equally likely tags the first, from the end backwards; and (...), the score.

    Raises:
      TypeError, ValueError: as `crf_loss`.

    >>> p = {"transition": jnp.array([[0.0, -9.0], [0.0, 0.0]]), "start": jnp.zeros(2), "end": jnp.zeros(2)}
    >>> crf_decode(p, jnp.array([[1.0, 0.0], [0.0, 2.0]]))[0].tolist()  # alone, they would be 0 and 1
    [1, 1]
    """
    there = _check("crf_decode", p, scores, lengths)
    h, start, end, step = _exact(p, scores)

    def forward(best: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        score, there = now
        through = best[..., None] + over_last_axes(step, best[..., None])
        stay = jax.lax.broadcasted_iota(jnp.int32, best.shape, best.ndim - 1)
        new = jnp.where(there[..., None], jnp.max(through, -2) + score, best)
        return new, jnp.where(there[..., None], jnp.argmax(through, -2).astype(jnp.int32), stay)

    first = h[..., 0, :] + over_last_axes(start, h[..., 0, :])
    best, before = jax.lax.scan(forward, first, (jnp.moveaxis(h, -2, 0)[1:], there[1:]))
    best = best + over_last_axes(end, best)
    last = jnp.argmax(best, -1).astype(jnp.int32)

    def backward(tag: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.take_along_axis(before, tag[..., None], -1)[..., 0], tag

    tag, rest = jax.lax.scan(backward, last, before, reverse=True)
    tags = jnp.moveaxis(jnp.where(there, jnp.concatenate([tag[None], rest]), 0), 0, -1)
    return tags, jnp.where(_known(lengths, scores), jnp.max(best, -1), jnp.nan)


def _check(layer: str, p: Params, scores: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Which steps are there, (t, ...), once all fits."""
    checks.params(layer, p, "transition", "start", "end")
    checks.floats(f"{layer}: scores", scores, ndim=2)
    k = scores.shape[-1]
    for name, shape in (("transition", (k, k)), ("start", (k,)), ("end", (k,))):
        if p[name].shape != shape:
            raise ValueError(
                f"{layer}: expected {name} {shape} for scores {checks.describe(scores)}, found {p[name].shape}."
            )
    *leading, t, _ = scores.shape
    if lengths is None:
        return jnp.ones((t, *leading), bool)
    lengths = checks.integers(layer, lengths, name="lengths")
    checks.same_shape(layer, lengths=lengths, scores=scores[..., 0, 0])
    checks.lengths(layer, lengths, t, of="steps")
    if not isinstance(lengths, jax.core.Tracer) and (np.asarray(lengths) < 1).any():
        raise ValueError(f"{layer}: expected lengths of at least 1, found {np.asarray(lengths).min()}.")
    time = jax.lax.broadcasted_iota(jnp.int32, (t, *leading), 0)
    return (time < lengths[None]) | (time == 0)


def _known(lengths: jax.Array | None, scores: jax.Array) -> jax.Array:
    """Whether there is a first step, and none beyond the last."""
    if lengths is None:
        return jnp.ones(scores.shape[:-2], bool)
    found = wide_integers(lengths)
    return (found >= 1) & (found <= scores.shape[-2])


def _exact(p: Params, scores: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    h = wide(scores)
    start, end, transition = (jnp.asarray(p[name], h.dtype) for name in ("start", "end", "transition"))
    return h, start, end, transition
