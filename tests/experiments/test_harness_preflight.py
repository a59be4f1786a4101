"""A launch that is a pre-flight: the devices that it asks for, the length that it bills, what it refuses."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import flight, training
from experiments.options import Preflight
from jnn.data import Batches, Windows
from tests.experiments.launches import ROOT, Config, needs_files, refused
from tests.train import tiny

jax.devices()  # those that all tests share: a pre-flight in a process that has none yet makes its own


def test_a_pre_flight_without_its_data_is_one_line(tmp_path, capsys):
    options = ["--preflight", "cpu:1", "--data-dir", str(tmp_path / "nothing")]
    assert str(tmp_path / "nothing") in refused(capsys, 1, tmp_path / "run", *options, experiment=needs_files)
    assert not (tmp_path / "run").exists()


def test_a_machine_with_too_few_devices_is_one_line(tmp_path, capsys):
    assert "cpu:16 needs 16 devices, this process has 8" in refused(capsys, 1, tmp_path, "--preflight", "cpu:16")


def test_the_length_that_a_pre_flight_bills(tmp_path, monkeypatch):
    billed = []
    monkeypatch.setattr(flight, "main", lambda *args, steps, **wanted: billed.append(steps) or 0)
    tokens = {"x": np.zeros((30, 5), np.int32), "y": np.zeros((30, 5), np.int32)}
    batches = Batches(tokens, 8, seed=0)  # 40 tokens a step, 4 steps an epoch
    for option in ({}, {"tokens": 100.0}, {"epochs": 2.5}):
        config = Config(workdir=str(tmp_path), preflight=Preflight("cpu:8", **option))
        with pytest.raises(SystemExit) as exit:
            training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
        assert exit.value.code == 0
    assert billed == [40, 2.5, 10.0]


def test_epochs_of_a_stream_are_refused(tmp_path, capsys):
    def streamed(config):
        windows = Windows(np.arange(99), 4, 8, seed=0)
        training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, windows, every=10)

    message = refused(capsys, 2, tmp_path, "--preflight", "cpu:8", "--preflight.epochs", "2", experiment=streamed)
    assert "--preflight.epochs: Windows is a stream that has none. Give --steps or --preflight.tokens." in message


@pytest.mark.parametrize(("variable", "value"), [("XLA_FLAGS", ""), ("JAX_NUM_CPU_DEVICES", "2")])
def test_a_pre_flight_has_the_cpus_that_it_asks_for(tmp_path, variable, value):
    """In a process of its own, whose JAX has one device, or two, unless it is told otherwise before it looks."""
    program = "from tests.experiments.launches import *; launch(experiment, Config)"
    command = [sys.executable, "-c", program, "--workdir", str(tmp_path / "run"), "--preflight", "cpu:4"]
    environ = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"} | {variable: value}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cpu:4: 4 chips, 4 devices, 1 host; data=4\n")
