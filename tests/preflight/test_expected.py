"""The expected time: what was measured, and where nothing was."""

import dataclasses

import pytest

from jnn.preflight import CHIPS
from jnn.preflight._expected import MEASURED, expected
from jnn.preflight._hbm_traffic import Traffic
from jnn.preflight._roofline import Roofline
from tests.preflight.small import report

# Training steps of GPT-2 124M on one H200 (193fc80, JAX 0.11.2): FLOPs, what their compiled programs move, and the
# milliseconds that they took. The first two are jnn's, the others plain JAX's.
RUNS = {
    "16 rows": (13.540e12, Traffic(25_807_866_288, 41_585_413_120, 50_806_897_944, 1196), 40.2),
    "32 rows": (26.461e12, Traffic(49_482_551_968, 141_146_644_208, 152_051_156_712, 1500), 87.2),
    "plain, 16 rows": (13.540e12, Traffic(22_241_233_088, 49_913_492_448, 63_393_248_496, 1210), 42.5),
    "plain, 32 rows": (26.461e12, Traffic(38_979_500_032, 77_240_060_540, 106_662_236_320, 836), 70.7),
}


@pytest.mark.parametrize("name", RUNS)
def test_what_was_measured_is_expected(name):
    flops, traffic, measured = RUNS[name]
    chip = CHIPS["h200"]
    found = expected(flops, traffic, 0.0, chip)
    assert 1e3 * found.seconds == pytest.approx(measured, rel=0.1)
    assert 1e3 * max(flops / chip.flops, traffic.bytes / chip.bandwidth) < measured  # the bound holds


def test_collectives_that_nothing_overlaps_come_on_top():
    flops, traffic, _ = RUNS["16 rows"]
    alone, together = (expected(flops, traffic, exposed, CHIPS["h200"]).seconds for exposed in (0.0, 0.5))
    assert together == pytest.approx(alone + 0.5)


@pytest.mark.parametrize("name", sorted(CHIPS.keys() - MEASURED.keys()))
def test_of_other_chips_nothing_is_expected(name):
    assert expected(1e12, Traffic(1, 1, 1, 1), 0.0, CHIPS[name]) is None


def test_the_report_says_by_what():
    line = Roofline(0.5, 0.25, {}, 0.0, peak=8e12, model=2 * 10**12)
    found = expected(1e12, Traffic(1, 1, 1, 1), 0.0, CHIPS["h200"])
    text = lambda line: str(dataclasses.replace(report(), roofline=line))
    assert "Nothing was measured on cpu" in text(line)
    assert "as measured on one NVIDIA H200 on 2026-11-27: products at 81% of" in text(
        dataclasses.replace(line, expected=found)
    )
