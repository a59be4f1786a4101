"""How fast a run goes, and what share of its devices' peak that is.

Speed()(step) -> steps per second, or None while too little was seen
peak_flops(jax.devices()) -> FLOP/s, or None where no peak is published
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

import jax

WINDOW = 2.0  # seconds that a speed is measured over, at least

# Dense matrix products of bfloat16 with sums in float32, per JAX device, as the makers publish them:
# the data sheets "NVIDIA A100 / H100 / H200 Tensor Core GPU" (without sparsity) and Google Cloud's pages on TPUs.
# Devices that JAX shows as part of a chip are left out.
PUBLISHED = {
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989.4e12,
    "NVIDIA H200": 989.4e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
}


def peak_flops(devices: Iterable[jax.Device]) -> float | None:
    """The published peak of all devices together in bfloat16 FLOP/s; None unless it is known of each.

    The model FLOPs utilization (MFU) is the model's own arithmetic per second over this. See "PaLM: Scaling
    Language Modeling with Pathways", Chowdhery et al., 2022, appendix B.

    >>> peak_flops(jax.devices("cpu")) is None
    True
    """
    peaks = [PUBLISHED.get(device.device_kind) for device in devices]
    known = [peak for peak in peaks if peak is not None]
    return sum(known) if known and len(known) == len(peaks) else None


class Speed:
    """Steps per second, over the shortest stretch of calls that lasted `WINDOW` seconds or more.

    Steps that come in a burst, such as the rows of a restored history, were not computed now: they lie on the
    other side of the stretch as soon as one step took its time.

    Args:
      clock: gives seconds.

    >>> speed = Speed(iter([0.0, 4.0]).__next__)
    >>> speed(100), speed(120)
    (None, 5.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def __call__(self, step: float) -> float | None:
        """The speed at this step."""
        now = self._clock()
        if self._seen and step <= self._seen[-1][1]:  # the run went back
            self._seen.clear()
        self._seen.append((now, step))
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        return (step - before) / (now - then) if now - then >= WINDOW else None
