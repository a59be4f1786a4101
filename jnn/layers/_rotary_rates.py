"""Rates of rotary positions: by how much each pair of features turns a position, for contexts longer than those seen.

    rotary(x, positions, rates=rotary_rates(32))                        the first 32 features of each head alone
    rotary(x, positions, rates=rotary_rates(64) / 4)                    position interpolation, four times as far
    rotary(x, positions, rates=llama3_rates(128, base=5e5, factor=8, context=8192))
    rotary(x, positions, rates=yarn_rates(64, factor=4, context=4096), scale=yarn_scale(4))

They are numbers of NumPy in float64: what a program computes of them is a constant.

Laws: a factor of 1 changes nothing; the fastest pairs keep their rate, and the slowest are slowed by the factor.
"""

from __future__ import annotations

import math

import numpy as np


def rotary_rates(size: int, *, base: float = 10_000.0) -> np.ndarray:
    """Rotary rates: `base ** (-2 i / size)` for i < size / 2.

    Divided by a factor they are position interpolation ("Extending Context Window of Large Language Models via
    Positional Interpolation", Chen et al., 2023).

    Args:
      size: how many features of a head are turned; even.
      base: the slowest pair turns by about 1 / base a position.

    Returns:
      (size / 2,), float64.

    Raises:
      ValueError: size is odd, or the base is not positive.

    >>> rotary_rates(4, base=100.0).tolist()
    [1.0, 0.1]
    """
    return rates_of("rotary_rates", size, base)


def llama3_rates(
    size: int, *, base: float = 500_000.0, factor: float, context: int, low: float = 1.0, high: float = 4.0
) -> np.ndarray:
    """Llama 3 rotary scaling: pairs that turn more than `high` times in the context seen keep their rate, those that
    turn less than `low` times are slowed by the factor, and between, in proportion.

    See "The Llama 3 Herd of Models", Grattafiori et al., 2024, and its published code.

    Args:
      size, base: as in `rotary_rates`.
      factor: how much longer the new context is.
      context: how many positions were seen in pre-training.
      low, high: turns.

    Returns:
      (size / 2,), float64.

    Raises:
      ValueError: size is odd, or a number does not fit.

    >>> bool((llama3_rates(64, factor=1.0, context=8192) == rotary_rates(64, base=500_000.0)).all())
    True
    """
    _check("llama3_rates", factor, context)
    if not 0 < low < high:
        raise ValueError(f"llama3_rates: expected 0 < low < high, found {low} and {high}.")
    rates = rotary_rates(size, base=base)
    kept = np.clip((context * rates / (2 * np.pi) - low) / (high - low), 0, 1)
    return kept * rates + (1 - kept) * rates / factor


def yarn_rates(
    size: int, *, base: float = 10_000.0, factor: float, context: int, fast: float = 32.0, slow: float = 1.0
) -> np.ndarray:
    """YaRN rotary scaling: pairs that turn more than `fast` times in the context seen keep their rate, those that turn
    less than `slow` times are slowed by the factor, and between, by a ramp over the pairs.

    See "YaRN: Efficient Context Window Extension of Large Language Models", Peng et al., 2023. The ramp runs over the
    number of the pair, from whole number to whole number, as in the authors' code, by which models were trained.

    Args:
      size, base, factor, context: as in `llama3_rates`.
      fast, slow: turns.

    Returns:
      (size / 2,), float64.

    Raises:
      ValueError: size is odd, or a number does not fit.

    >>> rates = yarn_rates(64, factor=4.0, context=4096)
    >>> float(rates[0]), round(float(rotary_rates(64)[-1] / rates[-1]), 6)
    (1.0, 4.0)
    """
    _check("yarn_rates", factor, context)
    if not 0 < slow < fast:
        raise ValueError(f"yarn_rates: expected 0 < slow < fast, found {slow} and {fast}.")
    if not base > 1:
        raise ValueError(f"yarn_rates: expected a base over 1, whose pairs turn at different rates, found {base}.")
    rates = rotary_rates(size, base=base)
    pair = lambda turns: size * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(base))
    first, last = max(math.floor(pair(fast)), 0), min(math.ceil(pair(slow)), size - 1)
    slowed = np.clip((np.arange(size // 2) - first) / max(last - first, 1e-3), 0, 1)
    return (1 - slowed) * rates + slowed * rates / factor


def yarn_scale(factor: float) -> float:
    """YaRN attention scale: `0.1 ln(factor) + 1`, of queries and of keys, which sharpens attention over more of them.

    See "YaRN: Efficient Context Window Extension of Large Language Models", Peng et al., 2023.

    >>> yarn_scale(1.0)
    1.0
    """
    _check("yarn_scale", factor, 1)
    return 0.1 * math.log(factor) + 1.0


def rates_of(layer: str, size: int, base: float) -> np.ndarray:
    """`rotary_rates`, for a layer whose size it is."""
    if size < 2 or size % 2:
        raise ValueError(f"{layer}: pairs of features need an even size, found {size}.")
    if not 0 < base < math.inf:
        raise ValueError(f"{layer}: expected a positive, finite base, found {base}.")
    return base ** (-np.arange(0, size, 2) / size)


def _check(name: str, factor: float, context: int) -> None:
    if not 1 <= factor < math.inf or context < 1:
        raise ValueError(
            f"{name}: expected a finite factor of 1 or more and a positive context, found {factor}, {context}."
        )
