"""Omniglot's folders and ORL's faces: what is read of small ones that are made here, and what is wrong with others."""

import re

import numpy as np
import pytest
from PIL import Image

from jnn.data import data_root, omniglot, omniglot_runs, orl_faces

SMALL = "omniglot/images_background_small1"


def draw(path, shade, size=(6, 5)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size[::-1], shade).convert("1").save(path)


@pytest.fixture
def root(tmp_path):
    for alphabet, character, drawer, shade in [
        ("Latin", "character01", 1, 0),
        ("Latin", "character01", 2, 255),
        ("Latin", "character02", 1, 0),
        ("Greek", "character01", 1, 255),
    ]:
        draw(tmp_path / SMALL / alphabet / character / f"0001_{drawer:02}.png", shade)
    for run in ("run01", "run02"):
        folder = tmp_path / "omniglot" / "one_shot" / run
        for i in (1, 2, 3):
            draw(folder / "training" / f"class{i:02}.png", 255 * (i == 2))
            draw(folder / "test" / f"item{i:02}.png", 255 * (i == 3))
        pairs = [(1, 3), (2, 1), (3, 2)]
        lines = [f"{run}/test/item{a:02}.png {run}/training/class{b:02}.png" for a, b in pairs]
        (folder / "class_labels.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_characters_are_numbered_over_alphabets_in_order(root):
    arrays, names = omniglot(root)
    assert names == ("Greek", "Latin")
    assert (arrays["y"].tolist(), arrays["alphabet"].tolist()) == ([0, 1, 1, 2], [0, 1, 1, 1])
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        "x": "uint8",
        "y": "int32",
        "alphabet": "int32",
    }
    assert arrays["x"].shape == (4, 6, 5)
    assert arrays["x"][:, 0, 0].tolist() == [255, 0, 255, 0]


def test_runs_are_supports_queries_and_the_place_of_each_ones_class(root):
    runs = omniglot_runs(root)
    assert {name: array.shape for name, array in runs.items()} == {
        "support": (2, 3, 6, 5),
        "query": (2, 3, 6, 5),
        "y": (2, 3),
    }
    assert runs["y"].tolist() == [[2, 0, 1]] * 2
    assert runs["support"][0, :, 0, 0].tolist() == [0, 255, 0]
    assert runs["query"][0, :, 0, 0].tolist() == [0, 0, 255]


def test_an_unknown_part_is_one_clear_error():
    with pytest.raises(ValueError, match=r"omniglot: expected a part of \('background_small1', .* found 'small1'"):
        omniglot(None, "small1")


def test_what_is_not_omniglot_is_one_clear_error(root):
    draw(root / SMALL / "Latin" / "character02" / "0001_02.png", 0, size=(5, 6))
    with pytest.raises(ValueError, match=r"Latin: expected images of one size, found \[\(5, 6, 1\), \(6, 5, 1\)\]"):
        omniglot(root)
    labels = root / "omniglot" / "one_shot" / "run02" / "class_labels.txt"
    for text in ("run02/test/item01.png\n", "run02/test/item09.png run02/training/class01.png\n"):
        labels.write_text(text)
        with pytest.raises(ValueError, match=re.escape(f"{labels}: expected two images of the run a line")):
            omniglot_runs(root)


def test_faces_are_one_persons_after_the_others(tmp_path):
    (tmp_path / "orl_faces").mkdir()
    x = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 5), np.uint8)
    np.savez(tmp_path / "orl_faces" / "faces.npz", x=x)
    faces = orl_faces(tmp_path)
    assert faces["y"].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(faces["x"][3], x[1, 1])
    np.savez(tmp_path / "orl_faces" / "faces.npz", x=x[0])
    with pytest.raises(
        ValueError, match=r"faces.npz: expected an array x \(people, pictures, y, x\), uint8; found uint8"
    ):
        orl_faces(tmp_path)


def test_the_real_ones():
    root = data_root()
    if not (root / "omniglot").is_dir() or not (root / "orl_faces").is_dir():
        pytest.skip(f"omniglot or orl_faces is not in {root}; set JNN_DATA to where they are.")
    runs, faces = omniglot_runs(), orl_faces()
    assert (runs["support"].shape, faces["x"].shape) == ((20, 20, 105, 105), (400, 112, 92))
    assert (np.sort(runs["y"]) == np.arange(20)).all()
