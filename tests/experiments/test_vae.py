"""Variational autoencoders, tiny: the bound is tighter with more draws, and shortened runs learn and go on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import vae, vqvae
from jnn.models import vae_spec
from jnn.train import Context
from tests.experiments import made_images
from tests.experiments.shortened import flown, resumed

VAE = ["--steps", "80", "--hidden", "32", "--latent", "4", "--samples", "8"]
VQVAE = ["--steps", "40", "--prior-steps", "20", "--width", "8", "--codes", "16", "--latent", "4", "--embed", "16"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return made_images.write(tmp_path_factory.mktemp("data"))


def test_more_draws_of_a_code_bound_the_likelihood_from_nearer():
    p = jnn.init(vae_spec((784, 16, 2)), jax.random.key(0))
    batch = {"x": jnp.full((4, 784), 0.3), "weight": jnp.ones(4)}
    ctx = Context(key=None, draw=jax.random.key(1), step=jnp.int32(0))
    nearer = vae.importance_weighted_loss(p, batch, ctx, 64).values.mean()
    drawn = jax.jit(jax.vmap(lambda key: vae.importance_weighted_loss(p, batch, ctx._replace(draw=key), 1).values))
    exact = jax.jit(jax.vmap(lambda key: vae.elbo_loss(p, batch, ctx._replace(draw=key)).values))
    keys = jax.random.split(jax.random.key(2), 400)
    np.testing.assert_allclose(drawn(keys).mean(), exact(keys).mean(), rtol=5e-3)  # of one draw it is the ELBO
    assert nearer < exact(keys).mean()


def test_words_are_behind_their_class_and_decode_to_images():
    config = vqvae.Config(width=4, codes=8, latent=3)
    p = jnn.init(vqvae.network_spec(config), jax.random.key(0))
    part = {"x": np.zeros((3, 784), np.float32), "y": np.arange(3)}
    rows = vqvae.written(p, part, config)["x"]
    assert rows.shape == (3, 1 + vqvae.WORDS)
    np.testing.assert_array_equal(rows[:, 0], [8, 9, 10])
    assert (rows[:, 1:] < 8).all()
    values = p["codebook"]["table"][rows[:, 1:]].reshape(3, vqvae.GRID, vqvae.GRID, 3)
    assert vqvae.decoded(p, values).shape == (3, 784)


@pytest.mark.slow
def test_a_shortened_vae_learns(tmp_path, data_dir):
    config = vae.Config(
        workdir=str(tmp_path), data_dir=data_dir, steps=400, hidden=(32,), latent=4, samples=8, batch_size=40
    )
    outcome = vae.experiment(config)
    assert outcome.history[-1]["train/loss"] < 0.6 * 0.69 * 784  # a coin for each pixel has 0.69
    assert outcome.metrics["test_importance_weighted_elbo"] > outcome.metrics["test_elbo"] > -0.69 * 784
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
def test_a_shortened_vqvae_learns_words_and_writes_them(tmp_path, data_dir):
    sizes = {"steps": 200, "prior_steps": 100, "width": 8, "codes": 16, "latent": 4, "embed": 16}
    outcome = vqvae.experiment(vqvae.Config(workdir=str(tmp_path), data_dir=data_dir, **sizes))
    metrics = outcome.metrics
    assert metrics["test_nll"] < 0.69 * 784
    assert metrics["test_words_nll"] < metrics["test_words_nll_uniform"]
    assert 1 < metrics["codebook_perplexity"] <= 16
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize(("module", "options"), [("vae", VAE), ("vqvae", VQVAE)], ids=["vae", "vqvae"])
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(module, options, asked, tmp_path, data_dir):
    asked(f"experiments.{module}", tmp_path, [*options, "--data-dir", data_dir, "--batch-size", "16"])
