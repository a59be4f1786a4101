"""Diagnosis of a bad step from what is known without making it again: its batch, its loss, the parameters before it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jnn.train._context import Batch


def diagnose(batch: Batch, *, step: int | None = None, loss: float | None = None, before: bool | None = None) -> str:
    """What is known of a bad step, and where to look: no cause is guessed.

    Args:
      batch: that it was given.
      step: its number; 0 has the initial parameters.
      loss: its loss; None where it is its update that is not finite.
      before: whether the parameters before it are known to be finite; None where nobody has looked.

    >>> diagnose({"x": np.array([[1.0], [np.nan]])})
    "batch['x'] is not finite in 1 of 2 values, first in row 1"
    >>> diagnose({"x": np.ones(2)}, step=7, loss=np.nan, before=True)  # doctest: +ELLIPSIS
    'its batch and the parameters before it are finite: look in the loss for a log, ..., or a weight below 0'
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.inexact):
            with np.errstate(over="ignore"):
                bad = ~np.isfinite(array.astype(jax.dtypes.canonicalize_dtype(array.dtype)))  # as the step sees it
            if bad.any():
                name, row = f"batch{jax.tree_util.keystr(path)}", [*np.argwhere(bad)[0], 0][0]
                found.append(f"{name} is not finite in {bad.sum()} of {bad.size} values, first in row {row}")
    if found:
        return ", and ".join(found)
    if loss is not None and np.isfinite(loss):
        return "its batch is finite"
    if before is False:
        return "its batch is finite, and the parameters before it are not: look at the initial values"
    known = "its batch and the parameters before it are finite: look"
    if before is None:
        known = (
            "its batch is finite: look at the initial parameters, and"
            if step == 0
            else ("its batch is finite; whether the parameters before it were is not known without checkpoints: look")
        )
    if loss is None:
        return (
            f"{known} in the gradient, for the loss is finite: a root or a norm at 0 has none that is; for an update "
            "that is only too large, lower the learning rate or set clip_norm"
        )
    return f"{known} in the loss for a log, division, root or exp, a label that is no class, or a weight below 0"
