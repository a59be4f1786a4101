"""Early stopping: a pure function of the history."""

import math

import pytest

from jnn.train import EarlyStopping


def rows(*losses):
    return [{"step": 10 * i, "val/loss": loss} for i, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "patience", "stopped"),
    [
        ([], 1, False),
        ([1.0], 1, False),
        ([1.0, 1.0], 1, True),
        ([1.0, 0.9, 0.9], 2, False),
        ([1.0, 0.9, 0.9, 0.95], 2, True),
        ([1.0, 0.9, 0.95, 0.8, 0.9], 2, False),
        ([1.0, math.nan, math.nan], 2, True),
        ([math.nan, 1.0, 0.9], 1, False),
    ],
)
def test_stops_after_as_many_rows_without_a_better_one(losses, patience, stopped):
    assert EarlyStopping("val/loss", patience).stopped(rows(*losses)) is stopped


def test_the_least_difference_that_counts():
    history = rows(1.0, 0.95, 0.91)
    assert EarlyStopping("val/loss", 2, min_delta=0.1).stopped(history)
    assert not EarlyStopping("val/loss", 2, min_delta=0.08).stopped(history)


def test_max_is_min_of_the_negative():
    history = [{"step": row["step"], "val/loss": -row["val/loss"]} for row in rows(3.0, 1.0, 2.0)]
    assert (
        EarlyStopping("val/loss", 1, "max").best(history)["step"]
        == EarlyStopping("val/loss", 1).best(rows(3.0, 1.0, 2.0))["step"]
    )


def test_rows_without_the_metric_do_not_count():
    history = [rows(1.0)[0], {"step": 15, "train/loss": 9.0}, {"step": 20, "train/loss": 9.0}]
    assert not EarlyStopping("val/loss", 1).stopped(history)


def test_a_metric_that_no_row_holds():
    with pytest.raises(KeyError, match=r"no row holds 'val/f1'; the rows hold \['step', 'val/loss'\]"):
        EarlyStopping("val/f1", 1).stopped(rows(1.0))
    with pytest.raises(KeyError, match="history is empty"):
        EarlyStopping("val/f1", 1).best([])


@pytest.mark.parametrize(
    "settings", [{"patience": 0}, {"patience": 1, "min_delta": -1.0}, {"patience": 1, "mode": "least"}]
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="EarlyStopping: expected patience >= 1"):
        EarlyStopping("val/loss", **settings)
