"""Likelihoods of images, in nats and in bits: of pixels drawn black or white, or spread over what is between two greys.

binarize(x, key)                    grey is the probability of white
pixel_nll(logits, x)                nats of black and white images
dequantize(x, key)                  256 greys as numbers of a density
bits_per_dimension(nats, pixels)
"""

from __future__ import annotations

import math

import jax

from jnn.losses import binary_cross_entropy_with_logits

GREYS = 256


def binarize(x: jax.Array, key: jax.Array) -> jax.Array:
    """Pixels in 0..1 to 0 or 1, each drawn anew: "On the Quantitative Analysis of Deep Belief Networks", 2008."""
    return jax.random.bernoulli(key, x).astype(x.dtype)


def pixel_nll(logits: jax.Array, x: jax.Array) -> jax.Array:
    """Minus the log-likelihood, in nats, of black and white pixels (..., pixels) that are independent given a code."""
    return x.shape[-1] * binary_cross_entropy_with_logits(logits, x)


def dequantize(x: jax.Array, key: jax.Array) -> jax.Array:
    """Greys k/255 to (k + u)/256, u uniform: log-densities of it bound log-probabilities of greys from below.

    See "A Note on the Evaluation of Generative Models", Theis, van den Oord and Bethge, 2016.
    """
    return (x * (GREYS - 1) + jax.random.uniform(key, x.shape, x.dtype)) / GREYS


def bits_per_dimension(nats: float, pixels: int) -> float:
    """Nats of an image as bits of each of its pixels."""
    return nats / pixels / math.log(2)
