"""A normalizing flow: its log-determinant is the Jacobian's, its inverse undoes it; shortened runs learn and go on."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import flow
from experiments.likelihood import bits_per_dimension
from jnn.layers import affine_coupling_spec
from jnn.train import Context
from tests.experiments import made_images
from tests.experiments.shortened import flown, resumed

TINY = ["--steps", "40", "--hidden", "8", "--couplings", "2", "--batch-size", "16"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return made_images.write(tmp_path_factory.mktemp("data"), names=("mnist",))


@pytest.fixture(scope="module")
def params():
    """Of four couplings of ten pixels, far from where they begin."""
    drawn = jnn.init(jnn.stack(affine_coupling_spec(10, 7), 4), jax.random.key(0))
    return jax.tree.map(lambda w: w + 0.1 * jax.random.normal(jax.random.key(1), w.shape), drawn)


def test_the_log_determinant_is_the_jacobians(params):
    x = jax.random.uniform(jax.random.key(2), (3, 10))
    z, log_det = flow.flow(params, x)
    jacobians = jax.vmap(jax.jacfwd(lambda one: flow.flow(params, one[None])[0][0]))(x)
    assert z.shape == x.shape
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobians)[1], rtol=1e-4)


def test_the_inverse_undoes_it(params):
    x = jax.random.uniform(jax.random.key(2), (3, 10))
    np.testing.assert_allclose(flow.inverse(params, flow.flow(params, x)[0]), x, atol=1e-5)


def test_every_pixel_moves(params):
    """Of two couplings each half is moved once."""
    changed = jnp.zeros(10).at[0].set(0.2)
    for i in range(10):
        moved = flow.flow(params, (0.5 + jnp.roll(changed, i))[None])[0] - flow.flow(params, jnp.full((1, 10), 0.5))[0]
        assert (np.abs(moved) > 1e-4).sum() > 3


def test_a_flow_that_knows_nothing_costs_about_eight_bits():
    """Of a uniform density all 256 greys are as likely; here it is a logit's, of the couplings that do nothing."""
    p = jax.tree.map(lambda s: jnp.zeros(s.shape), jnn.stack(affine_coupling_spec(784, 3), 2))
    batch = {"x": jax.random.randint(jax.random.key(0), (64, 784), 0, 256) / 255, "weight": jnp.ones(64)}
    ctx = Context(key=None, draw=jax.random.key(1), step=jnp.int32(0))
    found = bits_per_dimension(float(flow.loss(p, batch, ctx).values.mean()), 784)
    grid = (np.arange(100_000) + 0.5) / 100_000
    kept = flow.EDGE + (1 - 2 * flow.EDGE) * grid
    density = np.exp(-0.5 * np.log(kept / (1 - kept)) ** 2) / math.sqrt(2 * math.pi) * (1 - 2 * flow.EDGE)
    assert found == pytest.approx(8 - np.log2(density / (kept * (1 - kept))).mean(), abs=0.01)


@pytest.mark.slow
def test_a_shortened_run_learns(tmp_path, data_dir):
    config = flow.Config(workdir=str(tmp_path), data_dir=data_dir, steps=200, hidden=32, couplings=4, batch_size=40)
    outcome = flow.experiment(config)
    assert outcome.metrics["test_bits_per_dimension"] < 6.5
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path, data_dir):
    asked("experiments.flow", tmp_path, [*TINY, "--data-dir", data_dir])
