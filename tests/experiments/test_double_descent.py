"""Double descent: least squares of smallest norm, a toy run, and a short one that learns, is killed, is planned."""

import numpy as np
import pytest

from experiments import datasets, double_descent
from experiments.double_descent import peak
from experiments.random_features import least_squares, relu_features
from tests.experiments.made_images import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

SHORT = ["--steps", "4", "--widths", "4", "8", "--examples", "20", "--seeds", "1", "--batch-size", "16"]


def made(*args):
    """Images whose first ten pixels say the class."""
    rng = np.random.default_rng(0)

    def part(n):
        y = np.arange(n) % 10
        return {"x": rng.random((n, 784)).astype(np.float32) + np.eye(784)[40 * y].astype(np.float32), "y": y}

    return datasets.Data(part(100), part(20), part(50))


@pytest.mark.parametrize("width", [3, 8, 20])
def test_least_squares_is_the_limit_of_its_penalty(width):
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(8, width)), rng.normal(size=(8, 2))
    exact, limit = least_squares(features, targets), least_squares(features, targets, 1e-9)
    np.testing.assert_allclose(exact, limit, atol=1e-4)
    if width > 8:  # every row is met, by the weights of smallest norm: those that the rows span
        np.testing.assert_allclose(features @ exact, targets, atol=1e-8)
        np.testing.assert_allclose(np.linalg.lstsq(features.T, exact, rcond=None)[1], 0, atol=1e-12)


def test_random_features_peak_where_they_are_as_many_as_rows():
    rng = np.random.default_rng(0)
    x, direction = rng.normal(size=(640, 10)), rng.normal(size=10)
    y = (x @ direction + rng.normal(size=640))[:, None]
    features = relu_features(x, 320, seed=1)
    errors = []
    for width in (10, 40, 320):
        fit = least_squares(features[:40, :width], y[:40])
        errors.append(float(((features[40:, :width] @ fit - y[40:]) ** 2).mean()))
    assert errors[1] > 2 * max(errors[0], errors[2])


def test_a_peak_is_what_rose_most():
    found = peak(np.array([1, 2, 3, 4]), np.array([0.5, 0.3, 0.6, 0.2]))
    assert found == {"before_width": 2, "before": 0.3, "peak_width": 3, "peak": 0.6, "after": 0.2}


def test_a_run_of_a_few_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "mnist", made)
    how = {"steps": 2, "widths": (4, 8), "examples": 20, "batch_size": 16, "seeds": 1}
    config = double_descent.Config(workdir=str(tmp_path), **how)
    training, test = double_descent.parts(config)
    changed = np.asarray(double_descent.labels(training, 0.2)) != training["y"]
    assert changed.sum() == 4
    assert (np.asarray(double_descent.labels(test, 0.2)) == test["y"]).all()
    outcome = double_descent.experiment(config)
    assert 0 <= outcome.metrics["network_0.2_after"] <= 1
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
def test_a_shortened_run_learns(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    config = double_descent.Config(steps=200, widths=(16, 64), examples=200, seeds=1, workdir=str(tmp_path))
    found = double_descent.experiment(config).metrics
    assert found["features_0_peak_width"] == 200
    assert found["features_0_after"] < found["features_0_before"] < found["features_0_peak"]
    assert found["network_0_after"] < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path):
    asked("experiments.double_descent", tmp_path, ["--data-dir", write(tmp_path / "data", rows=(500, 40)), *SHORT])
