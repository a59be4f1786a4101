"""Networks that hear which digit is said, by three architectures; and several of one, each with parameters of its own.

    listener_spec(network, config) -> spec
    listen(p, x, length, stats, ...) -> (logits, stats)
    listen_all(p, x, length, stats, ...) -> (logits of each, stats)         of stacked parameters
    digits_heard(p, stats, part) -> digits

Statistics are those of `batch_stats_spec`, or of `conformer_stats_spec`; None where a network has none.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.chunks import in_chunks
from experiments.recordings import BANDS
from jnn import layers, models
from jnn.param import Params, Spec

DIGITS = 10
KERNEL = 7  # frames that the conformer convolves


def listener_spec(network: str, config: Any) -> Spec:
    """Declares a network: its "units", "lstm" or "conformer", and what reads them out."""
    if network == "cnn":
        widths = enumerate(itertools.pairwise((1, *config.channels)))
        units = {f"unit{i}": models.conv_norm_spec(a, b) for i, (a, b) in widths}
        features = BANDS // 2 ** len(units) * config.channels[-1]
        return {"units": units, "out": layers.linear_spec(features, DIGITS)}
    if network == "lstm":
        both_ways = layers.bidirectional_spec(layers.lstm_cell_spec(BANDS, config.hidden))
        return {"lstm": both_ways, "out": layers.linear_spec(2 * config.hidden, DIGITS)}
    sizes = {"layers": config.layers, "heads": config.heads, "hidden": config.hidden, "kernel": KERNEL}
    return {
        "frames": layers.conv_spec(BANDS, config.embed, (3,)),
        "conformer": models.conformer_spec(config.embed, **sizes),
        "out": layers.linear_spec(config.embed, DIGITS),
    }


def listener_stats_spec(spec: Spec) -> Spec | None:
    """Declares the running statistics of a network, where it has some."""
    if "units" in spec:
        return models.batch_stats_spec(spec)
    return {"conformer": models.conformer_stats_spec(spec["conformer"])} if "conformer" in spec else None


def listen(
    p: Params, x: jax.Array, length: jax.Array, stats: Any, *, weight: jax.Array, key: jax.Array | None, rate: float
) -> tuple[jax.Array, Any]:
    """Logits (b, digits) of spectrograms x (b, t, bands), and the statistics used."""
    inner, outer = (None, None) if key is None else jax.random.split(key)
    seen: Any = None
    if "units" in p:
        y, length, seen = _convolved(p["units"], x, length, stats and stats["units"], weight)
    elif "lstm" in p:
        y, _ = layers.bidirectional(layers.lstm_cell, p["lstm"], x, lengths=length)
    else:
        h, length = layers.conv(p["frames"], x, stride=2), (length + 1) // 2
        how = {"key": inner, "rate": rate / 2, "lengths": length, "weight": weight}
        y, told = models.conformer(p["conformer"], h, stats and stats["conformer"], **how)
        seen = {"conformer": told}
    pooled = layers.dropout(models.mean_pool(y, lengths=length), rate, key=outer)
    return layers.linear(p["out"], pooled), seen


def _convolved(
    p: Params, x: jax.Array, length: jax.Array, stats: Any, weight: jax.Array
) -> tuple[jax.Array, jax.Array, Any]:
    """Convolutions with batch norm, ReLU and 2x2 pooling; rows (b, t / 2**units, features) with their lengths."""
    h, seen = x[..., None], {}
    for i in range(len(p)):
        name = f"unit{i}"
        h, seen[name] = models.conv_norm(p[name], h, stats and stats[name], weight=weight)
        h, length = layers.max_pool(jax.nn.relu(h), (2, 2)), (length + 1) // 2
    return h.reshape(*h.shape[:-2], -1), length, {"units": seen}


def listen_all(
    p: Params, x: jax.Array, length: jax.Array, stats: Any, *, weight: jax.Array, key: jax.Array | None, rate: float
) -> tuple[jax.Array, Any]:
    """`listen` by one network after another, in one program: logits (networks, b, digits).

    Parameters and statistics are stacked, and weight is (networks, b).
    """
    keys = None if key is None else jax.random.split(key, len(weight))

    def one(own: tuple[Params, Any, jax.Array, jax.Array | None]) -> tuple[jax.Array, Any]:
        p, stats, weight, key = own
        return listen(p, x, length, stats, weight=weight, key=key, rate=rate)

    return jax.lax.map(one, (p, stats, weight, keys))


def digits_heard(p: Params, stats: Any, part: dict[str, np.ndarray]) -> np.ndarray:
    """The likeliest digits (n,) of all rows of a part."""
    return in_chunks(partial(_likeliest, p, stats), part, 100)


@jax.jit
def _likeliest(p: Params, stats: Any, batch: dict[str, jax.Array]) -> jax.Array:
    how = {"weight": batch["weight"], "key": None, "rate": 0.0}
    return listen(p, batch["x"], batch["length"], stats, **how)[0].argmax(-1)
