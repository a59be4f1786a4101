"""Faces: people are apart in the splits, embeddings learn to verify, a killed run goes on; all of it on made faces."""

import numpy as np
import pytest

from experiments import faces, verification
from experiments.datasets import Data
from experiments.datasets import faces as split_faces
from experiments.harness import launch
from tests.experiments.test_kills import check
from tests.needed_data import needs

TINY = {"channels": (2,), "dense": 4, "embed": 3, "batch_size": 8, "ways": 3, "shots": 2}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Forty made people: a pattern each, and noise on each picture."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    people = rng.integers(0, 200, (40, 1, 14, 23)).repeat(8, 2).repeat(4, 3)
    (root / "orl_faces").mkdir()
    x = (people + rng.integers(0, 56, (40, 10, 112, 92))).astype(np.uint8)
    np.savez(root / "orl_faces" / "faces.npz", x=x)
    return str(root)


def tiny(folder, data_dir, **changes):
    return faces.Config(workdir=str(folder), data_dir=data_dir, **TINY | {"steps": 2} | changes)


def test_a_run_verifies(tmp_path, data_dir):
    outcome = faces.experiment(tiny(tmp_path, data_dir, methods=("triplet",)))
    kinds = ("eer", "accuracy", "validation_eer")
    assert sorted(outcome.metrics) == sorted(f"{m}_{kind}" for m in ("triplet", "eigenfaces") for kind in kinds)
    assert [sorted(row) for row in outcome.history] == 2 * [["step", "train/loss_triplet"]]
    assert len(outcome.figures) == 1 + 2 * 2


def test_nobody_is_in_two_parts_and_everybody_is_tested_once(data_dir):
    tested = []
    whole = split_faces(0, data_dir)
    people = {row.tobytes(): own + 16 for row, own in zip(whole.train["x"], whole.train["y"], strict=True)}
    for part in (whole.validation, whole.test):
        people |= {row.tobytes(): own for row, own in zip(part["x"], part["y"], strict=True)}
    for fold in range(4):
        data = split_faces(fold, data_dir)
        own = [{people[row.tobytes()] for row in part["x"]} for part in data[:3]]
        assert [len(part) for part in own] == [24, 6, 10]
        assert len(set.union(*own)) == 40
        assert set(data.train["y"]) == set(range(24))
        tested += own[2]
    assert sorted(tested) == list(range(40))


def test_what_is_measured_of_distances():
    people = np.array([0, 0, 1, 1])
    part = {"x": np.array([0.0, 1.0, 4.0, 6.0])[:, None], "y": people}
    found = verification.verify(lambda x: x, part, part)
    assert found.scores.tolist() == [-1, -4, -6, -3, -5, -2]
    assert found.threshold == -2
    assert found.measured() == {"eer": 0, "accuracy": 1, "validation_eer": 0}
    stricter = found._replace(threshold=-1.5).measured()
    assert stricter["accuracy"] == 0.75


def test_eigenfaces_tell_what_differs_in_few_directions():
    rng = np.random.default_rng(0)
    people, directions = 3 * rng.normal(size=(9, 3)), rng.normal(size=(3, 5 * 40))
    x = (people.repeat(10, 0) @ directions + rng.normal(size=(90, 200))).reshape(90, 5, 40)
    y = np.arange(9).repeat(10)
    parts = [{"x": x[a:b], "y": y[a:b]} for a, b in ((0, 50), (50, 70), (70, 90))]
    found = verification.eigenfaces(Data(*parts))
    assert found.points.shape[1] in verification.COMPONENTS
    assert found.measured()["eer"] < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("method", ["triplet", "arcface"])
def test_real_people_are_verified_better_than_by_chance(tmp_path, method):
    needs("orl_faces")
    config = faces.Config(workdir=str(tmp_path), methods=(method,), steps=100, batch_size=8)
    outcome = faces.experiment(config)
    losses = [row[f"train/loss_{method}"] for row in outcome.history]
    assert losses[-1] < losses[0]
    assert outcome.metrics[f"{method}_eer"] < 0.2


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, data_dir):
    options = ["--steps", "12", "--data-dir", data_dir, "--channels", "2", "2", "--embed", "3", "--dense", "4"]
    came, _ = check(["save", "final"], 1, "experiments.faces", tmp_path, options)
    assert came == ["save", "final"]


@pytest.mark.slow
def test_a_preflight_reports_on_its_step(tmp_path, data_dir, capsys):
    options = ["--preflight", "cpu:8", "--mesh", "data=8", "--batch-size", "8", "--channels", "2", "2"]
    with pytest.raises(SystemExit) as end:
        launch(faces.experiment, faces.Config, [*options, "--data-dir", data_dir, "--workdir", str(tmp_path / "run")])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("cpu:8: 8 chips, 8 devices, 1 host; data=8\n")
    assert not (tmp_path / "run").exists()
