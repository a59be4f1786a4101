"""Self-supervised learning, tiny: one step of each method, what a probe is, a short run that learns and goes on."""

import functools
import subprocess
import sys

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import jnn
from experiments import datasets, feature_pictures, probes, selfsupervised, small_images
from experiments.selfsupervised import Config
from jnn.data import data_root
from jnn.train import Context
from tests.experiments.shortened import flown, resumed
from tests.experiments.test_kills import ROOT
from tests.programs import ALONE

TINY = {"batch_size": 8, "width": 4, "hidden": 8, "layers": 1, "heads": 2, "embed": 8, "patch": 8}
METHODS = ("simclr", "byol", "vicreg", "mae")
SHORT = ["--steps", "20", "--batch-size", "32", "--width", "4", "--hidden", "16", "--layers", "1", "--heads", "2"]
SHORT += ["--embed", "16", "--patch", "8", "--labels", "300", "--few", "64", "--label-steps", "10", "--few-steps", "6"]
needs_cifar10 = pytest.mark.skipif(
    not (data_root() / "cifar10").exists(), reason=f"cifar10 is not in {data_root()}; set JNN_DATA to where it is."
)


def images(n, seed):
    """Those of a class are bright in one place, and dark elsewhere."""
    rng, y = np.random.default_rng(seed), (np.arange(n) % 10).astype(np.int32)
    x = rng.integers(0, 60, (n, 32, 32, 3))
    for image, label in zip(x, y, strict=True):
        image[3 * label : 3 * label + 5, 2 * label : 2 * label + 9] += 180
    return {"x": x.astype(np.uint8), "y": y}


@pytest.fixture
def made_up(monkeypatch):
    data = datasets.Data(images(160, 0), images(40, 1), images(40, 2))
    monkeypatch.setattr(datasets, "cifar10", lambda data_dir=None: data)


@pytest.mark.parametrize("method", ["byol", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS if m != "byol")])
def test_a_method_has_a_loss_for_each_image_and_gradients_everywhere(method):
    config, key = Config(**TINY), jax.random.key(0)
    params = jnn.init(selfsupervised.network_spec(config, method), key)
    batch = {"x": images(8, 0)["x"], "weight": np.ones(8, np.float32)}
    memory = selfsupervised.followed(params) if method == "byol" else {}
    of = {"loss": selfsupervised.mae_loss} if method == "mae" else {"loss": selfsupervised.views_loss, "method": method}
    loss = functools.partial(of.pop("loss"), config=config, **of)

    @functools.partial(jax.grad, has_aux=True)
    def slope(params):
        values = loss(params, batch, Context(key, key, 0, memory=memory)).values
        return values.sum(), values

    gradients, values = jax.jit(slope)(params)
    assert values.shape == (8,)
    assert np.isfinite(values).all()
    moved = {path: float(np.abs(g).max()) for path, g in jnn.flatten(gradients).items()}
    assert np.isfinite(list(moved.values())).all()
    assert moved["encoder/patch/w" if method == "mae" else "encoder/stem/conv/w"] > 0


def test_views_are_parts_of_images_in_their_range():
    x = images(6, 0)["x"]
    one, other = (np.asarray(small_images.view(x, 16, jax.random.key(i))) for i in (0, 1))
    assert one.shape == (6, 16, 16, 3)
    assert 0 <= one.min() <= one.max() <= 1
    assert np.abs(one - other).max(axis=(1, 2, 3)).min() > 0.05
    np.testing.assert_allclose(small_images.whole(x, 32), x / 255, atol=1e-6)


def test_a_probe_is_scikit_learns_logistic_regression():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)).astype(np.float32), rng.integers(0, 3, 200)
    x += y[:, None] * rng.normal(size=5).astype(np.float32)
    found = probes.logistic_regression(x, y, 0.01, 3)
    theirs = LogisticRegression(C=1 / (0.01 * len(x)), tol=1e-8, max_iter=2000).fit(x, y)
    np.testing.assert_allclose(found["w"], theirs.coef_.T, atol=2e-3)
    np.testing.assert_allclose(found["b"] - found["b"].mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)
    probe = probes.linear_probe(x[:150], y[:150], x[150:], y[150:], 3)
    assert probe.validated == probe.accuracy(x[150:], y[150:]) > 0.4


def test_features_come_in_parts_and_all_of_them():
    x = np.arange(1100, dtype=np.float32).reshape(-1, 1)
    np.testing.assert_array_equal(probes.features(lambda x: 2 * x, x), 2 * x)


@pytest.mark.slow
def test_a_run_learns_places_and_draws(tmp_path, made_up):
    sizes = {"steps": 40, "labels": 120, "few": 32, "label_steps": 60, "few_steps": 30, "learning_rate": 1e-2}
    methods = ("vicreg", "mae")
    given = TINY | sizes | {"batch_size": 32, "methods": methods}
    outcome = selfsupervised.experiment(Config(workdir=str(tmp_path), **given))
    for method in methods:
        losses = [row[f"train/loss_{method}"] for row in outcome.history if f"train/loss_{method}" in row]
        assert losses[-1] < losses[0], method
        assert outcome.metrics[f"{method}_probe"] > 0.2, method
    assert outcome.metrics["resnet_whole"] > 0.2
    for draw in outcome.figures.values():
        draw()


def test_bars_name_what_was_with_labels_alone():
    found = {"resnet": {"whole": 0.6, "whole_few": 0.3, "probe": 0.3, "probe_few": 0.2}}
    found |= {"byol": {"whole_few": 0.4, "probe": 0.5, "probe_few": 0.4, "probe_validation": 0.5}}
    panels = feature_pictures.compared(Config(), found)
    assert panels["10,000 labels"] == {
        "ResNet, labels alone": 0.6,
        "ResNet, linear probe as drawn": 0.3,
        "BYOL, linear probe": 0.5,
    }
    assert panels["450 labels"]["BYOL, fine-tuned"] == 0.4
    assert len(feature_pictures.bars(panels).axes) == 2


@needs_cifar10
@pytest.mark.slow
@pytest.mark.parametrize("method", ["byol", "mae"])
def test_a_killed_run_goes_on_to_the_same_bits_and_is_planned(tmp_path, method):
    options = [*SHORT, "--methods", method]
    resumed("experiments.selfsupervised", tmp_path, options)
    flown("experiments.selfsupervised", tmp_path, options)


@needs_cifar10
@pytest.mark.slow
def test_two_devices(tmp_path):
    command = [sys.executable, "-m", "experiments.selfsupervised", "--workdir", str(tmp_path / "run"), *SHORT]
    command += ["--mesh", "data=2", "--methods", "simclr", "byol"]
    environ = ALONE | {"JAX_NUM_CPU_DEVICES": "2"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "byol_probe_few" in done.stdout
