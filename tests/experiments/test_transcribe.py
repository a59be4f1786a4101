"""Spoken strings of digits: how they are joined, and that CTC and a transducer learn to write them down."""

import logging
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import spoken_strings, transcribe, transcriptions
from experiments.recordings import parted
from experiments.spoken_strings import KINDS, MOST, SAMPLES, Strings, at_levels, draw, joined, spelled
from experiments.transcriber import transcriber_spec
from jnn.decoding import ngram_table
from jnn.train import Context
from tests.experiments.made_voices import write_one
from tests.experiments.shortened import flown, learned, resumed
from tests.needed_data import needs

SHORT = ["--steps", "40", "--warmup", "10", "--batch-size", "8", "--width", "8", "--examples", "8", "--beams", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two speakers' digits, a tone each, as short as a fortieth of a second; three recordings of each."""
    root = tmp_path_factory.mktemp("data")
    for digit in range(10):
        for speaker in ("ann", "theo"):
            for index in (0, 5, 10):
                wave = 9000 * np.sin(np.arange(200 + 10 * index) * (digit + 1) / 8)
                write_one(root, digit, speaker, index, wave)
    return root


def test_recordings_are_in_one_part_and_strings_hold_them(folder):
    parts = parted(folder)
    assert [sorted(set(part["index"].tolist())) for part in parts] == [[10], [5], [0]]
    rng = np.random.default_rng(0)
    labels, lengths = draw(rng, 5, KINDS["random"])
    batch = joined(rng, parts[0], labels, lengths, np.full(5, 60.0))
    for row in range(5):
        spans = batch["spans"][row, : lengths[row]]
        assert (np.diff(spans.ravel()) >= 0).all()
        assert (np.diff(spans) == 300).all()
        assert spans[-1, 1] <= batch["samples"][row] <= SAMPLES
        for (begin, end), label in zip(spans, labels[row], strict=False):
            wave = batch["x"][row, begin:end]
            np.testing.assert_allclose(np.mean(wave**2), 1, rtol=0.05)
            heard = np.abs(np.fft.rfft(wave)).argmax() / 300 * 2 * np.pi * 8
            assert round(heard) == label
        assert (batch["x"][row, batch["samples"][row] :] == 0).all()
    noisy = joined(np.random.default_rng(1), parts[0], labels, lengths, np.full(5, -20.0))
    loud = [np.mean(x[:n] ** 2) for x, n in zip(noisy["x"], noisy["samples"], strict=True)]
    np.testing.assert_allclose(loud, 100, rtol=0.1)


def test_strings_are_a_function_of_seed_and_step(folder):
    part = parted(folder)[0]
    np.testing.assert_equal(Strings(part, 2, 0)[3], Strings(part, 2, 0)[3])
    assert not np.array_equal(Strings(part, 2, 0)[3]["y"], Strings(part, 2, 0)[4]["y"])
    quiet, *_, noisy = at_levels(part, "language", 3, seed=0).values()
    for name in ("y", "spans", "samples"):
        np.testing.assert_array_equal(quiet[name], noisy[name])
    assert (quiet["x"] ** 2).sum() < (noisy["x"] ** 2).sum()


def test_an_ngram_tells_the_language_from_random_strings():
    table = ngram_table(*spoken_strings.text(2000), symbols=11, order=3)
    own, random = (draw(np.random.default_rng(9), 500, KINDS[kind]) for kind in ("language", "random"))
    assert transcriptions.perplexity(table, *own) < 4 < 11 < transcriptions.perplexity(table, *random)
    uniform = np.full((11,) * 3, np.log(1 / 11), np.float32)
    np.testing.assert_allclose(transcriptions.perplexity(uniform, *own), 11, rtol=1e-4)
    assert spelled(*(x[:1] for x in own))[0].count(" ") == own[1][0] - 1


def test_the_share_of_digits_that_are_heard_while_they_are_spoken():
    spans = np.zeros((1, MOST, 2), int)
    spans[0, :3] = [[0, 700], [700, 1300], [1300, 2000]]
    places = np.array([[-1, 0, 0, -1, 1, 2]])  # at samples 480, 1280, and 1600
    assert transcriptions.share_within(places, {"spans": spans}) == 1
    early = np.array([[-1, 0, 0, 1, 2, -1]])  # the last at 1280
    assert transcriptions.share_within(early, {"spans": spans}) == 2 / 3


def test_both_losses_reach_all_parameters_and_padding_none(folder, monkeypatch):
    """What stands behind the end of a string, sound or labels, has no part."""
    monkeypatch.setattr(spoken_strings, "SAMPLES", 3200)
    config, key = transcribe.Config(width=3), jax.random.key(0)
    params = jnn.init(transcriber_spec(config.width), key)
    batch = Strings(parted(folder)[0], 2, 0)[0]
    ctx = Context(key=None, draw=key, step=jnp.int32(0), stats=None, memory={}, ema=None, given=None)

    @jax.jit
    def both(params, batch):
        total = lambda params: jnp.sum(transcribe.loss(params, batch, ctx, config).values)
        return jax.value_and_grad(total)(params)

    value, gradient = both(params, batch)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
    behind = np.arange(MOST) >= batch["digits"][:, None]
    other, _ = both(params, batch | {"y": np.where(behind, 7, batch["y"])})
    np.testing.assert_allclose(other, value, rtol=1e-6)


@pytest.mark.slow
def test_a_tiny_run_compiles_each_program_once_and_draws(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(spoken_strings, "SAMPLES", 3200)
    sizes = {"steps": 2, "warmup": 1, "batch_size": 8, "width": 3, "beams": 2, "examples": 2}
    config = transcribe.Config(workdir=str(tmp_path), data_dir=str(folder), **sizes)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcome = transcribe.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert [compiled.count(program) for program in ("sharded", "evaluate", "heard_as", "align")] == [1, 1, 1, 1]
    assert np.isfinite(list(outcome.metrics.values())).all()
    for draw_figure in outcome.figures.values():
        assert draw_figure().axes


@pytest.mark.slow
def test_a_short_run_learns_goes_on_and_is_planned(tmp_path):
    needs("free_spoken_digits")
    metrics = learned("experiments.transcribe", tmp_path, ["--steps", "600", "--examples", "20", "--beams", "2"])
    for network in ("ctc", "transducer"):
        assert metrics[f"language_20db_{network}_greedy"] < 0.5
        assert metrics[f"language_20db_{network}_ngram"] < metrics[f"random_20db_{network}_ngram"]
    assert metrics["aligned_20db"] > 0.9
    resumed("experiments.transcribe", tmp_path, SHORT)
    flown("experiments.transcribe", tmp_path, SHORT)
