"""A folder of made-up molecules in the files of MOSES and QM9: chains as SMILES, and chains in space."""

import numpy as np

from tests.data.sources.made_molecules import write_moses, write_qm9

ENDS = ("O", "N", "F", "Cl", "Br", "S", "C", "c1ccccc1")


def write(folder, n=60):
    """Chains with an end on either side; and chains whose energy and gap are those of their atoms and bonds."""
    chains = [f"{left}{'C' * k}{right}" for k in range(1, 6) for left in ENDS[:-1] for right in ENDS]
    write_moses(folder, train=chains, test=chains[:10])
    rng = np.random.default_rng(0)
    elements = [["CNOF"[i] for i in rng.integers(0, 4, 3 + k % 4)] for k in range(n)]
    lengths = [rng.uniform(1.1, 1.5, len(own)) for own in elements]
    places = [np.stack([np.cumsum(own), 0 * own, 0 * own], 1).tolist() for own in lengths]
    u0 = [-sum(37.8 + 16 * "CNOF".index(e) for e in own) - at.mean() for own, at in zip(elements, lengths, strict=True)]
    gap = [0.3 - 0.2 * (at.mean() - 1.1) for at in lengths]
    write_qm9(folder, [("C", *each) for each in zip(elements, places, strict=True)], u0=u0, gap=gap)
    return str(folder)
