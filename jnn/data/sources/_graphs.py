"""Graphs as published: papers that cite each other, in `.npz` files, and small graphs in TU Dortmund's text files.

    planetoid(name)            one graph: features, edges and classes of nodes, and the published split
    mutag()                    188 molecules
    read_tu_graphs(folder)     any set of small graphs in these text files

Law: what is not as it should be is one error that names the file or the folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jnn.data.sources._numpy_files import read_npz
from jnn.data.sources._root import PathLike, find

NAMES = ("cora", "citeseer", "pubmed")
MASKS = ("train_mask", "val_mask", "test_mask")


def planetoid(data_dir: PathLike | None = None, name: str = "cora") -> dict[str, np.ndarray]:
    """Cora, Citeseer or PubMed: papers, the words in each, the citations between them, and the Planetoid split.

    See "Collective Classification in Network Data", Sen et al., 2008, and "Revisiting Semi-Supervised Learning with
    Graph Embeddings", Yang, Cohen and Salakhutdinov, 2016: 20 papers of each class train, 500 validate, 1,000 test.

    Args:
      data_dir: as for `data_root`; the file is `NAME/NAME.npz`.
      name: "cora", "citeseer" or "pubmed".

    Returns:
      `{"x": (n, words) float32, "y": (n,) int32, -1 where a paper has no label, "edges": (e, 2) int32, each citation in
      both directions, and "train_mask", "val_mask", "test_mask": (n,) bool}`.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: an unknown name, a damaged file, or arrays that do not fit together.
    """
    if name not in NAMES:
        raise ValueError(f"planetoid: expected a name of {NAMES}, found {name!r}.")
    path = find(data_dir, f"{name}/{name}.npz", how="put the arrays there: x, y, edges and three masks")
    found = read_npz(path, max_bytes=2**28)  # words are few among zeros, which pack well
    if missing := {"x", "y", "edges", *MASKS} - found.keys():
        raise ValueError(f"{path.name}: expected arrays x, y, edges and masks, found no {', '.join(sorted(missing))}.")
    n, edges = len(found["x"]), found["edges"]
    rows = [found[key].shape for key in ("y", *MASKS)]
    if found["x"].ndim != 2 or any(shape != (n,) for shape in rows) or edges.ndim != 2 or edges.shape[1] != 2:
        shapes = {key: array.shape for key, array in found.items()}
        raise ValueError(f"{path.name}: expected x (n, words), y and masks (n,), edges (e, 2); found {shapes}.")
    _check_ends(path.name, edges, n)
    types = {"x": np.float32, "y": np.int32, "edges": np.int32, **dict.fromkeys(MASKS, np.bool_)}
    return {key: found[key].astype(dtype) for key, dtype in types.items()}


def mutag(data_dir: PathLike | None = None) -> dict[str, np.ndarray]:
    """MUTAG: 188 nitroaromatic molecules, and whether each is mutagenic.

    See "Structure-Activity Relationship of Mutagenic Aromatic and Heteroaromatic Nitro Compounds", Debnath et al.,
    1991.

    Args:
      data_dir: as for `data_root`; the files are below `mutag/`.

    Returns:
      As `read_tu_graphs`: atoms of seven kinds (C, N, O, F, I, Cl, Br), and y 1 where a molecule is mutagenic.

    Raises:
      FileNotFoundError: one line that says which folder, where, and how to get it.
      ValueError: a damaged file.
    """
    return read_tu_graphs(find(data_dir, "mutag/", how="put the text files of TU Dortmund's MUTAG there"))


def read_tu_graphs(folder: PathLike) -> dict[str, np.ndarray]:
    """TU data set: many small graphs, whose nodes have labels, in text files such as NAME_A.txt.

    See "TUDataset: A collection of benchmark datasets for learning with graphs", Morris et al., 2020.

    Args:
      folder: of NAME_A.txt, NAME_graph_indicator.txt, NAME_graph_labels.txt and NAME_node_labels.txt, or one above.

    Returns:
      `{"nodes": (n,) int32, the label of each node, from 0; "owners": (n,) int32, the graph of each, from 0, ascending;
      "edges": (e, 2) int32, sender and receiver by the numbers of nodes from 0; "y": (g,) int32, the label of each
      graph}`, labels numbered from 0 in ascending order.

    Raises:
      ValueError: files that are missing, lines that are not whole numbers, or numbers that name no node and no graph.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = {"A": "1, 2\\n2, 1", "graph_indicator": "1\\n1\\n2", "graph_labels": "-1\\n1"}
    ...     files["node_labels"] = "0\\n4\\n0"
    ...     _ = [(Path(folder) / f"T_{name}.txt").write_text(text) for name, text in files.items()]
    ...     found = read_tu_graphs(folder)
    >>> found["nodes"].tolist(), found["owners"].tolist(), found["edges"].tolist(), found["y"].tolist()
    ([0, 1, 0], [0, 0, 1], [[0, 1], [1, 0]], [0, 1])
    """
    folder = Path(folder)
    edges, owners, y, nodes = (
        _numbers(folder, name) for name in ("A", "graph_indicator", "graph_labels", "node_labels")
    )
    edges, owners, y, nodes = edges - 1, owners[:, 0] - 1, y[:, 0], nodes[:, 0]
    if edges.shape[1:] != (2,) or len(nodes) != len(owners):
        raise ValueError(f"{folder}: expected two ends an edge and a label for each of {len(owners)} nodes.")
    _check_ends(str(folder), edges, len(nodes))
    if (np.diff(owners) < 0).any() or not np.array_equal(np.unique(owners), np.arange(len(y))):
        raise ValueError(f"{folder}: expected nodes of graphs 1 to {len(y)} in ascending order.")
    if (owners[edges[:, 0]] != owners[edges[:, 1]]).any():
        raise ValueError(f"{folder}: expected edges within a graph, found one between two.")
    renumbered = lambda labels: np.unique(labels, return_inverse=True)[1].astype(np.int32)
    whole = {"owners": owners.astype(np.int32), "edges": edges.astype(np.int32)}
    return {"nodes": renumbered(nodes), **whole, "y": renumbered(y)}


def _numbers(folder: Path, name: str) -> np.ndarray:
    """The whole numbers (lines, a line's) of the one file whose name ends so."""
    paths = sorted(folder.rglob(f"*_{name}.txt"))
    if len(paths) != 1:
        raise ValueError(f"{folder}: expected one file *_{name}.txt, found {len(paths)}.")
    rows = [line.split(",") for line in paths[0].read_text().splitlines() if line.strip()]
    try:
        found = np.array([[int(number) for number in row] for row in rows], np.int64)
    except (ValueError, OverflowError):
        found = np.zeros(0, np.int64)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"{paths[0].name}: expected lines of as many whole numbers each.")
    return found


def _check_ends(where: str, edges: np.ndarray, n: int) -> None:
    if edges.size and not (edges.min() >= 0 and edges.max() < n):
        raise ValueError(f"{where}: expected edges between {n} nodes, found one of {edges.min()} to {edges.max()}.")
