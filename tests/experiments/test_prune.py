"""Making a CNN smaller, tiny: what each method leaves, a short real run that learns and goes on, its preflight."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import footprints, prune, shrinking
from experiments.prune import Config
from jnn.compression import channel_masks, masked, remove_channels
from tests.experiments import made_images
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

TINY = {"channels": (4, 6), "dense": 16, "batch_size": 8}
SHORT = ["--steps", "60", "--tuning-steps", "20", "--channels", "4", "8", "--dense", "32", "--timed", "no"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return made_images.write(tmp_path_factory.mktemp("data"), names=("mnist",))


def test_a_run_measures_what_is_left(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(shrinking, "SPARSITIES", (0.9,))
    options = TINY | {"channels": (4,), "steps": 2, "tuning_steps": 3, "methods": ("deep",), "timed": "no"}
    outcome = prune.experiment(Config(workdir=str(tmp_path), data_dir=data_dir, **options))
    assert [outcome.metrics[name] for name in ("method", "left")] == [["deep"], ["10%, 4 bits"]]
    (found,) = outcome.params.values()
    weights = [np.asarray(layer["w"]) for layer in (found["conv0"], *found["head"].values())]
    left = sum((w != 0).sum() for w in weights)
    assert left == pytest.approx(0.1 * sum(w.size for w in weights), abs=1)
    assert outcome.metrics["parameters"] == [left + 4 + 16 + 10]  # and the biases
    assert all(len(np.unique(w)) <= 17 for w in weights)
    for draw in outcome.figures.values():
        draw()


def test_sets_of_channels_are_all_that_a_cnn_makes_and_reads():
    config = Config(**TINY)
    spec = prune.network_spec(config, 1.0)
    sets = shrinking.channel_sets(spec)
    assert len(sets) == 3
    p, x = jnn.init(spec, jax.random.key(0)), np.random.default_rng(0).random((2, 784), np.float32)
    small, declared, left = p, spec, p
    for channels, n in zip(sets, (4, 6, 16), strict=True):
        keep = jnp.arange(n // 2) * 2
        left = masked(left, channel_masks(spec, channels, keep))
        small, declared = remove_channels(small, declared, channels, keep)
    assert jax.tree.map(lambda p: p.shape, declared) == jax.tree.map(lambda p: p.shape, prune.network_spec(config, 0.5))
    both = [prune.network(q, x, config) for q in (left, small)]
    np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5)


def test_footprints_count_what_is_left():
    p = {"w": np.ones((4, 5), np.float32), "b": np.ones(5, np.float32)}
    assert footprints.footprint(p, None, None) == {"parameters": 25, "kilobytes": 0.1}
    assert footprints.footprint(p, {"w": np.eye(4, 5, dtype=bool)}, None)["parameters"] == 9
    times = footprints.latencies(lambda p, x: x @ p["w"], {"one": p, "other": p}, np.ones((2, 4), "f"), 1)
    assert min(times.values()) > 0


@pytest.mark.slow
def test_a_short_run_learns_and_compiles_no_step_twice(tmp_path, caplog):
    needs("mnist/train-images-idx3-ubyte.gz")
    config = Config(workdir=str(tmp_path), steps=150, tuning_steps=60, channels=(8, 16), dense=64)
    with jax.log_compiles():
        outcome = prune.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert compiled.count("sharded") <= 18  # of the dense network at first, and one for each row
    accuracy = dict(zip(outcome.params, outcome.metrics["test_accuracy"], strict=True))
    assert accuracy["dense 100%"] > 0.9
    assert accuracy["gradual 10%"] > 0.8
    assert len(accuracy) == 17
    assert min(accuracy.values()) > 0.3
    size = dict(zip(outcome.params, outcome.metrics["kilobytes"], strict=True))
    assert size["deep 10%, 4 bits"] < size["gradual 10%"] < size["dense 100%"] / 4


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    resumed("experiments.prune", tmp_path, [*SHORT, "--methods", "gradual", "channels", "deep"])


@pytest.mark.slow
def test_a_preflight_reports_on_its_step(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    flown("experiments.prune", tmp_path, SHORT)
