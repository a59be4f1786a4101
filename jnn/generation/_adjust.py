"""What is done to logits before a token is drawn: each a function of logits (..., vocab), to compose.

    temperature_logits  top_k_logits  top_p_logits  min_p_logits  typical_logits      the shape of the distribution
    repetition_logits  presence_logits  frequency_logits                              penalties for what was said
    allowed_logits                                                                    a mask

Options are numbers, or arrays (...), one for each row. What cannot be drawn has a logit of -inf.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnn.precision import wide, wide_dtype


def _column(x: float | jax.Array) -> float | jax.Array:
    """A number for each row beside the logits of the row."""
    return x if jnp.ndim(x) == 0 else jnp.asarray(x)[..., None]


def temperature_logits(logits: jax.Array, temperature: float | jax.Array) -> jax.Array:
    """Temperature: logits less their largest, divided by it; at 0 the likeliest token alone, of equal ones the first.

    >>> temperature_logits(jnp.array([1.0, 3.0, 3.0]), 0.5).tolist()
    [-4.0, 0.0, 0.0]
    >>> temperature_logits(jnp.array([1.0, 3.0, 3.0]), 0).tolist()
    [-inf, 0.0, -inf]
    """
    t = _column(temperature)
    best = logits.max(-1, keepdims=True)
    # from the likeliest down, so that no division overflows
    scaled = jnp.where(logits == best, 0, (logits - best) / jnp.maximum(t, 1e-6))
    at = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    first = at == logits.argmax(-1, keepdims=True)
    return jnp.where(t == 0, jnp.where(first, 0, -jnp.inf), scaled).astype(logits.dtype)


def top_k_logits(logits: jax.Array, k: int) -> jax.Array:
    """Top-k: the k largest logits alone; of equal ones, the first.

    See "Hierarchical Neural Story Generation", Fan, Lewis and Dauphin, 2018.

    >>> top_k_logits(jnp.array([1.0, 3.0, 3.0]), 1).tolist()
    [-inf, 3.0, -inf]
    """
    best, which = jax.lax.top_k(logits, k)
    rows = lambda best, which: jnp.full(logits.shape[-1], -jnp.inf, logits.dtype).at[which].set(best)
    return jax.vmap(rows)(best.reshape(-1, k), which.reshape(-1, k)).reshape(logits.shape)


def top_p_logits(logits: jax.Array, p: float | jax.Array) -> jax.Array:
    """Top-p, nucleus sampling: the fewest likeliest tokens that together have a probability of p; of equal ones, all.

    See "The Curious Case of Neural Text Degeneration", Holtzman et al., 2020.

    >>> top_p_logits(jnp.log(jnp.array([0.5, 0.2, 0.3])), 0.6).tolist()
    [-0.69..., -inf, -1.20...]
    """
    ordered = jnp.sort(logits, axis=-1, descending=True)
    before = jnp.cumsum(shares := jax.nn.softmax(wide(ordered)), -1) - shares
    least = jnp.where(before < _column(p), ordered, jnp.inf).min(-1, keepdims=True)
    return jnp.where(logits >= jnp.minimum(least, ordered[..., :1]), logits, -jnp.inf)


def min_p_logits(logits: jax.Array, p: float | jax.Array) -> jax.Array:
    """Min-p: tokens that have at least this part of the likeliest one's probability.

    See "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", Nguyen et al., 2024.

    >>> min_p_logits(jnp.log(jnp.array([0.5, 0.2, 0.3])), 0.5).tolist()
    [-0.69..., -inf, -1.20...]
    """
    return jnp.where(logits >= logits.max(-1, keepdims=True) + jnp.log(_column(p)), logits, -jnp.inf)


def typical_logits(logits: jax.Array, p: float | jax.Array) -> jax.Array:
    """Locally typical sampling: tokens whose surprise is nearest to the entropy, that have a probability of p together.

    See "Locally Typical Sampling", Meister et al., 2023.

    >>> typical_logits(jnp.log(jnp.array([0.5, 0.1, 0.4])), 0.3).tolist()
    [-inf, -inf, -0.91...]
    """
    logs = jax.nn.log_softmax(wide(logits))
    shares = jnp.exp(logs)
    entropy = -jnp.where(shares > 0, shares * logs, 0).sum(-1, keepdims=True)
    off = jnp.abs(-logs - entropy)
    order = jnp.argsort(off, axis=-1)
    before = jnp.cumsum(nearest := jnp.take_along_axis(shares, order, -1), -1) - nearest
    apart = jnp.take_along_axis(off, order, -1)
    furthest = jnp.where(before < _column(p), apart, -jnp.inf).max(-1, keepdims=True)
    return jnp.where(off <= furthest, logits, -jnp.inf)


def repetition_logits(logits: jax.Array, seen: jax.Array, penalty: float | jax.Array) -> jax.Array:
    """Repetition penalty: positive logits of seen tokens are divided by it, negative ones multiplied.

    See "CTRL: A Conditional Transformer Language Model for Controllable Generation", Keskar et al., 2019.

    >>> repetition_logits(jnp.array([2.0, -2.0, 2.0]), jnp.array([True, True, False]), 2.0).tolist()
    [1.0, -4.0, 2.0]
    """
    by = _column(penalty)
    return jnp.where(seen, jnp.where(logits > 0, logits / by, logits * by), logits).astype(logits.dtype)


def presence_logits(logits: jax.Array, counts: jax.Array, penalty: float | jax.Array) -> jax.Array:
    """Presence penalty: is subtracted from the logits of tokens that were drawn before.

    >>> presence_logits(jnp.array([2.0, 2.0]), jnp.array([3, 0]), 0.5).tolist()
    [1.5, 2.0]
    """
    return (logits - _column(penalty) * (counts > 0)).astype(logits.dtype)


def frequency_logits(logits: jax.Array, counts: jax.Array, penalty: float | jax.Array) -> jax.Array:
    """Frequency penalty: is subtracted from the logits of tokens as often as they were drawn before.

    >>> frequency_logits(jnp.array([2.0, 2.0]), jnp.array([3, 0]), 0.5).tolist()
    [0.5, 2.0]
    """
    return (logits - _column(penalty) * counts.astype(wide_dtype(logits))).astype(logits.dtype)


def allowed_logits(logits: jax.Array, allowed: jax.Array) -> jax.Array:
    """Constrained decoding: tokens that a mask allows alone.

    >>> allowed_logits(jnp.array([2.0, 2.0]), jnp.array([True, False])).tolist()
    [2.0, -inf]
    """
    return jnp.where(allowed, logits, -jnp.inf)
