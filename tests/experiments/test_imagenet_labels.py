"""Photographs named by EfficientNet-Lite0: on made weights a run reports; the published ones say what torch's do."""

import sys

import jax
import numpy as np
import pytest

import jnn
from experiments import imagenet_labels
from experiments.efficientnet import FILE, label
from experiments.harness import launch
from experiments.peers import torch_efficientnet
from jnn.data import data_root
from jnn.models import batch_stats_spec, efficientnet_lite_spec
from jnn.strict_json import loads

needs_weights = pytest.mark.skipif(
    not (data_root() / FILE).is_file(), reason=f"{FILE} is not in {data_root()}; set JNN_DATA to where it is."
)


def test_a_run_on_made_weights_reports(tmp_path, monkeypatch, capsys):
    spec = efficientnet_lite_spec(1000, stages=[(3, 1, 8, 1)] * 7, stem=8, last=8)
    key = jax.random.key(0)
    made = jnn.init(spec, key), jnn.init(batch_stats_spec(spec), key)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
    monkeypatch.setattr(imagenet_labels, "lite0", lambda data_dir: made)
    monkeypatch.setattr(imagenet_labels, "photographs", lambda shown: (["a", "b", "c"], images))
    launch(imagenet_labels.experiment, imagenet_labels.Config, ["--steps", "2", "--workdir", str(tmp_path / "run")])
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert result["photograph"] == ["a", "b", "c"]
    assert result["milliseconds"] > 0
    assert "the five likeliest" in (tmp_path / "run" / "report.html").read_text()


@needs_weights
@pytest.mark.slow
def test_the_peer_sees_the_same(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["torch_efficientnet", "--calls", "1"])
    torch_efficientnet.main()
    found = loads(capsys.readouterr().out)
    assert found["top5_as_torch"]
    assert found["largest_difference"] < 1e-3
    assert found["photographs"][:2] == ["palace", "flower"]


@needs_weights
@pytest.mark.slow
def test_a_palace_and_a_daisy_are_seen_and_named(tmp_path):
    found = imagenet_labels.experiment(imagenet_labels.Config(workdir=str(tmp_path), steps=1)).metrics
    assert found["class"][:2] == [label(698), label(985)] == ["palace", "daisy"]


def test_a_preflight_says_that_nothing_is_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(imagenet_labels, "experiment", lambda config: None)
    imagenet_labels.experiment.__module__ = "experiments.imagenet_labels"
    with pytest.raises(SystemExit) as end:
        launch(imagenet_labels.experiment, imagenet_labels.Config, ["--preflight", "cpu:8", "--mesh", "data=8"])
    assert end.value.code == 2
    assert "trains nothing that a pre-flight could look at" in capsys.readouterr().err
