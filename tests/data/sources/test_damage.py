"""Skipped: the one door for damaged records."""

import pytest

from jnn.data import Skipped
from jnn.data.sources._damage import refuse


def test_without_a_counter_the_error_is_raised():
    error = ValueError("a.csv: line 3: torn")
    with pytest.raises(ValueError, match="torn") as caught:
        refuse("a.csv: line 3", error, None)
    assert caught.value is error


def test_a_record_counts_once_however_often_it_is_read():
    skipped = Skipped(limit=2)
    for _ in range(5):
        refuse("a.png", ValueError("a.png: torn"), skipped)
    refuse("b.png", ValueError("b.png: torn"), skipped)
    assert (skipped.count, skipped.messages) == (2, ["a.png: torn", "b.png: torn"])
    with pytest.raises(ValueError, match=r"3 records are damaged, and at most 2 may be skipped .* c.png: torn"):
        refuse("c.png", ValueError("c.png: torn"), skipped)


def test_a_limit_below_zero_is_an_error():
    with pytest.raises(ValueError, match=r"Skipped: limit is how many records may be skipped, 0 or more; found -1"):
        Skipped(limit=-1)
