"""Losses: one number per example (or token). Nothing here reduces over examples; the train step does, once.

What lives here compares predictions with targets, or penalises params. What does not: metrics
(`jnn.metrics`), reduction, weighting by example.
"""

from jnn.losses.regression import absolute_error, huber, squared_error

__all__ = ["absolute_error", "huber", "squared_error"]
