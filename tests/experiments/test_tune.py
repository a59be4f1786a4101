"""Tuning: a few members of a few steps, a short search that learns, and one that is killed."""

import logging
import re

import jax
import pytest

from experiments import tune
from jnn.sweep import LogUniform, Structure, Uniform
from tests.experiments.shortened import flown, resumed

ONE = {"depth": Structure(1), "width": Structure(4), "batch_size": Structure(32)}
NUMBERS = {"learning_rate": LogUniform(1e-4, 1e-1), "dropout": Uniform(0.0, 0.6)}


@pytest.mark.parametrize("plan", ["asha", pytest.param("halving", marks=pytest.mark.slow)])
def test_a_search_of_a_step_or_two(tmp_path, monkeypatch, plan):
    monkeypatch.setattr(tune, "SPACE", NUMBERS | ONE)
    monkeypatch.setattr(tune, "DEFAULT", tune.DEFAULT | {"width": 4})
    monkeypatch.setattr(tune, "winner", lambda config, task, values: ({}, []))
    outcome = tune.experiment(tune.Config(steps=8, workdir=str(tmp_path), plan=plan, members=4, top=2, seeds=2))
    assert 0 < outcome.metrics["member_steps"] < 4 * 8
    assert 0 <= outcome.metrics["test_accuracy"] <= 1
    assert len(outcome.figures) >= 3


@pytest.mark.slow
def test_a_shortened_search_learns_and_compiles_no_program_twice(tmp_path, caplog):
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcome = tune.experiment(tune.Config(steps=160, workdir=str(tmp_path), members=32, seeds=4))
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    # begin, train and evaluate, of eight structures; the test has other rows, and is read by the best and the default
    assert 3 * 8 < compiled.count("over") <= 3 * 8 + 2
    assert outcome.metrics["test_accuracy"] > 0.9
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path):
    asked("experiments.tune", tmp_path, ["--steps", "16", "--members", "8", "--seeds", "2"])
