"""Cross-entropy of hidden states, by parts of the vocabulary: the logits are never all there, forwards or backwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from jnn import checks
from jnn.precision import narrow, over_steps, wide

Sums = tuple[jax.Array, jax.Array, jax.Array]


def chunked_cross_entropy(
    hidden: jax.Array,
    table: jax.Array,
    labels: jax.Array,
    *,
    chunk: int = 4096,
    z_loss: jax.Array | float = 0.0,
    soft_cap: jax.Array | float | None = None,
) -> jax.Array:
    """Cross-entropy of a large vocabulary: `cross_entropy(hidden @ table.T, labels)`, `chunk` columns at a time.

    The backward pass computes each part of the logits again: a fourth matrix product beside three, for a memory of
    (..., chunk) in place of (..., classes). Sums are added up as in "Online normalizer calculation for softmax",
    Milakov and Gimelshein, 2018; for the loss see "Cut Your Losses in Large-Vocabulary Language Models", Wijmans et
    al., 2025.

    Args:
      hidden: (..., d), floating point: of `transformer_hidden`, `decoder_hidden`, or a model of one's own.
      table: (classes, d), an embedding's, or a linear map's `w.T`. It is read as it is where chunk divides the
        classes; otherwise its first part is copied once.
      labels: (...), integers in 0..classes-1.
      chunk: how many classes at a time.
      z_loss: the weight of the squared log of the softmax's sum ("PaLM", Chowdhery et al., 2022: 1e-4).
      soft_cap: logits become `soft_cap * tanh(logits / soft_cap)` ("Gemma 2", Gemma Team, 2024: 30); None leaves them.

    Returns:
      (...): one number per label, float32 at least; so are the logits, which matrix products sum in float32.

    Raises:
      TypeError: hidden states or the table are not floating point, or labels not integers.
      ValueError: shapes do not fit, labels known to lie out of range (under `jit` these cost NaN), or an option does.

    >>> round(float(chunked_cross_entropy(jnp.eye(2), jnp.eye(2), jnp.array([0, 1]), chunk=1)[0]), 4)
    0.3133
    """
    labels, z_loss, soft_cap = _check(hidden, table, labels, chunk, z_loss, soft_cap)
    hidden = narrow(hidden)
    like = wide(hidden)
    rows, classes = labels.shape, table.shape[0]
    now = over_steps(hidden)
    add = jax.checkpoint(partial(_add, now, labels, soft_cap), prevent_cse=False)
    begin = jnp.full(rows, -jnp.inf, like.dtype), jnp.zeros(rows, like.dtype), jnp.zeros(rows, like.dtype)
    whole = classes // chunk
    parts = table[: whole * chunk].reshape(whole, chunk, table.shape[1])
    sums, _ = jax.lax.scan(lambda sums, part: (add(sums, *part), None), begin, (parts, jnp.arange(whole) * chunk))
    if classes % chunk:
        sums = add(sums, table[whole * chunk :], jnp.asarray(whole * chunk))
    greatest, total, own = sums
    normalizer = greatest + jnp.log(total)
    known = (labels >= 0) & (labels < classes)
    return jnp.where(known, normalizer - own + z_loss * jnp.square(normalizer), jnp.nan)


def _add(
    hidden: Callable[[], jax.Array],
    labels: jax.Array,
    soft_cap: jax.Array | float | None,
    sums: Sums,
    part: jax.Array,
    first: jax.Array,
) -> Sums:
    """The greatest logit, the sum of exponentials relative to it, and the label's logit, with those of one part."""
    greatest, total, own = sums
    x = hidden()
    logits = jnp.einsum("...d,vd->...v", x, part.astype(x.dtype), preferred_element_type=greatest.dtype)
    if soft_cap is not None:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    after = jax.lax.stop_gradient(jnp.maximum(greatest, jnp.max(logits, axis=-1)))
    total = total * jnp.exp(greatest - after) + jnp.sum(jnp.exp(logits - after[..., None]), axis=-1)
    mine = first + jax.lax.broadcasted_iota(jnp.int32, logits.shape, labels.ndim) == labels[..., None]
    return after, total, own + jnp.sum(jnp.where(mine, logits, 0), axis=-1)


def _check(
    hidden: jax.Array,
    table: jax.Array,
    labels: jax.Array,
    chunk: int,
    z_loss: jax.Array | float,
    soft_cap: jax.Array | float | None,
) -> tuple[jax.Array, jax.Array | float, jax.Array | float | None]:
    name = "chunked_cross_entropy"
    checks.floats(name, hidden)
    checks.floats(name, table, ndim=2)
    if table.shape[1] != hidden.shape[-1]:
        turned = " Turn it: table.T." if table.shape[0] == hidden.shape[-1] else ""
        wanted = ("classes", hidden.shape[-1])
        raise ValueError(f"{name}: expected a table {wanted}, found {checks.describe(table)}.{turned}")
    whole = checks.integers(name, labels, name="labels")
    if labels.shape != hidden.shape[:-1]:
        raise ValueError(f"{name}: expected labels {hidden.shape[:-1]}, found {checks.describe(labels)}.")
    checks.in_range(name, labels, table.shape[0])
    if chunk < 1:
        raise ValueError(f"{name}: expected a chunk of 1 class or more, found {chunk}.")
    z_loss = checks.number(name, "z_loss", z_loss, lambda w: w >= 0, ">= 0", like=wide(hidden))
    if soft_cap is not None:
        soft_cap = checks.number(name, "soft_cap", soft_cap, lambda c: c > 0, "> 0", like=wide(hidden))
    return whole, z_loss, soft_cap
