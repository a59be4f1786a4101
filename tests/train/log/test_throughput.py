"""Speed over the last seconds, and the published peaks."""

import types

import jax
import pytest

from jnn.train.log._throughput import PUBLISHED, WINDOW, Speed, peak_flops


def speeds(times_and_steps):
    times, steps = zip(*times_and_steps, strict=True)
    speed = Speed(iter(times).__next__)
    return [speed(step) for step in steps]


def test_a_steady_run():
    assert speeds([(10 * i, 30 * i) for i in range(4)]) == [None, 3.0, 3.0, 3.0]


def test_rows_closer_than_the_window_are_taken_together():
    dense = speeds([(WINDOW / 4 * i, i) for i in range(9)])
    assert dense == [None] * 4 + [4 / WINDOW] * 5


def test_only_the_last_seconds_count():
    assert speeds([(0, 0), (10, 10), (20, 110)]) == [None, 1.0, 10.0]


def test_rows_of_a_restored_history_took_no_time_and_count_for_nothing():
    burst = [(1e-4 * i, 100 * i) for i in range(50)]
    assert speeds([*burst, (10 + burst[-1][0], 5000)])[-1] == pytest.approx(10.0)
    assert set(speeds(burst)) == {None}


def test_a_run_that_goes_back_begins_anew():
    assert speeds([(0, 0), (10, 100), (20, 50), (30, 60)]) == [None, 10.0, None, 1.0]


def test_peaks_add_up_and_are_never_guessed():
    known, unknown = (types.SimpleNamespace(device_kind=kind) for kind in ("TPU v4", "a device of tomorrow"))
    assert peak_flops([known] * 4) == 4 * PUBLISHED["TPU v4"]
    assert peak_flops([known, unknown]) is None
    assert peak_flops([]) is None
    assert peak_flops(jax.devices("cpu")) is None
