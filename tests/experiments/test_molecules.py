"""Molecules: what is read of SMILES and of atoms, how it is judged, networks that move nothing; runs that learn."""

import importlib.util
from functools import partial

import jax
import numpy as np
import pytest

import jnn
from experiments import geometry, molecules, qm9, smiles
from experiments.schnet import schnet_spec
from tests.experiments.made_molecules import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

LANGUAGE = {"layers": 1, "heads": 2, "embed": 8, "context": 32, "batch_size": 8, "examples": 200, "samples": 5}
SPACE = {"layers": 1, "width": 4, "batch_size": 8, "examples": 20, "warmup": 1}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"))


def test_tokens_are_all_of_a_molecule():
    written = "CC(=O)Nc1ccc(Br)c%12[nH]1Cl"
    assert "".join(smiles.tokens(written)) == written
    assert {"Br", "Cl", "[nH]", "%12"} <= set(smiles.tokens(written))
    vocabulary = smiles.Vocabulary.build([written])
    assert vocabulary.decode(vocabulary.encode(written)) == written
    assert not vocabulary.knows("CI")


def test_an_ngram_writes_what_followed():
    documents = [np.array([0, 1, 2, 3, 0]), np.array([0, 1, 2, 4, 0])]
    drawn = smiles.ngram(documents, 2, 40, np.random.default_rng(0))
    assert {tuple(each) for each in drawn} == {(1, 2, 3), (1, 2, 4)}


def test_shares_are_of_what_is_valid():
    pytest.importorskip("rdkit", reason="RDKit is not installed: pip install 'jnn[molecules]'")
    found = smiles.judged(["OCC", "CCO", "c1ccccc1", "C(", "C(C)(C)(C)(C)C", "c1cccc1", ""], {"novel": {"CCO"}})
    assert found == {"valid": 3 / 7, "unique": 2 / 3, "novel": 1 / 2}
    assert smiles.judged(["C("], {"novel": set()}, "no_") == {"no_valid": 0, "no_unique": 0, "no_novel": 0}
    for drawn in (["CCO", "C("], ["C("]):
        assert smiles.drawings(drawn).axes or smiles.drawings(drawn).texts


def test_neighbours_are_the_nearest_that_there_are():
    numbers = np.array([[6, 8, 1, 1, 0]], np.uint8)
    positions = np.array([[[0, 0, 0], [1.2, 0, 0], [0, 2, 0], [9, 0, 0], [0, 0, 0]]], np.float32)
    senders, distances = geometry.neighbours(numbers, positions)
    assert senders[0, 0, :2].tolist() == [1, 2]
    np.testing.assert_allclose(distances[0, 0, :2], [1.2, 2])
    assert (distances[0, 0, 2:] == geometry.CUTOFF).all()
    assert (distances[0, 3:] == geometry.CUTOFF).all()
    counts = geometry.pairs({"x": numbers.astype(int), "senders": senders, "distances": distances})[0]
    assert counts[:5].tolist() == [2, 1, 0, 1, 0]
    assert counts[5:].sum() == 2  # one bond is near enough, counted from either end


def test_parts_are_disjoint_and_come_back_in_their_units(data_dir):
    found = geometry.molecules(data_dir, {"train": 30, "validation": 10, "test": 10})
    for name, part in found.parts.items():
        np.testing.assert_allclose(found.in_ev(name, part["y"]), found.targets[name], atol=1e-3)
    rows = [row for targets in found.targets.values() for row in map(tuple, targets.tolist())]
    assert len(set(rows)) == 50
    np.testing.assert_allclose(found.parts["train"]["y"].std(0), 1, atol=1e-3)


def test_least_squares_finds_a_line_of_columns_that_depend_on_each_other():
    x = np.random.default_rng(0).normal(size=(50, 3))
    x = np.concatenate([x, x[:, :1]], 1)
    y = x @ np.array([[1.0], [2.0], [0.0], [3.0]]) + 5
    np.testing.assert_allclose(geometry.least_squares(x, y, x[:7]), y[:7], atol=1e-3)


def test_a_network_knows_no_order_no_place_and_nothing_that_fills_up():
    rng = np.random.default_rng(0)
    numbers = rng.choice(geometry.ELEMENTS, (2, 6)).astype(np.int32)
    numbers[1, 4:] = 0
    positions = rng.normal(size=(2, 6, 3)).astype(np.float32) * 2
    p = jnn.init(schnet_spec(4, 1, 2), jax.random.key(0))
    network = jax.jit(qm9.network)

    def told(numbers, positions):
        senders, distances = geometry.neighbours(numbers, positions)
        return np.asarray(network(p, {"x": numbers, "senders": senders, "distances": distances}))

    expected = told(numbers, positions)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    order = np.array([3, 0, 2, 1, 4, 5])
    np.testing.assert_allclose(told(numbers, positions @ turn + 3), expected, atol=1e-6)
    np.testing.assert_allclose(told(numbers[:, order], positions[:, order]), expected, atol=1e-6)
    np.testing.assert_allclose(told(numbers[1:, :5], positions[1:, :5]), expected[1:], atol=1e-6)
    assert abs(told(numbers, 1.3 * positions) - expected).max() > 1e-5


def test_a_small_run_writes_molecules(tmp_path, data_dir):
    config = molecules.Config(workdir=str(tmp_path), data_dir=data_dir, steps=1, warmup=0, **LANGUAGE)
    outcome = molecules.experiment(config)
    assert {"val_loss", "val_accuracy"} <= outcome.metrics.keys()
    assert ("valid" in outcome.metrics) == (importlib.util.find_spec("rdkit") is not None)


def test_a_small_run_measures_errors(tmp_path, data_dir):
    outcome = qm9.experiment(qm9.Config(workdir=str(tmp_path), data_dir=data_dir, steps=2, **SPACE))
    hows = ("", "mean_", "atoms_", "pairs_")
    assert outcome.metrics.keys() == {f"{how}{name}_mae" for how in hows for name in ("gap", "u0")}
    assert outcome.metrics["atoms_u0_mae"] < outcome.metrics["mean_u0_mae"] / 100


def options(given):
    return [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "given"), [("molecules", LANGUAGE | {"warmup": 1}), ("qm9", SPACE)])
def test_a_short_run_goes_on_and_is_planned(tmp_path, data_dir, name, given):
    asked = ["--steps", "20", "--data-dir", data_dir, *options(given)]
    resumed(f"experiments.{name}", tmp_path, asked)
    flown(f"experiments.{name}", tmp_path, asked)


@pytest.mark.slow
def test_short_runs_learn(tmp_path):
    needs("moses", "qm9")
    config = partial(molecules.Config, steps=120, warmup=5, layers=1, embed=64, examples=5000, samples=100)
    found = molecules.experiment(config(workdir=str(tmp_path / "molecules"))).metrics
    assert found["val_loss"] < 1.5  # bigrams of as many molecules have 1.64
    config = partial(qm9.Config, steps=150, warmup=10, width=32, layers=2, examples=1000)
    found = qm9.experiment(config(workdir=str(tmp_path / "qm9"))).metrics
    assert found["gap_mae"] < found["atoms_gap_mae"]
    assert found["u0_mae"] < found["atoms_u0_mae"]
