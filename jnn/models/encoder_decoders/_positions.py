"""How rows of a side know where they stand, as data: vectors that are added to them, or biases of its attention.

    positions.spec(d, heads, dtype)                 what is learned of them
    positions.add(p, x, at) -> x                    rows that stand at `at`
    positions.bias(p, causal) -> Bias | None        of attention within the side, the same in all its layers

They are data so that a config that holds one can be compared, printed and be static under `jit`.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import numpy as np
from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import (
    Bias,
    learned_positions,
    learned_positions_spec,
    relative_bias,
    relative_bias_spec,
    sinusoidal_positions,
)
from jnn.param import Params, Spec
from jnn.precision import add_bias, wide_dtype


@dataclasses.dataclass(frozen=True)
class SinusoidalPositions:
    """Sinusoidal positions, as data. The defaults are the paper's.

    Attributes:
      interleaved: as in `sinusoidal_positions`.
      inclusive: whether the slowest pair has the wavelength 2 pi * 10000 itself, as in Tensor2Tensor and Whisper;
        otherwise it is what the next pair would have.

    >>> SinusoidalPositions().rates(4).tolist(), SinusoidalPositions(inclusive=True).rates(4).tolist()
    ([1.0, 0.01], [1.0, 0.0001])
    """

    interleaved: bool = True
    inclusive: bool = False

    def rates(self, d: int) -> np.ndarray:
        """By how much the angle of each pair of d features grows with a position: (d // 2,)."""
        return 10_000.0 ** (-np.arange(d // 2) / max(d // 2 - self.inclusive, 1))

    def spec(self, d: int, heads: int, dtype: DTypeLike) -> Spec:
        """Nothing is learned."""
        return {}

    def add(self, p: Params, x: jax.Array, at: jax.Array) -> jax.Array:
        """Rows (..., t, d) at positions (t,), with their sines and cosines."""
        d, dtype = x.shape[-1], wide_dtype(x)
        where = sinusoidal_positions(at, d, rates=self.rates(d), interleaved=self.interleaved, dtype=dtype)
        return add_bias(x, where)

    def bias(self, p: Params, *, causal: bool) -> Bias | None:
        """None."""
        return None


@dataclasses.dataclass(frozen=True)
class LearnedPositions:
    """Learned positions, as data.

    Attributes:
      context: how many there are.
      offset: how many rows of the table lie before the first; BART's are 2.

    >>> LearnedPositions(1024, offset=2).spec(8, 2, "float32")["position"]["table"].shape
    (1026, 8)
    """

    context: int
    offset: int = 0

    def __post_init__(self) -> None:
        checks.count("LearnedPositions", "context", self.context)

    def spec(self, d: int, heads: int, dtype: DTypeLike) -> Spec:
        """A vector for each."""
        return {"position": learned_positions_spec(self.context + self.offset, d, dtype=dtype)}

    def add(self, p: Params, x: jax.Array, at: jax.Array) -> jax.Array:
        """Rows (..., t, d) at positions (t,), with their vectors.

        Raises:
          ValueError: they are more than there are positions.
        """
        if len(at) > self.context:
            raise ValueError(f"LearnedPositions: found {len(at)} rows, its params have {self.context} positions.")
        return add_bias(x, learned_positions(p["position"], at + self.offset))

    def bias(self, p: Params, *, causal: bool) -> Bias | None:
        """None."""
        return None


@dataclasses.dataclass(frozen=True)
class RelativePositions:
    """Relative positions (T5), as data: all layers of a side share its biases of attention.

    Attributes:
      buckets, furthest: as in `relative_bias_spec` and `relative_bias`.

    >>> RelativePositions().spec(512, 8, "float32")["position"]["table"].shape
    (32, 8)
    """

    buckets: int = 32
    furthest: int = 128

    def spec(self, d: int, heads: int, dtype: DTypeLike) -> Spec:
        """A number for each bucket of distances and each head."""
        return {"position": relative_bias_spec(heads, self.buckets, dtype=dtype)}

    def add(self, p: Params, x: jax.Array, at: jax.Array) -> jax.Array:
        """Rows as they are."""
        return x

    def bias(self, p: Params, *, causal: bool) -> Bias | None:
        """Of attention within the side."""
        return partial(relative_bias, p["position"], causal=causal, furthest=self.furthest)


Positions = SinusoidalPositions | LearnedPositions | RelativePositions
PAPERS = SinusoidalPositions()
