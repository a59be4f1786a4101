"""A generator and its discriminator, tiny: one step of both, and shortened runs that learn, go on and are planned."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from experiments import datasets, gan
from experiments.harness import launch
from experiments.peers import torch_gan
from jnn.train import compile_step
from tests.experiments import made_images
from tests.experiments.shortened import flown, resumed

TINY = {"widths": (2, 2, 2), "latent": 3, "batch_size": 10}
OPTIONS = ["--widths", "4", "4", "4", "--latent", "8", "--judge-steps", "20", "--samples", "20"]
OBJECTIVES = pytest.mark.parametrize("objective", ["dcgan", "wgan_gp"])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return made_images.write(tmp_path_factory.mktemp("data"), names=("fashion_mnist",))


def batch(rows=10):
    x = np.random.default_rng(0).uniform(size=(rows, 784)).astype(np.float32)
    return {"x": x, "weight": np.ones(rows, np.float32)}


@pytest.mark.parametrize("objective", ["dcgan", pytest.param("wgan_gp", marks=pytest.mark.slow)])
def test_a_step_is_an_update_of_the_generator_and_one_or_five_of_the_discriminator(objective):
    config = gan.Config(objective=objective, **TINY)
    begin, updates = gan.make_updates(config)
    before = begin(jax.random.key(0))
    after, metrics = compile_step(updates)(begin(jax.random.key(0)), batch())
    assert [int(after["step"]), int(after["generator"].step)] == [1, 1]
    assert int(after["discriminator"].step) == config.critics
    for name in ("generator", "discriminator"):
        old, new = (jnn.flatten(state[name].params) for state in (before, after))
        assert all((new[path] != old[path]).any() for path in old if path.endswith("w"))
    assert set(metrics) == {*(f"discriminator/{name}" for name in ("loss", "real", "fake")), "generator/loss"}
    assert all(jnp.isfinite(metric.value()) for metric in metrics.values())


def test_only_the_gans_discriminator_has_batch_norms():
    with_, without = (gan.network_specs(gan.Config(objective=name))["discriminator"] for name in ("dcgan", "wgan_gp"))
    assert {name for name, layer in with_.items() if "norm" in layer} == {"layer2", "layer3"}
    assert not any("norm" in layer for layer in without.values())


def test_images_are_framed_in_black():
    framed = gan.framed(jnp.ones((2, 784)))
    assert framed.shape == (2, 32, 32, 1)
    assert (framed[:, 2:-2, 2:-2] == 1).all()
    assert float(framed.sum()) == 2 * (784 - (1024 - 784))


def test_a_batch_that_the_critics_cannot_share_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        launch(gan.experiment, gan.Config, ["--objective", "wgan_gp", "--workdir", str(tmp_path / "run")])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "error: --batch-size: expected a multiple of 5, the updates of a discriminator for one of the generator, "
        "found 64.\n"
    )


def test_the_peer_computes_what_jnn_does():
    """Both networks, with the statistics of the batch."""
    config = gan.Config(widths=(2, 3, 4), latent=5)
    torch.manual_seed(0)
    make, judge = torch_gan.generator(config), torch_gan.discriminator(config)
    z = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    with torch.no_grad():
        theirs = make(torch.from_numpy(z)[:, :, None, None])
        logits = judge(theirs)[:, 0, 0, 0]
    generator, discriminator = (
        in_jnn(network, axes) for network, axes in ((make, (2, 3, 0, 1)), (judge, (2, 3, 1, 0)))
    )
    images, _ = gan.dcgan_generator(generator, jnp.asarray(z))
    np.testing.assert_allclose(images, np.moveaxis(theirs.numpy(), 1, -1), atol=1e-5)
    np.testing.assert_allclose(gan.dcgan_discriminator(discriminator, images)[0], logits, atol=1e-5)


def in_jnn(network, axes):
    """A peer's parameters by jnn's names, weights with these axes."""
    params, layer = {}, 0
    for part in network:
        if isinstance(part, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer += 1
            params[f"layer{layer}"] = {"conv": {"w": jnp.asarray(part.weight.detach().numpy().transpose(axes))}}
        elif isinstance(part, torch.nn.BatchNorm2d):
            scale, bias = (jnp.asarray(x.detach().numpy()) for x in (part.weight, part.bias))
            params[f"layer{layer}"]["norm"] = {"scale": scale, "bias": bias}
    return params


@pytest.mark.slow
def test_the_peer_learns(data_dir):
    data = datasets.mnist(data_dir, "fashion_mnist").train
    config = gan.Config(widths=(2, 2, 2), latent=3, batch_size=8, steps=2)
    make = torch_gan.train(config, data).eval()
    assert make(torch.zeros(2, 3, 1, 1)).shape == (2, 1, 32, 32)


@pytest.mark.slow
@OBJECTIVES
def test_a_shortened_run_gets_nearer_to_real_images(objective, tmp_path, data_dir):
    sizes = {"widths": (8, 8, 8), "latent": 8, "batch_size": 40, "samples": 40, "judge_steps": 60}
    config = gan.Config(workdir=str(tmp_path / "long"), data_dir=data_dir, objective=objective, steps=150, **sizes)
    outcome = gan.experiment(config)
    short = gan.experiment(dataclasses.replace(config, steps=1, workdir=str(tmp_path / "short")))
    assert outcome.metrics["frechet"] < 0.8 * short.metrics["frechet"]
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@OBJECTIVES
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(objective, asked, tmp_path, data_dir):
    options = [*OPTIONS, "--objective", objective, "--steps", "30", "--batch-size", "40", "--data-dir", data_dir]
    asked("experiments.gan", tmp_path, options)
