"""ResNet on CIFAR-10, tiny: a run reports, each shape is compiled once, the peer computes the same, kills, devices."""

import functools
import logging
import re
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
import torch

import jnn
from experiments import datasets, resnet, small_images
from experiments.harness import launch
from experiments.peers import torch_resnet
from experiments.resnet import Config
from jnn.data import data_root
from jnn.interop.torch import load_with_stats
from jnn.models import TORCHVISION_RESNET, batch_stats_spec
from jnn.strict_json import loads
from jnn.train import Context, create_state, make_step
from tests.experiments.test_kills import ROOT, check
from tests.programs import ALONE

SMALL = {"blocks": 1, "width": 4, "batch_size": 16, "steps": 4, "half_steps": 2, "warmup": 1}


def images(n, seed):
    """Grey ones, the brighter the larger their class is."""
    rng, y = np.random.default_rng(seed), (np.arange(n) % 10).astype(np.int32)
    x = 20 * y[:, None, None, None] + rng.integers(0, 40, (n, 32, 32, 3))
    return {"x": x.astype(np.uint8), "y": y}


@pytest.fixture
def made_up(monkeypatch):
    data = datasets.Data(images(64, 0), images(40, 1), images(40, 2))
    monkeypatch.setattr(datasets, "cifar10", lambda data_dir=None: data)


def options(folder, **changes):
    """The command line of a tiny run."""
    given = {**SMALL, "workdir": folder, **changes}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def test_a_step_keeps_statistics_that_an_evaluation_reads():
    config = Config(**SMALL)
    spec, own = resnet.network_spec(config), functools.partial(resnet.loss, config=config)
    sgd, key = resnet.optimizer(config, spec), jax.random.key(0)
    state = create_state(jnn.init(spec, key), sgd, stats=jnn.init(batch_stats_spec(spec), key))
    first = state.stats["stem"]["norm"]["mean"].copy()
    batch = small_images.Halved(jnn.data.Batches(images(16, 0), 16, seed=0), 9)[0]
    state, metrics = make_step(own, sgd, key)(state, batch)
    assert {"loss", "accuracy", "confusion"} <= set(metrics)
    assert (state.stats["stem"]["norm"]["mean"] != first).any()
    evaluated = own(state.params, batch, Context(None, key, state.step, stats=state.stats))
    np.testing.assert_array_equal(evaluated.stats["stem"]["norm"]["mean"], state.stats["stem"]["norm"]["mean"])


def test_pictures():
    rows, matrix = images(30, 0), np.eye(10, dtype=int) * 3 + np.eye(10, k=1, dtype=int)
    sure = np.eye(10)[(rows["y"] + (np.arange(30) < 3)) % 10]  # three are wrong
    names = small_images.CIFAR10
    assert len(small_images.confident_mistakes(rows["x"], rows["y"], sure, names).axes) == 3
    assert len(small_images.confident_mistakes(rows["x"], rows["y"], np.eye(10)[rows["y"]], names).axes) == 1
    said = [text.get_text() for text in small_images.by_class(matrix, names).axes[0].texts]
    assert said[0] == "1.000; then airplane, 0.000"
    assert said[1] == "0.750; then automobile, 0.250"
    assert len(small_images.filters(np.ones((3, 3, 3, 4)), rows["x"][:6]).axes) == 7 * 5


@pytest.mark.slow
def test_a_run_reports_and_compiles_its_step_for_two_sizes(tmp_path, made_up, capsys, caplog):
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        launch(resnet.experiment, Config, options(tmp_path / "run"))
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert compiled.count("sharded") == 2  # the step, of all devices
    assert compiled.count("evaluate") == 2  # of all devices in training, of one behind it
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert {"test_accuracy", "test_loss", "seconds", "params_digest"} == set(result)
    report = (tmp_path / "run" / "report.html").read_text()
    for shown in ("true class by row", "most often taken for", "surest mistakes", "filters"):
        assert shown in report


@pytest.mark.slow
def test_wide_in_bfloat16_on_small_images_alone_learns_brightness(tmp_path, made_up):
    given = {**SMALL, "half_steps": 60, "steps": 60, "network": "wide", "compute_dtype": "bfloat16"}
    found = resnet.experiment(Config(**given, workdir=str(tmp_path), learning_rate=0.1, smoothing=0.1))
    assert found.metrics["test_accuracy"] > 0.5
    assert found.params["stem"]["w"].dtype == np.float32


