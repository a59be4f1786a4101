"""Trees and tables of boxes: what is read, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from jnn.data import trees

HEAD = "image_path,xmin,ymin,xmax,ymax,label\n"


def folder(root, *lines):
    """A data directory with one image, 9 wide and 7 high, and these lines."""
    (root / "trees").mkdir()
    (root / "trees" / "boxes.csv").write_text(HEAD + "".join(f"{line}\n" for line in lines))
    Image.fromarray(np.arange(63, dtype=np.uint8).reshape(7, 9)).save(root / "trees" / "a.png")
    return root


def test_images_come_with_their_boxes(tmp_path):
    found = trees(folder(tmp_path, "a.png,0,1,9,7,Tree", "a.png,2,2,3,4,Dead"))
    assert list(found) == ["a.png"]
    assert found["a.png"]["boxes"].tolist() == [[0, 1, 9, 7], [2, 2, 3, 4]]
    np.testing.assert_array_equal(found["a.png"]["x"][..., 2], np.arange(63).reshape(7, 9))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.png,0,1,10,7,Tree", "boxes.csv: expected boxes inside a.png, 9 by 7"),
        ("a.png,0,1,9,8,Tree", "boxes.csv: expected boxes inside a.png, 9 by 7"),
        ("a.png,3,1,3,4,Tree", r"boxes.csv: expected boxes .*found \[3, 1, 3, 4\]"),
        ("a.png,-1,1,3,4,Tree", r"boxes.csv: expected boxes .*found \[-1, 1, 3, 4\]"),
        ("../a.png,0,1,3,4,Tree", "boxes.csv: expected names of images, found the path '../a.png'"),
        ("a.png,0,1,x,4,Tree", "boxes.csv: line 2, .*'xmax'"),
        ("boxes.csv,0,1,3,4,Tree", "boxes.csv: not a PNG or JPEG image"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        trees(folder(tmp_path, line))


def test_an_image_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"trees/b\.png: not found in"):
        trees(folder(tmp_path, "b.png,0,1,3,4,Tree"))
