"""Explanations of trained networks, shortened; the stages of EfficientNet-Lite0 are the network."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import explain, heatmaps
from experiments.attributions import cnn_stages
from experiments.efficientnet import FILE, lite0, lite0_stages, photographs
from jnn.data import data_root
from jnn.explain import apply_stages, layerwise_relevance
from jnn.models import batch_stats_spec, cnn, cnn_spec, efficientnet_lite, efficientnet_lite_spec
from tests.experiments import test_kills
from tests.programs import COMPILED

SMALL = ["--channels", "4", "8", "--dense", "16", "--hidden", "8", "--examples", "4", "--samples", "2"]


def test_stages_are_the_cnn_and_the_table_of_methods_has_maps():
    p = jnn.init(cnn_spec((8, 8, 1), (4, 8), 16, 10), jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (8, 8, 1))
    stages = cnn_stages(p, jax.nn.relu)
    np.testing.assert_allclose(apply_stages(stages, x), cnn(p, x, key=None), rtol=1e-5, atol=1e-6)
    assert np.isfinite(layerwise_relevance(stages, x, 3)).all()
    figure = heatmaps.maps(np.ones((1, 8, 8)), {"nothing": np.zeros((1, 8, 8))}, ["seen: 3"])
    assert len(figure.axes) == 2


def test_two_steps_of_patients(tmp_path):
    config = explain.Config(workdir=str(tmp_path), steps=2, networks=("patients",), hidden=(4,), examples=2)
    outcome = explain.experiment(config)
    errors = dict(zip(outcome.metrics["patients_method"], outcome.metrics["patients_error"], strict=True))
    assert errors["exact Shapley"] == 0.0
    assert all(np.isfinite(list(errors.values())))
    (draw,) = outcome.figures.values()
    assert draw().axes


@pytest.mark.slow
def test_explanations_of_digits_and_patients(tmp_path):
    config = explain.Config(workdir=str(tmp_path), steps=300, examples=32, networks=("digits", "patients"))
    found = explain.experiment(config).metrics
    assert found["digits_accuracy"] > 0.9
    assert found["patients_test_mse"] < 0.8  # of a target whose variance is 1
    by = lambda what: dict(zip(found["digits_method"], found[f"digits_{what}"], strict=True))
    deletion, insertion = by("deletion"), by("insertion")
    for name in ("integrated gradients", "LRP", "occlusion", "Kernel SHAP"):
        assert deletion[name] < insertion[name]
    assert found["digits_incomplete"] < 0.05
    errors = dict(zip(found["patients_method"], found["patients_error"], strict=True))
    assert errors["Kernel SHAP, 256"] < errors["Kernel SHAP, 32"] < errors["input x gradient"]
    assert found["digits_tcav_bar"].shape == (10,)


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(tmp_path):
    options = ["--steps", "40", "--networks", "digits", *SMALL]
    came, _ = test_kills.check(("save", "final"), 1, "experiments.explain", tmp_path, options)
    assert came == ["save", "final"]


@pytest.mark.slow
def test_a_pre_flight_reports(tmp_path):
    command = [sys.executable, "-m", "experiments.explain", "--preflight", "cpu:8", "--mesh", "data=8"]
    command += ["--preflight.json", "--workdir", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=COMPILED)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


@pytest.mark.slow
def test_stages_are_efficientnet_lite0():
    """By drawn weights; and by the published ones, which see what is on the photographs."""
    spec = efficientnet_lite_spec(1000)
    key = jax.random.key(0)
    drawn = jnn.init(spec, key), jnn.init(batch_stats_spec(spec), key)
    there = (data_root() / FILE).is_file()
    _, x = photographs()
    both = jax.jit(lambda p, x: (apply_stages(lite0_stages(*p), x), efficientnet_lite(p[0], x, p[1], key=None)[0]))
    for p in [drawn, *([lite0()] if there else [])]:
        ours, theirs = both(p, jnp.asarray(x[0]))
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * float(jnp.abs(theirs).max()))
    assert not there or ours.argmax() == 698  # a palace
