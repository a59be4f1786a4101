import sys

import grain
import numpy as np
import pytest

from jnn.data import ImageFolder, Skipped, SourceBatches


def numbered(n):
    return [{"x": np.full((2,), i, np.float32), "y": np.int32(i)} for i in range(n)]


def real(batch):
    return batch["y"][batch["weight"] > 0].tolist()


@pytest.mark.parametrize(("n", "size"), [(5, 2), (12, 4), (7, 7)])
def test_every_epoch_holds_every_example_once_in_an_order_of_its_own(n, size):
    batches = SourceBatches(numbered(n), size, seed=3)
    steps = batches.steps_per_epoch
    epochs = [[y for s in range(e * steps, (e + 1) * steps) for y in real(batches[s])] for e in range(4)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1
    assert {batches[s]["x"].shape for s in range(2 * steps)} == {(size, 2)}


def test_order_depends_on_the_seed_alone():
    one, two = SourceBatches(numbered(40), 8, seed=0), SourceBatches(numbered(40), 8, seed=1)
    backwards = {s: one[s]["y"].tolist() for s in reversed(range(11))}
    again = SourceBatches(numbered(40), 8, seed=0)
    assert all(again[s]["y"].tolist() == backwards[s] for s in range(11))
    later = [two[s]["y"].tolist() for s in range(20)]
    assert not any(backwards[s] in later for s in backwards)  # not even in another epoch


@pytest.mark.parametrize("count", [1, 2, 4])
def test_parts_one_after_another_are_the_whole(count):
    whole = SourceBatches(numbered(10), 4, seed=5)
    parts = [SourceBatches(numbered(10), 4, seed=5, part=(i, count)) for i in range(count)]
    for step in range(7):
        pieces = [part[step] for part in parts]
        for name, expected in whole[step].items():
            np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), expected)


def test_in_order_without_a_seed():
    batches = SourceBatches(numbered(5), 2, seed=None, drop_last=True)
    assert [batches[s]["y"].tolist() for s in range(3)] == [[0, 1], [2, 3], [0, 1]]
    stack = batches.stack(1, 2)
    assert stack["y"].tolist() == [[2, 3], [0, 1]]
    assert stack["weight"].shape == (2, 2)


def test_transformations_of_grain_are_drawn_anew_in_every_epoch():
    dataset = grain.MapDataset.source(numbered(6)).seed(1).random_map(lambda e, rng: {**e, "r": rng.random()})
    batches = SourceBatches(dataset, 6, seed=0)
    draws = [dict(zip(batches[s]["y"].tolist(), batches[s]["r"].tolist(), strict=True)) for s in (0, 1)]
    assert all(draws[0][i] != draws[1][i] for i in range(6))
    np.testing.assert_array_equal(SourceBatches(dataset, 6, seed=0)[1]["r"], batches[1]["r"])


def test_missing_examples_are_rows_of_weight_0():
    examples = [None, *numbered(3), None, None]
    batches = SourceBatches(examples, 2, seed=None)
    assert [batches[s]["weight"].tolist() for s in range(3)] == [[0, 1], [1, 1], [0, 0]]
    assert batches[2]["x"].tolist() == [[0, 0], [0, 0]]


def test_weights_of_examples_are_kept():
    batches = SourceBatches([{"x": 1.0, "weight": [0.5, 0.0]}, {"x": 2.0, "weight": [1, 1]}, None], 3, seed=None)
    assert batches[0]["weight"].tolist() == [[0.5, 0.0], [1, 1], [0, 0]]


def test_a_corrupt_image_is_skipped_and_counted_or_stops(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "cat").mkdir()
    for i in range(4):
        image.new("RGB", (3, 3), (i, i, i)).save(tmp_path / "cat" / f"{i}.png")
    data = bytearray((tmp_path / "cat" / "2.png").read_bytes())
    data[-20] ^= 0xFF
    (tmp_path / "cat" / "2.png").write_bytes(data)
    skipped = Skipped()
    batches = SourceBatches(ImageFolder(tmp_path, skipped=skipped), 2, seed=0)
    assert sum(batches[s]["weight"].sum() for s in range(4)) == 6
    assert skipped.count == 1
    assert "cat/2.png" in skipped.messages[0]
    with pytest.raises(ValueError, match=r"cat/2\.png"):
        [SourceBatches(ImageFolder(tmp_path), 2, seed=0)[s] for s in range(2)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SourceBatches([], 2, seed=0), "at least one example, found 0 examples"),
        (lambda: SourceBatches(numbered(3), 0, seed=0), "found 0 for 3 examples"),
        (lambda: SourceBatches(numbered(3), 4, seed=0, drop_last=True), "found 4 for 3"),
        (lambda: SourceBatches(numbered(4), 4, seed=0, part=(0, 3)), "3 parts do not divide the 4 rows of the batch"),
        (lambda: SourceBatches(numbered(4), 4, seed=0, part=(2, 2)), r"found \(2, 2\)"),
        (lambda: SourceBatches(grain.MapDataset.range(3).repeat(), 2, seed=0), "without an end have their own order"),
        (lambda: SourceBatches(numbered(3), 2, seed=0)[-1], "a step counts from 0 .* found step -1"),
        (lambda: SourceBatches([{"x": [1]}, {"x": [1, 2]}], 2, seed=None)[0], "same names, shapes and dtypes"),
        (lambda: SourceBatches([{"x": 1}, {"z": 1}], 2, seed=None)[0], "same names, shapes and dtypes"),
        (lambda: SourceBatches([{"x": "text"}], 1, seed=None)[0], "row 0: 'x' must be numeric, found <U4"),
        (lambda: SourceBatches([{"x": None}], 1, seed=None)[0], "row 0: 'x' must be numeric, found NoneType"),
        (
            lambda: SourceBatches([{"x": [[1], [1, 2]]}], 1, seed=None)[0],
            "row 0: 'x' is no array .*Pad lists",
        ),
        (
            lambda: SourceBatches([{"x": 1, "weight": -1}], 1, seed=None)[0],
            "'weight' must be 0 or more, found -1",
        ),
        (lambda: SourceBatches([None, None], 1, seed=None)[0], "none of the first 2 examples is there"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_endless_source_has_no_epochs():
    batches = SourceBatches(grain.MapDataset.range(3).map(lambda i: {"x": i}).repeat(), 2, seed=None)
    assert batches.steps_per_epoch is None
    assert batches.examples == sys.maxsize
    assert [batches[s]["x"].tolist() for s in (0, 1, 2)] == [[0, 1], [2, 0], [1, 2]]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"x": np.ones(4)}, r"expected examples with len and \[i\], .* found dict. Arrays by name are for Batches"),
        (iter([{"x": 1}]), r"expected examples with len and \[i\], .* an iterator is for IteratorBatches"),
        (np.ones((4, 2)), r"batch 0, row 0: expected an example by name, \{'x': ..., 'y': ...\}, found ndarray"),
        ([(1, 2)] * 4, r"batch 0, row 0: expected an example by name, .* found tuple"),
    ],
)
def test_what_are_no_examples_is_one_clear_error(examples, message):
    with pytest.raises(TypeError, match=message):
        SourceBatches(examples, 2, seed=None)[0]
