"""Data sets by name: where they are looked for, what missing or misfitting files say, the real ones if present."""

import numpy as np
import pytest

from jnn.data import (
    bach_chorales,
    boston_mortgages,
    cifar10,
    cmudict,
    data_root,
    find,
    gcin_voice,
    imdb,
    libreoffice_en_de,
    mnist,
    movielens100k,
    mutag,
    nuclei,
    omniglot,
    omniglot_runs,
    orl_faces,
    planetoid,
    spoken_digits,
    tinyshakespeare,
    trees,
    usaddress,
)
from tests.data.sources.writers import idx


def test_a_file_is_found_packed_or_unpacked(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_bytes(b"")
    assert find(tmp_path, "set/a.gz", how="fetch it").name == "a"
    (tmp_path / "set" / "a.gz").write_bytes(b"")
    assert find(tmp_path, "set/a.gz", how="fetch it").name == "a.gz"


def test_the_data_root_is_the_argument_else_the_environment_else_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("JNN_DATA", "/from/environment")
    assert data_root(tmp_path) == tmp_path
    assert str(data_root(None)) == "/from/environment"
    monkeypatch.delenv("JNN_DATA")
    assert data_root(None).parts[-2:] == (".cache", "jnn")
    assert data_root("~/x").is_absolute()


@pytest.mark.parametrize(
    ("load", "file"),
    [
        (mnist, "mnist/train-images-idx3-ubyte.gz"),
        (lambda root: mnist(root, "test", name="fashion_mnist"), "fashion_mnist/t10k-images-idx3-ubyte.gz"),
        (cifar10, "cifar10/data_batch_1.bin"),
        (imdb, "imdb/train.jsonl"),
        (tinyshakespeare, "tinyshakespeare/input.txt"),
        (cmudict, "cmudict/cmudict.dict"),
        (libreoffice_en_de, "libreoffice_en_de/train.tsv"),
        (usaddress, "usaddress/labeled.xml"),
        (boston_mortgages, "mortgage/loanapp.csv"),
        (bach_chorales, "bach_chorales/"),
        (movielens100k, "movielens100k/u.data"),
        (nuclei, "nuclei/img2d.tif"),
        (omniglot, "omniglot/images_background_small1/"),
        (omniglot_runs, "omniglot/one_shot/"),
        (gcin_voice, "gcin_voice/"),
        (spoken_digits, "free_spoken_digits/recordings/"),
        (orl_faces, "orl_faces/faces.npz"),
        (trees, "trees/boxes.csv"),
        (planetoid, "cora/cora.npz"),
        (lambda root: planetoid(root, "citeseer"), "citeseer/citeseer.npz"),
        (mutag, "mutag/"),
    ],
)
def test_a_missing_file_is_one_line_that_says_which_where_and_how(tmp_path, load, file):
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{file}: not found in {tmp_path} ")
    assert "put the " in message
    assert message.endswith("or pass --data-dir.")
    assert "\n" not in message


@pytest.mark.parametrize("load", [mnist, cifar10, imdb, libreoffice_en_de, spoken_digits])
def test_an_unknown_part_is_one_clear_error(load):
    with pytest.raises(ValueError, match=rf"{load.__name__}: part is 'train' or 'test', found 'dev'"):
        load(None, "dev")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros(2, np.uint8), r"expected uint8 images \(n, y, x\), found uint8\(2, 3\)"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(3, np.uint8), r"expected 2 uint8 labels, one per image, found uint8"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int32), r"expected 2 uint8 labels, one per image, found int32"),
    ],
)
def test_images_and_labels_that_do_not_belong_together_are_an_error(tmp_path, images, labels, message):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(ValueError, match=message):
        mnist(tmp_path)


@pytest.mark.parametrize(("data", "message"), [(b"", "found an empty file"), (b"ab\xff", "not UTF-8 at offset 2")])
def test_a_damaged_text_is_one_clear_error(tmp_path, data, message):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_bytes(data)
    with pytest.raises(ValueError, match=rf"input.txt: .*{message}"):
        tinyshakespeare(tmp_path)


def real(load, *args, **kwargs):
    """The real data, or a skip that says what is missing."""
    try:
        return load(None, *args, **kwargs)
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_mnist_files(name):
    train, test = real(mnist, name=name), real(mnist, "test", name=name)
    assert (train["x"].shape, test["x"].shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(test["y"]).shape == (10,)
    if name == "mnist":  # the first digits as LeCun's page and every tutorial show them
        assert train["y"][:5].tolist() == [5, 0, 4, 1, 9]
        assert test["y"][:5].tolist() == [7, 2, 1, 0, 4]
        assert np.bincount(train["y"]).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    else:  # balanced by construction
        assert np.bincount(train["y"]).tolist() == [6000] * 10


def test_the_real_cifar_files():
    train, test = real(cifar10), real(cifar10, "test")
    assert (train["x"].shape, test["x"].shape) == ((50000, 32, 32, 3), (10000, 32, 32, 3))
    assert (np.bincount(train["y"]).tolist(), np.bincount(test["y"]).tolist()) == ([5000] * 10, [1000] * 10)
    # the channel means that the literature normalizes by
    np.testing.assert_allclose(train["x"].mean((0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=5e-4)


def test_the_real_nuclei():
    found = real(nuclei)
    assert {(array.shape, array.dtype.name) for array in found.values()} == {((512, 512), "int32")}
    assert len(np.unique(found["y"])) == 1 + 125
    inside, outside = (found["x"][chosen].mean() for chosen in (found["y"] > 0, found["y"] == 0))
    assert inside > 2 * outside


def test_the_real_reviews():
    for part in ("train", "test"):
        texts, labels = real(imdb, part)
        assert len(texts) == 25000
        assert np.bincount(labels).tolist() == [12500, 12500]


def test_the_real_tinyshakespeare():
    text = real(tinyshakespeare)
    assert len(text) == 1115394
    assert len(set(text)) == 65
    assert text.startswith("First Citizen:\n")


def test_the_real_trees():
    found = real(trees)
    assert {name: len(one["boxes"]) for name, one in found.items()} == {
        "2019_YELL_2_528000_4978000_image_crop2.png": 574,
        "2019_YELL_2_541000_4977000_image_crop.png": 279,
        "OSBS_029.png": 61,
        "SOAP_061.png": 37,
    }
    assert found["OSBS_029.png"]["x"].shape == (400, 400, 3)
    assert found["OSBS_029.png"]["boxes"].dtype == np.float32
