"""Capsules, tiny: data as the task has them, one step of both networks, a short run that learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import capsules, datasets
from experiments.capsules import Config
from jnn.train import Context
from tests.experiments.shortened import flown, learned, resumed
from tests.needed_data import needs

SHORT = ["--steps", "8", "--width", "4", "--maps", "1"]


def digits(n=12):
    """Made digits: a bright square in the middle, one size a class."""
    y = np.arange(n, dtype=np.int32) % 10
    x = np.zeros((n, 28, 28), np.uint8)
    for image, label in zip(x, y, strict=True):
        image[14 - label : 14 + label + 1, 14 - label : 14 + label + 1] = 255
    return {"x": x, "y": y}


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(datasets.data, "mnist", lambda data_dir, part: digits(24 if part == "train" else 12))


@pytest.mark.parametrize(("task", "side", "count"), [("plain", 28, 1), ("affine", 40, 1), ("overlap", 36, 2)])
def test_each_task_has_its_digits(made, task, side, count):
    """In training in the middle; held out somewhere else; two on each other are of different classes."""
    data = datasets.digits_for_capsules(task)
    for part in data[:3]:
        assert part["x"].shape == (len(part["y"]), count, side, side, 1)
        assert part["y"].shape[1] == count
        assert count == 1 or (part["y"][:, 0] != part["y"][:, 1]).all()
    lit = data.train["x"][..., 0].astype(float)
    np.testing.assert_array_equal(lit[:, :, ::-1][:, :, :-1], lit[:, :, 1:])  # as high above the middle as below it


@pytest.mark.parametrize("task", ["plain", "overlap"])
def test_both_networks_have_a_loss_and_as_many_parameters(made, task):
    config = Config(task=task, width=8, maps=2)
    data = datasets.digits_for_capsules(task)
    specs = capsules.networks(config, data.train["x"].shape[2:])
    batch = {name: array[:4] for name, array in data.train.items()} | {"weight": np.ones(4, np.float32)}
    counts = {}
    for name, (spec, loss) in specs.items():
        key = jax.random.key(0)
        context = Context(key=key, draw=key, step=jnp.int32(0), stats=None, memory={}, ema=None, given=None)
        out = jax.jit(loss)(jnn.init(spec, key), batch, context)
        assert out.values.shape == (4,)
        assert np.isfinite(out.values).all()
        counts[name] = jnn.count_params({part: own for part, own in spec.items() if part != "decoder"})
    assert counts["cnn"] == pytest.approx(counts["capsules"], rel=0.05)


@pytest.mark.slow
def test_a_short_run_learns_goes_on_and_is_planned(tmp_path):
    needs("mnist")
    metrics = learned("experiments.capsules", tmp_path, ["--steps", "200", "--width", "8", "--maps", "2"])
    assert metrics["capsules_accuracy"] > 0.8
    assert metrics["cnn_accuracy"] > 0.8
    resumed("experiments.capsules", tmp_path, SHORT)
    flown("experiments.capsules", tmp_path, SHORT)
