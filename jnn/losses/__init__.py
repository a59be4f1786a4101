"""Losses: one number per example (or token). Nothing here reduces over examples; the train step does, once.

What lives here compares predictions with targets, or penalises params. What does not: metrics
(`jnn.metrics`), reduction, weighting by example.
"""

from jnn.losses._classification import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    soft_cross_entropy,
)
from jnn.losses._penalty import l1, l2
from jnn.losses._regression import absolute_error, huber, squared_error

__all__ = [
    "absolute_error",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber",
    "l1",
    "l2",
    "soft_cross_entropy",
    "squared_error",
]
