"""Made-up molecules in the files of MOSES and QM9."""

import csv

import numpy as np

from jnn.data.sources._molecules import PROPERTIES, QM9_FILES


def write_moses(folder, **parts):
    """SMILES by part."""
    (folder / "moses").mkdir(exist_ok=True)
    for name, smiles in parts.items():
        (folder / "moses" / f"{name}.csv").write_text("\n".join(["SMILES", *smiles]) + "\n")


def write_qm9(folder, molecules, **properties):
    """(SMILES, elements, positions) and properties, 0 where none are given; dealt to the three files in order."""
    (folder / "qm9").mkdir(exist_ok=True)
    for name, rows in zip(QM9_FILES, np.array_split(np.arange(len(molecules)), 3), strict=True):
        with open(folder / "qm9" / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["SMILES", "Elements", "XYZ_Ang", *PROPERTIES.values()])
            for row in rows:
                smiles, elements, places = molecules[row]
                values = [properties[name][row] if name in properties else 0 for name in PROPERTIES]
                listed = "[" + ",".join(f"'{element}'" for element in elements) + "]"
                writer.writerow([smiles, listed, str(places).replace("'", ""), *values])
