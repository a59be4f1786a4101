"""Metrics as sums. A metric is a small pytree of totals; adding two, leaf by leaf, is exact pooling.

metric = accuracy(logits, labels)         sums of one batch, made inside the step
merge(a, b, ...)                          sums over batches, steps and devices, in float64 on the host
metric.value()                            the number, from the sums
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np


class Mean(NamedTuple):
    """A weighted mean: the sum of values and the sum of weights.

    >>> Mean(6.0, 4.0).value()
    1.5
    """

    total: Any
    weight: Any

    def value(self) -> Any:
        """total / weight."""
        return self.total / self.weight


def merge(*metrics: Any) -> Any:
    """Adds trees of metrics, leaf by leaf, in float64 on the host: exact for counts to 2**53.

    >>> float(merge(Mean(1.0, 2.0), Mean(5.0, 2.0)).value())
    1.5
    """
    return jax.tree.map(lambda *leaves: sum(np.asarray(leaf, np.float64) for leaf in leaves), *metrics)
