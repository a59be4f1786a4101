"""Rotary positions of published decoders: how their rates are scaled for contexts longer than those first seen.

    scaling.rates(size, base) -> (size / 2,)        by how much each pair of features turns a position
    scaling.scale                                   what turned features are multiplied by

A scaling is data, so that a config that holds one can be compared, printed and be static under `jit`.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from jnn.layers import llama3_rates, rotary_rates, yarn_rates, yarn_scale


@dataclasses.dataclass(frozen=True)
class LinearScaling:
    """Position interpolation: all rates divided by a factor.

    Attributes:
      factor: how much longer the new context is.

    >>> LinearScaling(2.0).rates(4, 100.0).tolist()
    [0.5, 0.05]
    """

    factor: float
    scale: ClassVar[float] = 1.0

    def rates(self, size: int, base: float) -> np.ndarray:
        """As `rotary_rates`."""
        return rotary_rates(size, base=base) / self.factor


@dataclasses.dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3 rotary scaling, as data.

    Attributes:
      factor, context, low, high: as in `llama3_rates`.

    >>> Llama3Scaling(8.0, 8192).rates(64, 5e5).shape
    (32,)
    """

    factor: float
    context: int
    low: float = 1.0
    high: float = 4.0
    scale: ClassVar[float] = 1.0

    def rates(self, size: int, base: float) -> np.ndarray:
        """As `llama3_rates`."""
        return llama3_rates(size, base=base, factor=self.factor, context=self.context, low=self.low, high=self.high)


@dataclasses.dataclass(frozen=True)
class YarnScaling:
    """YaRN rotary scaling, as data.

    Attributes:
      factor, context, fast, slow: as in `yarn_rates`.
      attention: what turned features are multiplied by; `yarn_scale(factor)` by default.

    >>> YarnScaling(4.0, 4096).rates(64, 1e4).shape
    (32,)
    """

    factor: float
    context: int
    fast: float = 32.0
    slow: float = 1.0
    attention: float | None = None

    @property
    def scale(self) -> float:
        """What turned features are multiplied by."""
        return yarn_scale(self.factor) if self.attention is None else self.attention

    def rates(self, size: int, base: float) -> np.ndarray:
        """As `yarn_rates`."""
        return yarn_rates(size, base=base, factor=self.factor, context=self.context, fast=self.fast, slow=self.slow)


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling
