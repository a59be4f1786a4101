"""Emoji and their names: what is read, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from jnn.data import emoji

ONE = {"image": "a.png", "name": "CAT", "short_name": "cat", "category": "Animals", "subcategory": "mammal", "more": 1}


def folder(root, table, size=(64, 64)):
    """A data directory with this table, and a picture of which the left half is clear and the right one red."""
    (root / "emoji" / "images").mkdir(parents=True)
    text = table if isinstance(table, str) else json.dumps(table)
    (root / "emoji" / "emoji.json").write_text(text)
    image = Image.new("RGBA", size, (0, 0, 255, 0))
    image.paste((255, 0, 0, 255), (32, 0, *size))
    image.save(root / "emoji" / "images" / "a.png")
    return root


def test_pictures_come_with_their_names_and_opacity(tmp_path):
    x, records = emoji(folder(tmp_path, [ONE, ONE | {"name": "DOG"}]))
    assert x.shape == (2, 64, 64, 4)
    np.testing.assert_array_equal(x[0, :, 32:], np.broadcast_to([255, 0, 0, 255], (64, 32, 4)))
    assert (x[0, :, :32, 3] == 0).all()
    assert [record["name"] for record in records] == ["CAT", "DOG"]
    assert sorted(records[0]) == ["category", "image", "name", "short_name", "subcategory"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[", "emoji.json: not JSON in UTF-8"),
        ({}, "emoji.json: expected a list of emoji, found {}"),
        ([], r"emoji.json: expected a list of emoji, found \[\]"),
        ([ONE, "x"], "emoji.json: entry 1: expected an object with"),
        ([ONE | {"name": 3}], "emoji.json: entry 0: expected 'name' to be of type str, found 3"),
        ([ONE | {"image": "../a.png"}], "emoji.json: expected names of images, found the path '../a.png'"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        emoji(folder(tmp_path, table))


def test_a_picture_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.png: expected 64 by 64 pixels, found 40 by 64"):
        emoji(folder(tmp_path, [ONE], size=(40, 64)))


def test_a_picture_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"emoji/images/b\.png: not found in"):
        emoji(folder(tmp_path, [ONE | {"image": "b.png"}]))
