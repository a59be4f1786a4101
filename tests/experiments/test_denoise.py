"""A denoising autoencoder, tiny: two steps, what it is told, and shortened runs that learn, go on and are planned."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from experiments import denoise
from jnn.models import batch_stats_spec, unet_spec
from jnn.train import create_state, make_step
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

OPTIONS = ["--widths", "2", "2", "--batch-size", "8", "--steps", "12"]


@pytest.fixture
def real():
    needs("cifar10")


def test_a_step_moves_the_network_and_measures_what_noise_is_left():
    config = denoise.Config(widths=(2, 2), noise=25.0)
    spec = unet_spec(config.widths, 3)
    state = create_state(
        jnn.init(spec, jax.random.key(0)), optax.adam(0.01), stats=jnn.init(batch_stats_spec(spec), jax.random.key(0))
    )
    x = np.random.default_rng(0).integers(100, 150, (4, 8, 8, 3), np.uint8)
    loss = lambda params, batch, ctx: denoise.loss(params, batch, ctx, config)
    after, metrics = make_step(loss, optax.adam(0.01), jax.random.key(1))(
        state, {"x": x, "weight": np.ones(4, np.float32)}
    )
    before = jnn.init(spec, jax.random.key(0))
    assert (after.params["out"]["w"] != before["out"]["w"]).any()
    left = float(metrics["loss"].value()) * (25 / 255) ** 2
    assert float(metrics["psnr"].value()) == pytest.approx(-10 * np.log10(left), abs=1.0)  # the mean of logarithms


def test_a_network_that_finds_nothing_leaves_the_noise():
    config = denoise.Config(widths=(2, 2))
    spec = unet_spec(config.widths, 3)
    p = jnn.init(spec, jax.random.key(0))
    p["out"] = jax.tree.map(jnp.zeros_like, p["out"])
    clean = np.full((50, 32, 32, 3), 0.5, np.float32)
    given = denoise.noisy(clean, config)
    np.testing.assert_array_equal(given, denoise.noisy(clean, config))
    found, _ = denoise.network(p, given, None, config)
    np.testing.assert_allclose(found, given)
    np.testing.assert_allclose(np.std(given - clean), 25 / 255, rtol=0.01)


@pytest.mark.slow
def test_a_shortened_run_takes_noise_away(tmp_path, real):
    outcome = denoise.experiment(denoise.Config(workdir=str(tmp_path), steps=400))
    found = outcome.metrics
    assert outcome.history[-1]["train/loss"] < 0.5 * outcome.history[0]["train/loss"] < 0.5
    assert found["test_network_psnr"] > found["test_noisy_psnr"] + 5
    assert found["test_filter_psnr"] > found["test_noisy_psnr"] + 5
    assert found["test_network_ssim"] > found["test_noisy_ssim"]
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path, real):
    asked("experiments.denoise", tmp_path, OPTIONS)
