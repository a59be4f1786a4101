"""The time that a step is expected to take, by what was measured of the kinds of work that it is made of.

    MEASURED["h200"] -> Efficiency
    expected(flops, traffic, exposed, chip) -> Expected or None

A device runs one kernel after another. Products, convolutions and attention take their arithmetic at a share of the
peak, or their traffic where that takes longer; all other kernels their traffic at a share of the bandwidth; each
kernel takes some time to begin. Collectives that nothing overlaps come on top, at the published rate.

Laws: where nothing was measured of a chip, nothing is expected. It is a forecast, and no bound.
"""

from __future__ import annotations

import dataclasses

from jnn.preflight._chips import Chip
from jnn.preflight._hbm_traffic import Traffic


@dataclasses.dataclass(frozen=True)
class Efficiency:
    """What was measured of one card, by kind of work."""

    card: str
    date: str
    products: float  # of the peak: matrix products, convolutions, attention
    traffic: float  # of the bandwidth: what other kernels read and write, none of it found in a cache
    start: float  # seconds that a kernel takes to begin


# H200, JAX 0.11.2: three numbers, each from a measurement of its own. products: bfloat16, 8192 cubed, 804 TFLOP/s.
# start: the LSTM of `experiments.benchmarks`, 5.79 ms of 3,622 kernels with next to no work. traffic: training steps of
# GPT-2 124M, one share for all four; milliseconds expected and measured: 16 rows, dots remembered, 36.8 and 40.2; 32
# rows, everything remembered, 89.7 and 87.2; in plain JAX 16 rows, scanned, 41.4 and 42.5; 32 rows, unrolled, 72.5 and
# 70.7. So the same four calibrate and check it: of a network of another kind it is not known how far off it is.
MEASURED = {"h200": Efficiency("NVIDIA H200", "2026-11-27", products=0.81, traffic=0.58, start=1.4e-6)}


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a step is expected to take, and by which measurement."""

    seconds: float
    by: Efficiency


def expected(flops: float, traffic: Traffic, exposed: float, chip: Chip) -> Expected | None:
    """The expected time of a step.

    Args:
      flops: of one device.
      traffic: of the same.
      exposed: seconds of the collectives that nothing overlaps.
      chip: what it runs on.

    Returns:
      Its seconds, and by which measurement; None where nothing was measured of the chip.

    >>> from jnn.preflight import CHIPS
    >>> found = expected(804e12, Traffic(0, 0, 0, 0), 0.0, CHIPS["h200"])
    >>> round(found.seconds, 2), expected(804e12, Traffic(0, 0, 0, 0), 0.0, CHIPS["v5p"])
    (1.0, None)
    """
    if (by := MEASURED.get(chip.name)) is None or chip.flops is None or chip.bandwidth is None:
        return None
    moved = lambda size: size / (chip.bandwidth * by.traffic)
    products = max(flops / (chip.flops * by.products), moved(traffic.products))
    return Expected(products + moved(traffic.uncached) + traffic.kernels * by.start + exposed, by)
