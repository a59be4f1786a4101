"""The recurrent neural network transducer: labels from frames, each label given those before it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.losses._alignment import NEVER, check, cost
from jnn.precision import wide

Pair = tuple[jax.Array, jax.Array]


def transducer_loss(
    logits: jax.Array, labels: jax.Array, logit_lengths: jax.Array, label_lengths: jax.Array, *, blank: int = 0
) -> jax.Array:
    """RNN-T loss: minus the log-probability of the labels, over all ways to place them among the frames.

    At frame t with u labels said, either the next label is said, or a blank, which goes on to the next frame; the last
    is a blank. What would cost 5e29 or more costs infinity, and its gradient is zero. See "Sequence Transduction with
    Recurrent Neural Networks", Graves, 2012. Beside the logits and their gradient it holds (..., t + u, u + 1) numbers.

    Args:
      logits: (..., t, u + 1, v), floating point, of any size: at each frame and after each number of labels.
      labels: (..., u), integers in 0..v-1 but for the blank; beyond label_lengths anything.
      logit_lengths: (...), integers in 0..t: frames that are there. Without a frame the loss is infinite.
      label_lengths: (...), integers in 0..u: labels that are there.
      blank: which of v goes on.

    Returns:
      (...): one number per sequence, not divided by any length.

    Raises:
      TypeError: logits are not floating point, or the others not integers.
      ValueError: shapes do not fit, or labels or lengths known to lie out of range; under `jit` these cost NaN.

    >>> ways = transducer_loss(jnp.zeros((2, 2, 2)), jnp.array([1]), jnp.array(2), jnp.array(1))
    >>> round(float(jnp.exp(-ways)), 6)  # two ways to place one label, of three steps each
    0.25
    """
    checks.floats("transducer_loss", logits, ndim=3)
    checks.array("transducer_loss", labels, "labels")
    if logits.ndim != labels.ndim + 2 or logits.shape[-2] != labels.shape[-1] + 1:
        raise ValueError(
            "transducer_loss: expected logits (..., frames, labels + 1, symbols) and labels (..., labels), found "
            f"{checks.describe(logits)} and {checks.describe(labels)}."
        )
    labels, logit_lengths, label_lengths, valid = check(
        "transducer_loss", logits, labels, logit_lengths, label_lengths, blank
    )
    go_on, say = _steps(wide(logits), labels, blank)
    place = jax.lax.broadcasted_iota(jnp.int32, go_on.shape[1:], go_on.ndim - 2)
    last = logit_lengths - 1 + label_lengths  # the diagonal t + u of the last blank, at u = label_lengths
    pad = [(0, 0)] * (go_on.ndim - 2)

    def diagonal(carry: Pair, now: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Pair, None]:
        alpha, end = carry
        number, go_on, say = now  # alpha: of t + u = number, by u
        ends = (number == last)[..., None] & (place == label_lengths[..., None])
        end = jnp.where(ends, alpha + go_on, end)
        said = jnp.pad(alpha + say, [*pad, (1, 0)], constant_values=NEVER)[..., :-1]
        return (jnp.maximum(jnp.logaddexp(alpha + go_on, said), NEVER), end), None

    begin = jnp.where(place == 0, 0, NEVER).astype(go_on.dtype)
    (_, end), _ = jax.lax.scan(diagonal, (begin, jnp.full_like(begin, NEVER)), (jnp.arange(len(go_on)), go_on, say))
    return cost(jnp.max(end, axis=-1), valid)


def _steps(logits: jax.Array, labels: jax.Array, blank: int) -> tuple[jax.Array, jax.Array]:
    """The log-probabilities of a blank, and of the next label, by diagonals: (t + u, ..., u + 1) each."""
    total = jax.nn.logsumexp(logits, axis=-1)
    wanted = jnp.broadcast_to(labels[..., None, :, None], (*logits.shape[:-2], labels.shape[-1], 1))
    said = jnp.take_along_axis(logits[..., :-1, :], wanted, axis=-1)[..., 0] - total[..., :-1]
    pad = [(0, 0)] * (said.ndim - 1)
    say = jnp.pad(said, [*pad, (0, 1)], constant_values=NEVER)  # after the last label there is none
    return _by_diagonals(logits[..., blank] - total), _by_diagonals(say)


def _by_diagonals(x: jax.Array) -> jax.Array:
    """x (..., t, u) -> (t + u - 1, ..., u): entry [n, ..., u] is x[..., n - u, u], and NEVER where there is none."""
    frames, places = x.shape[-2:]
    pad = [(0, 0)] * (x.ndim - 2)
    x = jnp.pad(x, [*pad, (0, places), (0, 0)], constant_values=NEVER)
    # rows of one more than their length, read with their own: each column begins one later than the one before
    x = jnp.swapaxes(x, -1, -2).reshape(*x.shape[:-2], -1)[..., : places * (frames + places - 1)]
    return jnp.moveaxis(jnp.maximum(x, NEVER).reshape(*x.shape[:-1], places, frames + places - 1), -1, 0)