def test_the_recipes_schedules():
    cosine = resnet.schedule(Config(steps=100, warmup=10, learning_rate=1.0))
    np.testing.assert_allclose([cosine(step) for step in (0, 5, 10, 55, 100)], [0, 0.5, 1, 0.5, 0], atol=1e-6)
    paper = resnet.schedule(Config(steps=64_000, warmup=0, learning_rate=0.1, schedule="steps"))
    steps = (0, 31_999, 32_001, 47_999, 48_001, 63_999)
    np.testing.assert_allclose([paper(step) for step in steps], [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)


def test_images_are_halved_by_means_for_the_first_steps():
    rows = images(8, 0)
    halved = small_images.Halved(jnn.data.Batches(rows, 4, seed=0), 1)
    whole = jnn.data.Batches(rows, 4, seed=0)[0]["x"].astype(np.float32)
    means = torch.nn.functional.avg_pool2d(torch.tensor(whole).permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    np.testing.assert_allclose(halved[0]["x"], np.floor(means.numpy()))
    assert halved[1]["x"].shape == (4, 32, 32, 3)


def test_the_peer_computes_what_jnn_does():
    config = Config(blocks=2, width=4)
    spec, network = resnet.network_spec(config), torch_resnet.ResNet(config)
    assert sum(p.numel() for p in network.parameters()) == jnn.count_params(spec)
    x = images(4, 0)["x"]
    for name, own in [*network.named_parameters(), *network.named_buffers()]:
        if own.ndim == 1 and "running" not in name:
            torch.nn.init.uniform_(own, 0.5, 1.5)
    network.train()(torch.from_numpy(x))  # statistics that are not the first ones
    params, stats = load_with_stats(spec, batch_stats_spec(spec), network.state_dict(), TORCHVISION_RESNET)
    ours = jax.jit(lambda x: resnet.network(params, x, stats, config)[0])(x)
    with torch.no_grad():
        theirs = network.eval()(torch.from_numpy(x))
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_peer_learns_brightness():
    data = datasets.Data(images(64, 0), images(40, 1), images(40, 2))
    config = Config(**{**SMALL, "steps": 60, "half_steps": 60}, learning_rate=0.1)
    assert torch_resnet.evaluate(torch_resnet.train(config, data), data.train)["test_accuracy"] > 0.5


def test_decay_is_of_weights_alone():
    config = Config(blocks=1, width=4, warmup=0, weight_decay=0.1, learning_rate=1.0, schedule="steps", nesterov="no")
    spec = resnet.network_spec(config)
    params = jax.tree.map(lambda p: np.ones(p.shape, np.float32), jnn.abstract(spec))
    zeros = jax.tree.map(np.zeros_like, params)
    own = resnet.optimizer(config, spec)
    moved = optax.apply_updates(params, own.update(zeros, own.init(params), params)[0])
    assert float(moved["stem"]["conv"]["w"][0, 0, 0, 0]) == pytest.approx(0.9)
    assert float(moved["stem"]["norm"]["scale"][0]) == 1.0


needs_cifar10 = pytest.mark.skipif(
    not (data_root() / "cifar10").exists(), reason=f"cifar10 is not in {data_root()}; set JNN_DATA to where it is."
)
SHORT = ["--blocks", "1", "--width", "8", "--batch-size", "64", "--steps", "120", "--half-steps", "80"]


@needs_cifar10
@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not_and_learns(tmp_path):
    came, _ = check(["step"], 1, "experiments.resnet", tmp_path, [*SHORT, "--warmup", "10"])
    assert came == ["step"]
    result = loads((tmp_path / "whole" / "result.json").read_text())
    assert result["test_accuracy"] > 0.2


@needs_cifar10
@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "more", "said"),
    [(1, ["--preflight", "cpu:8", "--mesh", "data=8"], "cpu:8: 8 chips"), (2, ["--mesh", "data=2"], "test_accuracy")],
)
def test_many_devices(tmp_path, devices, more, said):
    command = [sys.executable, "-m", "experiments.resnet", "--workdir", str(tmp_path / "run"), *SHORT, *more]
    environ = ALONE | ({"JAX_NUM_CPU_DEVICES": f"{devices}"} if devices > 1 else {})
    command += ["--steps", "6", "--half-steps", "3", "--warmup", "1"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert said in done.stdout
