"""Where windows lie in space: what is added on both sides, and how far a kernel reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence

Pads = list[tuple[int, int]]


def padding_of(
    auto_pad: str, pads: Sequence[int] | None, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> Pads:
    """What is added on both sides of each axis in space; kernels are as wide as they reach."""
    if auto_pad in ("NOTSET", "VALID"):
        flat = list(pads or [0] * (2 * len(sizes))) if auto_pad == "NOTSET" else [0] * (2 * len(sizes))
        return list(zip(flat[: len(sizes)], flat[len(sizes) :], strict=True))
    total = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, kernel, strides, strict=True)]
    lower = [(n + 1) // 2 if auto_pad == "SAME_LOWER" else n // 2 for n in total]
    return [(low, n - low) for low, n in zip(lower, total, strict=True)]


def reach_of(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """How wide a kernel with gaps is."""
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
