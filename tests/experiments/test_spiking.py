"""Spiking networks: what becomes spikes, what they cost, and runs that learn and go on."""

import logging
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import spikes, spiking
from jnn.train import Context
from tests.experiments import made_images
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

TINY = ["--steps", "40", "--hidden", "8", "--length", "3", "--batch-size", "16"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return made_images.write(tmp_path_factory.mktemp("data"), names=("mnist",))


def test_a_tone_is_heard_in_its_band_and_silence_in_none():
    seconds = np.arange(4000) / spikes.RATE
    waves = np.stack([np.sin(2 * np.pi * f * seconds) for f in (300, 1000, 3000)]).astype(np.float32)
    rates = np.asarray(spikes.cochlea(jnp.asarray(np.pad(waves, ((0, 0), (0, 2000)))), 60))
    assert rates.shape == (3, 60, spikes.BANDS)
    assert rates.min() >= 0
    assert rates.max() == pytest.approx(1)
    loudest = rates[:, 20].argmax(-1)
    assert (np.diff(loudest) > 5).all()
    assert (rates[:, 50:] == 0).all()


def test_spikes_come_as_often_as_the_rates_say():
    rates = jnp.array([[0.0, 0.25, 1.0]])
    found = spiking.encode(rates, 2000, jax.random.key(0))
    assert found.shape == (1, 2000, 3)
    np.testing.assert_allclose(found.mean(1), rates, atol=0.03)
    changing = spiking.encode(jnp.array([[[1.0, 0.0], [0.0, 1.0]]]), 2, jax.random.key(0))
    np.testing.assert_array_equal(changing[0], np.eye(2))


@pytest.mark.parametrize(("recurrent", "fan_out"), [(False, 2), (True, 5)])
def test_energy_is_counted_synapse_by_synapse(recurrent, fan_out):
    found = spikes.energy(np.array([[4.0, 7.0], [0.0, 1.0]]), (10, 3, 2), recurrent=recurrent, frames=2)
    np.testing.assert_array_equal(found.additions, [4 * 3, 7 * 3 + fan_out])
    np.testing.assert_allclose(found.spiking, 0.9e-12 * found.additions + 4.6e-12 * np.array([5, 10]))
    assert found.dense == pytest.approx(4.6e-12 * 2 * (10 * 3 + 3 * fan_out))


@pytest.mark.parametrize("recurrent", ["yes", "no"])
def test_the_price_of_spikes_lowers_them(recurrent):
    """Its gradient; and what is measured step by step ends with what the loss measures."""
    config = spiking.Config(hidden=5, length=4, recurrent=recurrent, sparsity=1.0)
    params = jnn.init(spiking.network_spec(config, 6), jax.random.key(0))
    batch = {"x": jnp.full((3, 6), 0.5), "y": jnp.arange(3), "weight": jnp.ones(3)}
    ctx = Context(key=None, draw=jax.random.key(1), step=jnp.int32(0))
    values = lambda p, price: spiking.loss(p, batch, ctx, spiking.Config(**(vars(config) | {"sparsity": price}))).values
    price = jax.jit(jax.grad(lambda p: jnp.sum(values(p, 1.0) - values(p, 0.0))))(params)
    assert (price["hidden"]["input"]["b"] > 0).all()
    assert not np.any(price["readout"]["input"]["w"])
    right, counts = spiking.measure(params, {"x": np.full((3, 6), 0.5, np.float32), "y": np.arange(3)}, config)
    assert right.shape == (4,)
    assert counts.shape == (2, 4)
    assert (np.diff(counts) >= 0).all()


@pytest.mark.slow
def test_a_shortened_run_learns_and_compiles_no_program_twice(tmp_path, data_dir, caplog):
    config = spiking.Config(workdir=str(tmp_path), data_dir=data_dir, steps=60, hidden=32, length=6, batch_size=40)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcome = spiking.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert [compiled.count(program) for program in ("sharded", "evaluate", "of")] == [1, 1, 1]
    assert outcome.history[-1]["val/loss"] < np.log(10) / 2
    assert outcome.metrics["test_accuracy"] > 0.8
    assert 0 < outcome.metrics["nanojoules_spiking"] < outcome.metrics["nanojoules_dense"]
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
def test_real_recordings_are_told_apart_better_than_by_chance(tmp_path):
    needs("free_spoken_digits")
    how = {"dataset": "spoken_digits", "recurrent": "yes", "length": 48, "hidden": 64, "steps": 60}
    outcome = spiking.experiment(spiking.Config(workdir=str(tmp_path), **how))
    assert outcome.metrics["test_accuracy"] > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path, data_dir):
    asked("experiments.spiking", tmp_path, [*TINY, "--data-dir", data_dir])
