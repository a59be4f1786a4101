"""Connectionist temporal classification: a sequence of labels from more frames, whichever way they are aligned."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._alignment import NEVER, check, cost
from jnn.precision import wide


def ctc_loss(
    logits: jax.Array, labels: jax.Array, logit_lengths: jax.Array, label_lengths: jax.Array, *, blank: int = 0
) -> jax.Array:
    """CTC loss: minus the log-probability that the frames spell the labels, once repeats and then blanks are dropped.

    See "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks",
    Graves et al., 2006.

    A target that the frames are too few for (labels, and a blank between equal ones) costs infinity, as does whatever
    would cost 5e29 or more, and its gradient is zero: `jnp.where(jnp.isfinite(loss), loss, 0)` leaves it out. No labels
    at all are a target: blanks alone.

    Args:
      logits: (..., t, v), floating point, of any size.
      labels: (..., u), integers in 0..v-1 but for the blank; beyond label_lengths anything.
      logit_lengths: (...), integers in 0..t: frames that are there. Others have no part.
      label_lengths: (...), integers in 0..u: labels that are there.
      blank: which of v says nothing.

    Returns:
      (...): one number per sequence, not divided by any length.

    Raises:
      TypeError: logits are not floating point, or the others not integers.
      ValueError: shapes do not fit, or labels or lengths known to lie out of range; under `jit` these cost NaN.

    >>> log_of_3_paths_in_4 = ctc_loss(jnp.zeros((2, 2)), jnp.array([1]), jnp.array(2), jnp.array(1))
    >>> round(float(jnp.exp(-log_of_3_paths_in_4)), 6)
    0.75
    """
    labels, logit_lengths, label_lengths, valid = inputs(
        "ctc_loss", logits, labels, logit_lengths, label_lengths, blank
    )
    said, may_skip = lattice(logits, labels, blank)
    place = jax.lax.broadcasted_iota(jnp.int32, may_skip.shape, may_skip.ndim - 1)

    def frame(alpha: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        said, there = now
        skipped = jnp.where(may_skip, shift(alpha, 2), NEVER)
        after = jnp.logaddexp(jnp.logaddexp(alpha, shift(alpha, 1)), skipped) + said
        return jnp.where(there[..., None], after, alpha), None

    begin = jnp.where(place == 0, 0, NEVER).astype(said.dtype)  # before the first frame: at the first blank
    time = jax.lax.broadcasted_iota(jnp.int32, (len(said), *valid.shape), 0)
    alpha, _ = jax.lax.scan(frame, begin, (said, time < logit_lengths[None]))
    end = 2 * label_lengths[..., None]
    return cost(jax.nn.logsumexp(jnp.where((place == end) | (place == end - 1), alpha, NEVER), axis=-1), valid)


def inputs(
    name: str, logits: jax.Array, labels: jax.Array, logit_lengths: jax.Array, label_lengths: jax.Array, blank: int
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """What `check` makes of them, once logits (..., t, v) and labels (..., u) are known to be that."""
    checks.floats(name, logits, ndim=2)
    checks.array(name, labels, "labels")
    if logits.ndim != labels.ndim + 1:
        raise ValueError(
            f"{name}: expected logits (..., frames, symbols) and labels (..., labels), found "
            f"{checks.describe(logits)} and {checks.describe(labels)}."
        )
    return check(name, logits, labels, logit_lengths, label_lengths, blank)


def lattice(logits: jax.Array, labels: jax.Array, blank: int) -> tuple[jax.Array, jax.Array]:
    """Log-probabilities of what states say in each frame, (t, ..., 2u + 1), and before which a blank may be left out.

    States are the labels with blanks around each; a frame is in that of the frame before, the next, or, where the blank
    before it may be left out (..., 2u + 1), in the one after that.
    """
    states, may_skip = _states(labels, blank)
    log_p = jnp.maximum(jax.nn.log_softmax(wide(logits), axis=-1), NEVER)
    wanted = jnp.broadcast_to(states[..., None, :], (*log_p.shape[:-1], states.shape[-1]))
    return jnp.moveaxis(jnp.take_along_axis(log_p, wanted, -1), -2, 0), may_skip


def _states(labels: jax.Array, blank: int) -> tuple[jax.Array, jax.Array]:
    """Labels with blanks around each, and where the blank before a label may be left out: (..., 2u + 1) both."""
    blanks = jnp.full_like(labels, blank)
    pad = [(0, 0)] * (labels.ndim - 1)
    states = jnp.stack([blanks, labels], axis=-1).reshape(*labels.shape[:-1], -1)
    states = jnp.pad(states, [*pad, (0, 1)], constant_values=blank)
    before = jnp.pad(states, [*pad, (2, 0)], constant_values=blank)[..., :-2]
    return states, (states != blank) & (states != before)


def shift(alpha: jax.Array, by: int) -> jax.Array:
    """alpha moved to later states."""
    pad = [(0, 0)] * (alpha.ndim - 1)
    return jnp.pad(alpha, [*pad, (by, 0)], constant_values=NEVER)[..., : alpha.shape[-1]]
