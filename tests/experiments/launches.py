"""Experiments that train the tiny model, or nothing; and launches of them, here or in processes of their own."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import training
from experiments.harness import Outcome, launch
from experiments.options import Common
from jnn import data
from jnn.data import Batches
from tests.train import tiny

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Options of the experiment below."""

    steps: int = 40
    workdir: str = "runs/tiny"
    learning_rate: float = 0.1
    batch_size: int = 8


def experiment(config: Config) -> Outcome:
    """Trains the tiny model."""
    batches = Batches(tiny.arrays(), config.batch_size, seed=config.seed)
    state, history = training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
    metrics = {"loss": history[-1]["train/loss"], "tiny": 1.23456789e-9, "rate": config.learning_rate}
    return Outcome(state.params, metrics, history, {"Nothing.": Figure})


def run(capsys, folder, *options, experiment=experiment):
    """Standard output, standard error, and the last line as JSON."""
    launch(experiment, Config, ["--workdir", str(folder), *options])
    out, err = capsys.readouterr()
    return out, err, json.loads(out.splitlines()[-1])


def refused(capsys, code, folder, *options, experiment=experiment):
    """The one line that a launch which ends with this code says."""
    with pytest.raises(SystemExit) as exit:
        run(capsys, folder, *options, experiment=experiment)
    assert exit.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    return err


def needs_files(config: Config) -> Outcome:
    """Asks for files that are not there."""
    data.mnist(config.data_dir)
    raise AssertionError("found them")


def terminated(config: Config) -> Outcome:
    """The experiment above, to which SIGTERM comes at step 17."""
    batches = tiny.Signalled("SIGTERM", 17, seed=config.seed)
    training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
    raise AssertionError("not ended")


def quick(metrics=None, history=(), figures=None, before=lambda: None):
    """An experiment that trains nothing."""

    def experiment(config):
        before()
        return Outcome({"w": np.ones(2)}, metrics or {"loss": 0.5}, list(history), figures or {})

    return experiment
