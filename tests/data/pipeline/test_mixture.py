import numpy as np
import pytest

from jnn.data import SourceBatches, mixture


def source(name, n):
    return [{"source": name, "i": i} for i in range(n)]


def test_shares_are_kept_in_every_stretch():
    mixed = mixture({"a": source(0, 7), "b": source(1, 50), "c": source(2, 3)}, {"a": 5, "b": 3, "c": 2}, seed=0)
    names = np.array([mixed[i]["source"] for i in range(1000)])
    for start in range(0, 1000, 100):
        assert np.bincount(names[start : start + 100]).tolist() == [50, 30, 20]


def test_every_source_goes_through_its_own_epochs():
    mixed = mixture({"a": source(0, 4), "b": source(1, 10)}, {"a": 1, "b": 1}, seed=0)
    a = [e["i"] for e in (mixed[i] for i in range(80)) if e["source"] == 0]
    epochs = [a[i : i + 4] for i in range(0, 40, 4)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1


def test_a_source_keeps_its_order_whatever_it_is_mixed_with():
    def order(sources, weights):
        mixed = mixture(sources, weights, seed=3)
        return [e["i"] for e in (mixed[i] for i in range(300)) if e["source"] == 0][:40]

    one = order({"a": source(0, 9), "b": source(1, 9)}, {"a": 1, "b": 1})
    assert one == order({"c": source(2, 5), "a": source(0, 9)}, {"c": 0.25, "a": 0.75})
    other = mixture({"a": source(0, 9)}, {"a": 1}, seed=4)
    assert one != [other[i]["i"] for i in range(40)]


def test_in_batches():
    batches = SourceBatches(mixture({"a": source(0, 4), "b": source(1, 4)}, {"a": 3, "b": 1}, seed=0), 8, seed=None)
    assert all(batches[s]["source"].sum() == 2 for s in range(5))


@pytest.mark.parametrize(
    ("sources", "weights", "message"),
    [
        ({}, {}, "a weight for each source"),
        ({"a": source(0, 2)}, {"b": 1}, r"found \['a'\] and \['b'\]"),
        ({"a": source(0, 2)}, {"a": 0}, r"otherwise for \['a'\]"),
        ({"a": source(0, 2)}, {"a": float("nan")}, r"otherwise for \['a'\]"),
        ({"a": source(0, 2), "b": []}, {"a": 1, "b": 1}, r"otherwise for \['b'\]"),
    ],
)
def test_bad_input_is_one_clear_error(sources, weights, message):
    with pytest.raises(ValueError, match=message):
        mixture(sources, weights, seed=0)
