"""Scales of inputs in 8 bits, from histograms that were observed.

    absmax_scale(histogram), percentile_scale, mse_scale, entropy_scale -> scale

A histogram is of magnitudes, by their first bits (`observe(..., of=("histogram",))`): bins that are 1.6 % wide at most.
Law: on a histogram that holds more of the same, scales are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.input_sums import bin_edges
from jnn.param import Spec, linear_maps
from jnn.quantization._weights import Scales

MOST = 127
TRIED = 2.0 ** (-np.arange(48) / 8)  # fractions of the greatest magnitude beyond which an input may be cut off


def absmax_scale(histogram: jax.Array) -> jax.Array:
    """Absolute-maximum calibration: the scale by which the greatest input that was observed is 127.

    Args:
      histogram: (..., bins), float32, from `observe`.

    Returns:
      (...), float32; up to 1.6 % more than the greatest needs. NaN where nothing was observed, or what is no number.

    >>> from jnn.quantization import histogram
    >>> round(float(127 * absmax_scale(histogram(jnp.array([0.5, -3.0])))), 2)
    3.03
    """
    _check(histogram)
    return _limit(histogram, jnp.max(jnp.where(histogram > 0, jnp.arange(histogram.shape[-1]), 0), -1)) / MOST


def percentile_scale(histogram: jax.Array, percentile: float = 99.99) -> jax.Array:
    """Percentile calibration: the scale by which so many in a hundred inputs are within 127.

    See "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation", Wu et al., 2020.

    Args:
      histogram: as of `absmax_scale`.
      percentile: between 1 and 100: 99.99, not 0.9999.

    Returns:
      As `absmax_scale`.

    Raises:
      ValueError: the percentile is not one.

    >>> from jnn.quantization import histogram
    >>> x = jnp.concatenate([jnp.ones(99), jnp.array([1000.0])])
    >>> round(float(127 * percentile_scale(histogram(x), 99.0)), 2)
    1.02
    """
    if not 1 < percentile < 100:
        advice = (
            f"Is it a share? Of a hundred it is {100 * percentile:g}." if 0 < percentile <= 1 else "Or absmax_scale."
        )
        raise ValueError(f"percentile_scale: expected a percentile in (1, 100), found {percentile!r}. {advice}")
    _check(histogram)
    counted = jnp.cumsum(histogram, -1)
    return _limit(histogram, jnp.argmax(counted >= counted[..., -1:] * (percentile / 100), -1)) / MOST


def mse_scale(histogram: jax.Array) -> jax.Array:
    """MSE calibration: the scale by which rounding and cutting off together have the least squared error.

    See "Post-Training Piecewise Linear Quantization for Deep Neural Networks", Fang et al., 2020, and Wu et al., 2020.

    Args, Returns: as `absmax_scale`; the best of 48, an eighth of an octave apart.

    >>> from jnn.quantization import histogram
    >>> x = jnp.concatenate([jax.random.normal(jax.random.key(0), (100000,)), jnp.array([20.0])])
    >>> bool(mse_scale(histogram(x)) < 0.8 * absmax_scale(histogram(x)))
    True
    """

    def error(counts: jax.Array, centers: jax.Array, scale: jax.Array) -> jax.Array:
        return jnp.sum(counts * jnp.square(jnp.round(centers / scale).clip(0, MOST) * scale - centers))

    return _best(histogram, error)


def entropy_scale(histogram: jax.Array) -> jax.Array:
    """Entropy (KL) calibration: the scale by which the rounded inputs' distribution diverges least from theirs.

    See "8-bit Inference with TensorRT", Migacz, 2017: of inputs that are cut off at the limit, each of the 128
    magnitudes shares its count among those of its bins that hold any.

    Args, Returns: as `mse_scale`.

    >>> from jnn.quantization import histogram
    >>> x = jnp.concatenate([jax.random.normal(jax.random.key(0), (100000,)), jnp.array([1e3])])
    >>> bool(entropy_scale(histogram(x)) < 0.2 * absmax_scale(histogram(x)))
    True
    """

    def divergence(counts: jax.Array, centers: jax.Array, scale: jax.Array) -> jax.Array:
        inside = (centers <= scale * MOST) & (counts > 0)
        kept = jnp.where(inside, counts, 0.0)
        last = jnp.max(jnp.where(inside, jnp.arange(len(counts)), 0))
        p = kept.at[last].add(jnp.sum(counts) - jnp.sum(kept))  # those cut off are at the limit
        level = jnp.round(centers / scale).clip(0, MOST).astype(jnp.int32)
        held = (kept > 0).astype(jnp.float32)
        sums, bins = (jnp.zeros(MOST + 1).at[level].add(one) for one in (kept, held))
        q = held * (sums / jnp.maximum(bins, 1))[level]
        p, q = p / jnp.sum(p), q / jnp.maximum(jnp.sum(q), 1)
        return jnp.sum(jnp.where(p > 0, p * jnp.log(jnp.maximum(p, 1e-30) / jnp.maximum(q, 1e-12)), 0.0))

    return _best(histogram, divergence)


Error = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # counts (bins,), magnitudes (bins,), a scale


def _best(histogram: jax.Array, error: Error) -> jax.Array:
    """The scale of least error, of fractions of the greatest magnitude."""
    edges = bin_edges()
    finite = edges[1:] < jnp.inf
    middles = jnp.where(finite, (edges[:-1] + jnp.where(finite, edges[1:], 0)) / 2, 0)
    greatest = absmax_scale(histogram)

    def one(counts: jax.Array, most: jax.Array) -> jax.Array:
        centers, scales = jnp.where(counts > 0, middles, 0), jnp.maximum(most * TRIED, jnp.finfo(jnp.float32).tiny)
        return scales[jnp.argmin(jax.lax.map(lambda scale: error(counts, centers, scale), scales))]

    flat = histogram.reshape(-1, histogram.shape[-1])
    found = jax.vmap(one)(jnp.where(finite, flat, 0), greatest.reshape(-1)).reshape(greatest.shape)
    return jnp.where(jnp.isnan(greatest), jnp.nan, found)


def _limit(histogram: jax.Array, last: jax.Array) -> jax.Array:
    """The upper edge of a bin; NaN where the histogram holds nothing, or more than numbers."""
    edges = bin_edges()
    finite = edges[1:] < jnp.inf
    sound = (histogram.sum(-1) > 0) & (jnp.where(finite, 0, histogram).sum(-1) == 0)
    limit = jnp.maximum(edges[1:][last], MOST * jnp.finfo(jnp.float32).tiny)  # inputs that are all 0
    return jnp.where(sound, limit, jnp.nan)


def _check(histogram: Any) -> None:
    bins = len(bin_edges()) - 1
    if getattr(histogram, "shape", ())[-1:] != (bins,):
        raise ValueError(
            f"input scales: expected a histogram (..., {bins}), found {checks.describe(histogram)}. Give "
            'observe(f, p, spec, x, of=("histogram",))[path]["histogram"].'
        )


def check_input_scales(name: str, spec: Spec, given: Scales | None) -> Scales:
    """The scales, by path; raises unless each is of a linear map, and a positive number or one for each of a stack."""
    scales, maps = {} if given is None else given, linear_maps(name, spec)
    checks.by_path(name, "input scales", scales)
    for path, scale in scales.items():
        if path not in maps:
            raise ValueError(f"{name}: found an input scale for {path!r}, which is no linear map of the spec.")
        if isinstance(scale, Mapping):
            made = 'mse_scale(sums[path]["histogram"])'
            raise TypeError(f"{name}: expected an input scale for {path}, found a dict of {[*scale]}. Give {made}.")
        if jnp.shape(scale) != (wanted := maps[path].shape[: maps[path].stacked]):
            raise ValueError(f"{name}: expected an input scale {wanted} for {path}, found {jnp.shape(scale)}.")
        if not isinstance(scale, jax.core.Tracer) and not bool(jnp.all((scale > 0) & jnp.isfinite(scale))):
            raise ValueError(f"{name}: expected a positive input scale for {path}, found {scale}: was it observed?")
    return scales
