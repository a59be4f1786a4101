"""Planetoid's arrays and TU Dortmund's text files: what is read of small ones, and what is wrong with others."""

import numpy as np
import pytest

from jnn.data import data_root, mutag, planetoid, read_tu_graphs

ARRAYS = {
    "x": np.eye(3, 4),
    "y": np.array([0, 1, -1]),
    "edges": np.array([[0, 1], [1, 0]]),
    "train_mask": np.array([True, False, False]),
    "val_mask": np.array([False, True, False]),
    "test_mask": np.array([False, False, False]),
}
FILES = {
    "A": "1, 2\n2, 1\n4,5\n",
    "graph_indicator": "1\n1\n1\n2\n2\n",
    "graph_labels": "1\n-1\n",
    "node_labels": "3\n0\n3\n7\n0\n",
}


def write(folder, **changes):
    folder.mkdir(exist_ok=True)
    for name, text in (FILES | changes).items():
        (folder / f"SET_{name}.txt").write_text(text)
    return folder


def test_papers_are_read_in_types_of_32_bits(tmp_path):
    (tmp_path / "cora").mkdir()
    np.savez(tmp_path / "cora" / "cora.npz", **ARRAYS)
    found = planetoid(tmp_path)
    assert {name: array.dtype.name for name, array in found.items()} == {
        "x": "float32",
        "y": "int32",
        "edges": "int32",
        **dict.fromkeys(("train_mask", "val_mask", "test_mask"), "bool"),
    }
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": None}, r"cora.npz: expected arrays x, y, edges and masks, found no x\."),
        ({"y": np.zeros(2, int)}, r"cora.npz: expected x \(n, words\), y and masks \(n,\), edges \(e, 2\); found"),
        ({"edges": np.array([[0, 3]])}, r"cora.npz: expected edges between 3 nodes, found one of 0 to 3"),
    ],
)
def test_papers_that_do_not_fit_are_one_clear_error(tmp_path, changes, message):
    (tmp_path / "cora").mkdir()
    np.savez(tmp_path / "cora" / "cora.npz", **{k: v for k, v in (ARRAYS | changes).items() if v is not None})
    with pytest.raises(ValueError, match=message):
        planetoid(tmp_path)


def test_small_graphs_are_numbered_from_0(tmp_path):
    found = mutag(write(tmp_path / "mutag").parent)
    assert {name: array.tolist() for name, array in found.items()} == {
        "nodes": [1, 0, 1, 2, 0],
        "owners": [0, 0, 0, 1, 1],
        "edges": [[0, 1], [1, 0], [3, 4]],
        "y": [1, 0],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": "1, 2\n3\n"}, "SET_A.txt: expected lines of as many whole numbers each"),
        ({"A": "1, x\n"}, "SET_A.txt: expected lines of as many whole numbers each"),
        ({"A": "1, 6\n"}, "expected edges between 5 nodes, found one of 0 to 5"),
        ({"A": "1, 5\n"}, "expected edges within a graph, found one between two"),
        ({"node_labels": "1\n"}, "expected two ends an edge and a label for each of 5 nodes"),
        ({"graph_indicator": "1\n1\n2\n1\n2\n"}, "expected nodes of graphs 1 to 2 in ascending order"),
        ({"graph_labels": "1\n1\n1\n"}, "expected nodes of graphs 1 to 3 in ascending order"),
    ],
)
def test_text_that_makes_no_graphs_is_one_clear_error(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_tu_graphs(write(tmp_path / "set", **changes))


def test_an_unknown_name_and_a_missing_text_are_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match=r"planetoid: expected a name of \('cora', .* found 'Cora'"):
        planetoid(None, "Cora")
    with pytest.raises(ValueError, match=r"expected one file \*_A.txt, found 0"):
        read_tu_graphs(tmp_path)


def test_the_real_ones():
    if missing := [name for name in ("cora", "citeseer", "mutag") if not (data_root() / name).is_dir()]:
        pytest.skip(f"{missing} are not in {data_root()}; set JNN_DATA to where they are.")
    sizes = {"cora": (2708, 1433, 10556, 7), "citeseer": (3327, 3703, 9104, 6)}
    for name, (n, words, edges, classes) in sizes.items():
        found = planetoid(None, name)
        assert found["x"].shape == (n, words)
        assert found["edges"].shape == (edges, 2)
        assert np.bincount(found["y"][found["train_mask"]]).tolist() == [20] * classes
        assert [found[f"{part}_mask"].sum() for part in ("val", "test")] == [500, 1000]
    molecules = mutag()
    assert np.bincount(molecules["y"]).tolist() == [63, 125]
    assert (len(molecules["nodes"]), len(molecules["edges"]), molecules["nodes"].max()) == (3371, 7442, 6)
