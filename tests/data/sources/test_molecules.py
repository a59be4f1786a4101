"""MOSES and QM9: molecules as their files say, what is refused of them, and the real files."""

import numpy as np
import pytest

from jnn.data import moses, qm9
from tests.data.sources.made_molecules import write_moses, write_qm9
from tests.needed_data import needs

WATER = ("O", ["O", "H", "H"], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
CARBON_MONOXIDE = ("[C-]#[O+]", ["C", "O"], [[0, 0, 0], [1.13, 0, 0]])


def test_smiles_by_part(tmp_path):
    write_moses(tmp_path, train=["CCO", "c1ccccc1"], test=["CN"])
    assert moses(tmp_path).tolist() == ["CCO", "c1ccccc1"]
    assert moses(tmp_path, "test").tolist() == ["CN"]
    with pytest.raises(ValueError, match="part is one of 'train', 'test', 'test_scaffolds', found 'valid'"):
        moses(tmp_path, "valid")
    with pytest.raises(FileNotFoundError, match="test_scaffolds"):
        moses(tmp_path, "test_scaffolds")


def test_atoms_are_filled_up_and_properties_are_by_name(tmp_path):
    write_qm9(tmp_path, [WATER, CARBON_MONOXIDE, WATER], gap=[0.1, 0.2, 0.3], u0=[-76.4, -113.3, -76.4])
    found = qm9(tmp_path)
    assert found["smiles"].tolist() == ["O", "[C-]#[O+]", "O"]
    assert found["numbers"].tolist() == [[8, 1, 1], [6, 8, 0], [8, 1, 1]]
    np.testing.assert_allclose(found["positions"][0], WATER[2], rtol=1e-6)
    assert found["positions"][1, 2].tolist() == [0, 0, 0]
    assert found["gap"].tolist() == [0.1, 0.2, 0.3]
    assert found["u0"].tolist() == [-76.4, -113.3, -76.4]
    assert found["positions"].dtype == np.float32


@pytest.mark.parametrize(
    ("molecule", "message"),
    [
        (
            ("O", ["O", "Xx"], [[0, 0, 0], [1, 0, 0]]),
            "qm9_part1.csv: molecule 1: no element of QM9, or no number: 'Xx'",
        ),
        (("O", ["O", "H"], [[0, 0, 0]]), "expected three finite coordinates for each of its 2 atoms"),
        (("O", ["O"], [[0, "nan", 0]]), "expected three finite coordinates for each of its 1 atoms"),
        (("O", ["O"], [[0, "x", 0]]), "no element of QM9, or no number"),
        (("O", [], []), "no element of QM9, or no number"),
    ],
)
def test_what_is_no_molecule_is_one_clear_error(tmp_path, molecule, message):
    write_qm9(tmp_path, [molecule, WATER, WATER])
    with pytest.raises(ValueError, match=message):
        qm9(tmp_path)


def test_the_real_smiles():
    needs("moses")
    assert len(moses(part="test")) == 176_074


@pytest.mark.slow
def test_the_real_atoms():
    needs("qm9")
    found = qm9()
    assert found["positions"].shape == (130_831, 29, 3)
    sizes = (found["numbers"] > 0).sum(1)
    assert (sizes.min(), sizes.max()) == (3, 29)
    assert np.bincount(found["numbers"].ravel()).nonzero()[0].tolist() == [0, 1, 6, 7, 8, 9]
    np.testing.assert_allclose(found["lumo"] - found["homo"], found["gap"], atol=2e-4)
