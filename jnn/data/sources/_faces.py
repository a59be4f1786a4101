"""Faces of the Olivetti Research Laboratory, in one `.npz` file: `x` (people, pictures, y, x), uint8."""

from __future__ import annotations

import numpy as np

from jnn.data.sources._numpy_files import read_npz
from jnn.data.sources._root import PathLike, find


def orl_faces(data_dir: PathLike | None = None) -> dict[str, np.ndarray]:
    """ORL faces, also called Olivetti or AT&T faces: 40 people, ten grey photographs of each.

    See "Parameterisation of a stochastic model for human face identification", Samaria and Harter, 1994. Credit is due
    to AT&T Laboratories Cambridge.

    Args:
      data_dir: as for `data_root`; the file is `orl_faces/faces.npz`.

    Returns:
      `{"x": (400, 112, 92) uint8, "y": (400,) int32}`: person 0's pictures first.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file, or one without such pictures.
    """
    path = find(data_dir, "orl_faces/faces.npz", how="put the faces there, x (40, 10, 112, 92)")
    x = read_npz(path).get("x")
    if x is None or x.ndim != 4 or x.dtype != np.uint8:
        found = "none" if x is None else f"{x.dtype}{list(x.shape)}"
        raise ValueError(f"{path.name}: expected an array x (people, pictures, y, x), uint8; found {found}.")
    people, pictures = x.shape[:2]
    return {"x": x.reshape(-1, *x.shape[2:]), "y": np.repeat(np.arange(people, dtype=np.int32), pictures)}
