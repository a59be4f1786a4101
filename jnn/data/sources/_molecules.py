"""Molecules: MOSES's as SMILES, and QM9's as atoms in space, with what quantum chemistry says of them; CSV both.

    moses(part="train")     strings
    qm9()                   arrays, filled up to the largest molecule, and twelve properties

Law: any bytes give either the molecules that they encode or a ValueError that names the file and the row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jnn.data.sources._csv import read_csv
from jnn.data.sources._root import PathLike, find

MOSES_PARTS = ("train", "test", "test_scaffolds")
QM9_FILES = ("qm9_part1.csv", "qm9_part2.csv", "qm9_part3.csv")
NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
PROPERTIES = {  # by the names of the literature; the columns, spelled as in the files, say the units
    "mu": "Dipole_debye",
    "alpha": "Polarizability_bohr3",
    "homo": "HOMO_au",
    "lumo": "LUMO_au",
    "gap": "HOMO_LUMO_gap_au",
    "r2": "R2_bohr2",
    "zpve": "ZPVE_au",
    "u0": "InternalEnergy_0K_au",
    "u": "InternalEnergy_298K_au",
    "h": "Enthalphy_298K_au",
    "g": "GibbsFreeEnergy_298K_au",
    "cv": "Heatcapacity_Cv_cal_mol_K",
}


def moses(data_dir: PathLike | None = None, part: str = "train") -> np.ndarray:
    """MOSES: 1,936,962 drug-like molecules as SMILES, of C, N, S, O, F, Cl, Br and H, without charges.

    See "Molecular Sets (MOSES): A Benchmarking Platform for Molecular Generation Models", Polykovskiy et al., 2020.

    Args:
      data_dir: as for `data_root`; the files are `moses/train.csv`, `test.csv` and `test_scaffolds.csv`.
      part: "train" (1,584,663), "test" (176,074), or "test_scaffolds" (176,225), whose ring systems are in no other.

    Returns:
      (n,) strings, in the file's order.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: another part, or a damaged file.
    """
    if part not in MOSES_PARTS:
        raise ValueError(f"moses: part is one of {', '.join(map(repr, MOSES_PARTS))}, found {part!r}.")
    return read_csv(find(data_dir, f"moses/{part}.csv", how="put MOSES's SMILES there"), {"SMILES": str})["SMILES"]


def qm9(data_dir: PathLike | None = None) -> dict[str, np.ndarray]:
    """QM9: 130,831 small organic molecules, where their atoms are, and properties by density functional theory.

    See "Quantum chemistry structures and properties of 134 kilo molecules", Ramakrishnan, Dral, Rupp and von
    Lilienfeld, 2014; without the 3,054 whose structure did not stay what its SMILES says.

    Args:
      data_dir: as for `data_root`; the files are `qm9/qm9_part1.csv` to `qm9_part3.csv`.

    Returns:
      "smiles" (n,), strings; "numbers" (n, atoms), uint8, the atomic number of each atom, hydrogen too, and 0 where
      there is none; "positions" (n, atoms, 3), float32, in angstrom; and (n,) float64 each: "mu" (debye), "alpha"
      (bohr^3), "homo", "lumo" and "gap" (hartree), "r2" (bohr^2), "zpve" (hartree), "u0" (at 0 K), "u", "h" and "g" (at
      298.15 K; hartree), "cv" (cal/(mol K)). In the files' order, which is that of size.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file, an element that QM9 has not, or not as many positions as atoms.
    """
    paths = [find(data_dir, f"qm9/{name}", how="put QM9's three CSV files there") for name in QM9_FILES]
    columns = {"SMILES": str, "Elements": str, "XYZ_Ang": str} | dict.fromkeys(PROPERTIES.values(), float)
    tables = [read_csv(path, columns) for path in paths]
    atoms = [_atoms(path, table) for path, table in zip(paths, tables, strict=True)]
    numbers = _padded([row for numbers, _ in atoms for row in numbers], np.uint8)
    positions = _padded([row for _, positions in atoms for row in positions], np.float32)
    whole = {name: np.concatenate([table[column] for table in tables]) for name, column in PROPERTIES.items()}
    smiles = np.concatenate([table["SMILES"] for table in tables])
    return {"smiles": smiles, "numbers": numbers, "positions": positions.reshape(*numbers.shape, 3), **whole}


def _atoms(path: Path, table: dict[str, np.ndarray]) -> tuple[list[list[int]], list[list[float]]]:
    """Atomic numbers and coordinates of a file's molecules, each in one list."""
    numbers, positions = [], []
    for row, (elements, places) in enumerate(zip(table["Elements"], table["XYZ_Ang"], strict=True), 1):
        try:
            numbers.append([NUMBERS[name] for name in elements.strip("[]").replace("'", "").split(",")])
            positions.append([float(x) for x in places.replace("[", "").replace("]", "").split(",")])
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path.name}: molecule {row}: no element of QM9, or no number: {error}.") from None
        if len(positions[-1]) != 3 * len(numbers[-1]) or not all(map(math.isfinite, positions[-1])):
            raise ValueError(
                f"{path.name}: molecule {row}: expected three finite coordinates for each of its {len(numbers[-1])} "
                f"atoms, found {places[:60]!r}."
            )
    return numbers, positions


def _padded(rows: Sequence[Sequence[float]], dtype: type) -> np.ndarray:
    """Rows filled up with zeros to the longest."""
    lengths = np.array([len(row) for row in rows])
    there = np.arange(lengths.max()) < lengths[:, None]
    filled: np.ndarray = np.zeros(there.shape, dtype)
    filled[there] = np.fromiter(itertools.chain.from_iterable(rows), dtype, lengths.sum())
    return filled
