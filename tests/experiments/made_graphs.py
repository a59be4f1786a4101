"""A folder of made-up graphs in the files of Cora, Citeseer and MUTAG, of which each class is easy to tell."""

import numpy as np


def write(folder):
    """Papers of a class have words in common and cite each other; molecules are rings or chains."""
    papers(folder, "cora", 7)
    papers(folder, "citeseer", 6)
    molecules(folder)
    return str(folder)


def papers(folder, name, classes, each=12):
    rng = np.random.default_rng(0)
    y = np.arange(classes * each, dtype=np.int32) % classes
    n = len(y)
    x = (rng.random((n, 5 * classes)) < 0.1).astype(np.float32)
    x[np.arange(n)[:, None], 5 * y[:, None] + np.arange(3)] = 1
    ahead = [np.stack([np.arange(n - step), np.arange(step, n)], 1) for step in (classes, 2 * classes)]
    pairs = np.concatenate(ahead)  # the next two of its class
    place = np.arange(n) // classes
    masks = {f"{part}_mask": place % 3 == i for i, part in enumerate(("train", "val", "test"))}
    (folder / name).mkdir(parents=True)
    edges = np.concatenate([pairs, pairs[:, ::-1]]).astype(np.int32)
    np.savez(folder / name / f"{name}.npz", x=x, y=y, edges=edges, **masks)


def molecules(folder, n=40):
    (folder / "mutag").mkdir(parents=True)
    lines = {name: [] for name in ("A", "graph_indicator", "graph_labels", "node_labels")}
    first = 1
    for i in range(n):
        size, ring = 4 + i % 3, i % 2 == 0
        ends = [(first + j, first + (j + 1) % size) for j in range(size if ring else size - 1)]
        lines["A"] += [f"{a}, {b}" for pair in ends for a, b in (pair, pair[::-1])]
        lines["graph_indicator"] += [str(i + 1)] * size
        lines["graph_labels"].append("1" if ring else "-1")
        lines["node_labels"] += [str((i + j) % 7) for j in range(size)]
        first += size
    for name, own in lines.items():
        (folder / "mutag" / f"MUTAG_{name}.txt").write_text("\n".join(own) + "\n")
