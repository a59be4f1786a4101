"""Rotary positions of published decoders: how their rates are scaled for contexts longer than those first seen.

    scaling.rates(size, base) -> (size / 2,)        by how much each pair of features turns a position
    scaling.scale                                   what turned features are multiplied by

A scaling is data, so that a config that holds one can be compared, printed and be static under `jit`. Where rates hang
on how long a sequence is, they are those of one length, which is said once, by `DecoderConfig.for_length`: so what is
remembered of keys is turned as all others are, and prefill, steps and the whole agree.
"""

from __future__ import annotations

import dataclasses
import math
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

    def __post_init__(self) -> None:
        _check("LinearScaling", self.factor)

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


@dataclasses.dataclass(frozen=True)
class DynamicScaling:
    """Dynamic NTK scaling, for sequences of one length: a larger base where they exceed the context first seen.

    See "YaRN: Efficient Context Window Extension of Large Language Models", Peng et al., 2023, section 3.

    Attributes:
      factor: how fast the base grows.
      context: how many positions were seen in pre-training.
      length: of the sequences; None where it is not said yet.

    >>> DynamicScaling(2.0, 8, length=8).rates(4, 100.0).tolist()
    [1.0, 0.1]
    """

    factor: float
    context: int
    length: int | None = None
    scale: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        _check("DynamicScaling", self.factor, context=self.context)

    def rates(self, size: int, base: float) -> np.ndarray:
        """As `rotary_rates`."""
        length = max(_said(self.length, "dynamic"), self.context)
        grown = self.factor * length / self.context - (self.factor - 1)
        # a single pair turns by 1 a position, whatever the base
        return rotary_rates(size, base=base if size == 2 else base * grown ** (size / (size - 2)))


@dataclasses.dataclass(frozen=True)
class LongScaling:
    """LongRoPE scaling, for sequences of one length: each rate divided by a factor of its own.

    See "LongRoPE: Extending LLM Context Window Beyond 2 Million Tokens", Ding et al., 2024.

    Attributes:
      short, long: the factors where sequences stay within the context first seen, and where they are longer.
      context: how many positions were seen in pre-training.
      scale: what turned features are multiplied by.
      length: of the longest sequence; None where it is not said yet.

    >>> scaling = LongScaling((1.0, 1.0), (2.0, 4.0), 8)
    >>> [dataclasses.replace(scaling, length=n).rates(4, 100.0).tolist() for n in (8, 9)]
    [[1.0, 0.1], [0.5, 0.025]]
    """

    short: tuple[float, ...]
    long: tuple[float, ...]
    context: int
    scale: float = 1.0
    length: int | None = None

    def __post_init__(self) -> None:
        _check("LongScaling", *self.short, *self.long, context=self.context)

    def rates(self, size: int, base: float) -> np.ndarray:
        """As `rotary_rates`."""
        factors = self.long if _said(self.length, "longrope") > self.context else self.short
        if len(factors) != size // 2:
            raise ValueError(f"LongScaling: expected {size // 2} factors, one for each pair, found {len(factors)}.")
        return rotary_rates(size, base=base) / np.asarray(factors)


def _check(name: str, *factors: float, context: int = 1) -> None:
    if not all(0 < factor < math.inf for factor in factors) or context < 1:
        found = ", ".join(map(str, factors)) + ("" if context >= 1 else f" and a context of {context}")
        raise ValueError(f"{name}: expected positive, finite factors and a positive context, found {found}.")


def _said(length: int | None, kind: str) -> int:
    if length is None:
        raise ValueError(
            f"rope_scaling of {kind}: rates hang on how long sequences get. Say it: config = config.for_length(tokens)."
        )
    return length


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling | DynamicScaling | LongScaling
