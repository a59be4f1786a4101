"""Circuits that classify: states and gradients found in two ways, known variances, runs that learn and go on."""

import logging
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import circuits, datasets, quantum
from tests.experiments.shortened import flown, resumed

SMALL = {"restarts": 2, "layers": 2, "qubits": 3, "depth": 4, "samples": 50, "steps_per_call": 2}
TINY = [text for name, value in SMALL.items() for text in (f"--{name.replace('_', '-')}", f"{value}")]


def test_the_state_is_numpys_and_the_gradient_that_of_shifted_angles():
    angles, first = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 3, 3), (8,)]))
    found = circuits.differences(angles, first / jnp.linalg.norm(first) + 0j)
    assert max(found.values()) < 1e-5
    wrong = circuits.numpy_state(np.asarray(angles)[::-1], np.asarray(first))
    assert np.abs(wrong - circuits.numpy_state(np.asarray(angles), np.asarray(first))).max() > 0.1


def test_behind_one_layer_the_variance_is_a_quarter():
    """There Z is cos(RX) cos(RY): the derivative is -cos a sin b, whose square is a quarter on average; deeper less."""
    found = circuits.gradient_variances([2, 5], 12, 2000, jax.random.key(0))
    assert found.shape == (2, 12)
    np.testing.assert_allclose(found[:, 0], 0.25, rtol=0.1)
    assert found[1, -1] < 0.4 * found[0, -1] < 0.1


def test_a_decay_is_found_again():
    assert circuits.decay([2, 3, 5], 3 * 2.0 ** (-1.5 * np.array([2, 3, 5]))) == pytest.approx((-1.5, np.log2(3)))


@pytest.mark.parametrize(("qubits", "variances"), [([2], [0.1]), ([2, 3], [0.0, 0.0])])
def test_one_size_and_no_variance_have_no_decay(qubits, variances):
    assert circuits.decay(qubits, np.array(variances)) is None


@pytest.mark.parametrize("what", quantum.TASKS)
def test_networks_have_about_as_many_parameters(what):
    config, task = quantum.Config(), quantum.TASKS[what]
    counts = [jnn.count_params(quantum.network_spec(config, task, name)) for name in quantum.NETWORKS]
    assert max(counts) - min(counts) <= (task.features + task.classes + 1) / 2


def test_a_step_of_a_stack_is_one_of_each_network():
    config, task = quantum.Config(restarts=2, layers=1), quantum.TASKS["moons"]
    spec = jnn.stack(quantum.network_spec(config, task, "reuploading"), 2, "restarts")
    params, test = jnn.init(spec, jax.random.key(0)), datasets.moons().test
    batch = {"x": test["x"][:4], "y": test["y"][:4], "weight": np.ones(4, np.float32)}
    grad = jax.jit(jax.grad(lambda p: quantum.loss(p, batch, None, task, "reuploading").values.sum()))
    one = jax.tree.map(lambda w: w[1:], params)
    jax.tree.map(lambda both, alone: np.testing.assert_allclose(both[1:], alone, atol=1e-6), grad(params), grad(one))


@pytest.mark.slow
def test_a_shortened_run_learns_and_compiles_no_program_twice(tmp_path, caplog):
    config = quantum.Config(workdir=str(tmp_path), steps=200, **(SMALL | {"layers": 4}))
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcome = quantum.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert [compiled.count(program) for program in ("sharded", "evaluate")] == [6, 6]  # of six networks
    assert all(outcome.metrics[f"accuracy_moons_{name}"] > 0.8 for name in quantum.NETWORKS)
    assert all(outcome.metrics[f"accuracy_digits_{name}"] > 0.3 for name in quantum.NETWORKS)
    assert max(outcome.metrics[f"{what}_difference"] for what in ("state", "gradient")) < 1e-5
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path):
    asked("experiments.quantum", tmp_path, [*TINY, "--steps", "40"])
