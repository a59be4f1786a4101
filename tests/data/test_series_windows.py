"""Windows of series: they hold what the series hold, and depend on the step alone; origins roll to the end."""

import numpy as np
import pytest

from jnn.data import SeriesWindows, rolling_origins

SERIES = {"y": np.arange(50.0), "known": np.arange(100.0).reshape(50, 2)}


def test_a_batch_is_windows_of_all_series_at_the_same_steps():
    windows = SeriesWindows(SERIES, 7, 5, seed=3)
    batch = windows[4]
    assert batch["y"].shape == (5, 7)
    assert batch["known"].shape == (5, 7, 2)
    assert (np.diff(batch["y"]) == 1).all()
    np.testing.assert_array_equal(batch["known"][..., 0], 2 * batch["y"])
    np.testing.assert_array_equal(batch["weight"], np.ones(5))
    for name, array in windows.stack(3, 2).items():
        np.testing.assert_array_equal(array[1], windows[4][name])
    assert (windows[5]["y"] != batch["y"]).any()


def test_windows_start_everywhere_from_the_first_to_the_last():
    windows = SeriesWindows(SERIES, 48, 200, seed=0)
    assert set(windows[0]["y"][:, 0]) == {0, 1, 2}


def test_origins_roll_to_the_end():
    found = rolling_origins(SERIES, 10, 4, first=38, every=4)
    assert found["y"][:, 10].tolist() == [38, 42, 46]
    assert found["y"][-1].tolist() == list(range(36, 50))
    assert found["known"].shape == (3, 14, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: SeriesWindows(SERIES, 51, 1, seed=0),
            "expected series of at least the 51 steps of a window, found 50. Give a length of 50 or less.",
        ),
        (lambda: SeriesWindows({"y": np.arange(3.0), "x": np.arange(4.0)}, 2, 1, seed=0), "one common length"),
        (lambda: SeriesWindows({"y": np.array([1.0, np.nan])}, 1, 1, seed=0), "'y' holds NaN or infinity"),
        (lambda: SeriesWindows(SERIES, 2, 0, seed=0), "batch_size must be at least 1"),
        (lambda: rolling_origins(SERIES, 10, 4, first=9), r"expected a first origin in 10\.\.46"),
        (lambda: rolling_origins(SERIES, 10, 4, first=47), r"expected a first origin in 10\.\.46"),
        (lambda: rolling_origins(SERIES, 10, 4, first=20, every=0), "expected every to be an integer, 1 or more"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
