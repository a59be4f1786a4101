"""Tones: a toy run on made voices; a moved spectrum; what the network does not hear; real voices; a killed run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import tones
from tests.experiments.made_syllables import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

soundfile = pytest.importorskip("soundfile")
TINY = {"channels": (2, 2, 2), "dense": 2, "batch_size": 8}
OPTIONS = ["--steps", "4", "--channels", "2", "2", "2", "--dense", "2", "--batch-size", "8"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), soundfile)


def test_a_run_tests_both_speakers(tmp_path, data_dir):
    config = tones.Config(workdir=str(tmp_path), data_dir=data_dir, steps=2, networks=("shift",), **TINY)
    outcome = tones.experiment(config)
    assert sorted(outcome.metrics) == ["largest_tone", "shift_other", "shift_own", "shift_validation"]
    assert [len(figure().axes) for figure in outcome.figures.values()] == [8, 1, 1, 1]


def test_no_syllable_is_in_two_parts_and_each_tests_once(data_dir):
    tested = []
    for fold in range(tones.FOLDS):
        parts = tones.syllables(tones.Config(data_dir=data_dir, fold=fold))
        rows = {name: {row.tobytes() for row in part["x"]} for name, part in parts.items()}
        assert [len(rows[name]) for name in ("train", "validation", "own", "other")] == [12, 4, 4, 4]
        assert len(set.union(*rows.values())) == 24
        tested += rows["own"]
    assert len(set(tested)) == 20


def test_moving_is_the_same_picture_elsewhere():
    x = np.random.default_rng(0).normal(size=(4, 5, tones.BANDS, 1)).astype(np.float32)
    found = np.asarray(tones.moved(jnp.asarray(x), jax.random.key(0)))
    assert found.shape == x.shape
    middle = x[:, :, 40:90]
    for one, own in zip(found, middle, strict=True):
        assert any((one[:, 40 + by : 90 + by] == own).all() for by in range(-12, 13))


def test_the_largest_over_frequencies_does_not_hear_how_high_a_voice_is():
    config = tones.Config(channels=(2, 3, 4))
    p = jnn.init(tones.network_spec(config, "shift"), jax.random.key(0))
    x = np.zeros((1, 48, tones.BANDS, 1), np.float32)
    x[:, :, 48:72] = np.random.default_rng(0).normal(size=(1, 48, 24, 1))
    higher = np.roll(x, 16, 2)  # two cells of the last map
    np.testing.assert_allclose(*(tones.network(p, y, None, 0.0) for y in (x, higher)), atol=1e-5)


def test_a_pure_tone_is_one_band():
    time = np.arange(tones.SAMPLES) / tones.RATE
    found = np.asarray(tones.pitches(np.float32(np.sin(2 * np.pi * 640 * time))[None]))
    assert found.shape == (1, 48, tones.BANDS, 1)
    assert abs(int(found[0, 20, :, 0].argmax()) - 3 * tones.OCTAVE) <= 1


@pytest.mark.slow
def test_real_tones_are_told_better_than_by_chance(tmp_path):
    needs("gcin_voice")
    found = tones.experiment(tones.Config(workdir=str(tmp_path), networks=("shift",), steps=60)).metrics
    assert found["shift_own"] > 0.6
    assert found["shift_other"] > 0.4


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path, data_dir):
    resumed("experiments.tones", tmp_path, ["--data-dir", data_dir, *OPTIONS])


@pytest.mark.slow
def test_a_preflight_reports(tmp_path, data_dir):
    flown("experiments.tones", tmp_path, ["--data-dir", data_dir, *OPTIONS])
