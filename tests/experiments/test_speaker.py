"""Speakers: who is heard where; a toy run verifies and identifies; real voices; a killed run goes on."""

import jax
import numpy as np
import pytest

from experiments import speaker, voices
from experiments.voices import PIECE
from jnn.data import data_root
from tests.experiments.made_voices import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

TINY = {"batch_size": 8, "ways": 2, "shots": 2, "hidden": 3, "embed": 3, "layers": 1}
OPTIONS = ["--steps", "4", "--ways", "2", "--shots", "2", "--hidden", "4", "--embed", "4", "--layers", "1"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"))


@pytest.fixture
def with_weights(tmp_path, data_dir):
    """A data directory with these voices, and Resemblyzer's weights."""
    needs("weights/resemblyzer")
    (tmp_path / "weights").symlink_to(data_root() / "weights")
    (tmp_path / "free_spoken_digits").symlink_to(f"{data_dir}/free_spoken_digits")
    return tmp_path


def test_a_run_verifies_and_identifies(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(speaker, "resemblyzer", lambda data_dir: lambda x: np.abs(np.fft.rfft(x))[:, 100:900:10])
    config = speaker.Config(workdir=str(tmp_path), data_dir=data_dir, steps=2, methods=("ge2e",), **TINY)
    outcome = speaker.experiment(config)
    kinds = ("eer", "accuracy", "validation_eer", "identified")
    assert sorted(outcome.metrics) == sorted(f"{m}_{kind}" for m in ("ge2e", "resemblyzer") for kind in kinds)
    assert [len(figure().axes) for figure in outcome.figures.values()] == [1, 1, 1]


def test_nobody_who_tests_was_heard_and_every_fold_tests_others(data_dir):
    tested = []
    for fold in range(voices.FOLDS):
        found = voices.voices(fold, data_dir)
        assert [len(np.unique(part["y"])) for part in found[:3]] == [20, 4, 2]
        rows = [{row.tobytes() for row in part["x"]} for part in found[:5]]
        assert not rows[2] & (rows[0] | rows[1])
        assert not rows[0] & rows[1]
        assert not rows[3] & rows[4]
        tested.append(rows[2])
    assert not tested[0] & tested[1]
    assert not tested[1] & tested[2]


def test_pieces_hold_what_was_said_and_nothing_else():
    rng = np.random.default_rng(0)
    x, length = rng.normal(size=(6, 9000)).astype(np.float32), np.array([9000, 8000, 7000, 9000, 5000, 9000])
    part = {"x": x, "length": length, "speaker": np.array([0, 0, 0, 1, 0, 1])}
    found = voices.pieces(part, np.array([1, 1, 1, 1, 0, 1], bool), [0, 1], 0, (10,))
    assert found["x"].shape == (2, PIECE)
    assert found["y"].tolist() == [0, 1]
    said = np.concatenate([x[i, : length[i]] for i in (0, 1, 2)])
    assert np.isin(found["x"][0], said).all()


def test_loudness_does_not_say_who_it_is():
    x = np.random.default_rng(0).normal(size=(2, PIECE)).astype(np.float32)
    np.testing.assert_allclose(voices.log_mel(x), voices.log_mel(x / 8), atol=1e-4)
    assert jax.eval_shape(voices.log_mel, x).shape == (2, 158, voices.BANDS)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ge2e", "am_softmax"])
def test_real_voices_are_verified_better_than_by_chance(tmp_path, method):
    needs("free_spoken_digits", "weights/resemblyzer")
    outcome = speaker.experiment(speaker.Config(workdir=str(tmp_path), methods=(method,), batch_size=8, steps=300))
    losses = [row[f"train/loss_{method}"] for row in outcome.history]
    assert losses[-1] < losses[0] / 2
    assert outcome.metrics[f"{method}_identified"] > 0.6
    assert outcome.metrics["resemblyzer_eer"] < 0.05


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path, with_weights):
    resumed("experiments.speaker", tmp_path / "run", ["--data-dir", str(with_weights), *OPTIONS])


@pytest.mark.slow
def test_a_preflight_reports(tmp_path, with_weights):
    flown("experiments.speaker", tmp_path, ["--data-dir", str(with_weights), "--batch-size", "8", *OPTIONS])
