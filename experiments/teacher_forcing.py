"""Teacher forcing: the loss of a target that is written token by token, each after the true ones before it."""

from __future__ import annotations

from collections.abc import Callable

import jax

import jnn
from jnn.train import Context, LossOutput


def teacher_forced_loss(
    logits_of: Callable[[jax.Array], jax.Array],
    batch: dict[str, jax.Array],
    ctx: Context,
    *,
    pad: int,
    smoothing: float,
) -> LossOutput:
    """Cross-entropy of the next token of `batch["y"]`, one number a token; labels are smoothed in training alone.

    Args:
      logits_of: the tokens that are read, (b, t - 1) -> logits of the next ones, (b, t - 1, tokens).
      batch: "y" (b, t), whose `pad` is not asked for, and "weight" (b,).
      ctx: of the step; an evaluation has no key.
      pad: the token that fills up.
      smoothing: of labels.
    """
    read, wanted = batch["y"][:, :-1], batch["y"][:, 1:]
    logits, weight = logits_of(read), (wanted != pad) * batch["weight"][:, None]
    values = jnn.losses.cross_entropy(logits, wanted, smoothing=0.0 if ctx.key is None else smoothing)
    return LossOutput(values, weight, metrics={"accuracy": jnn.metrics.accuracy(logits, wanted, weight)})
