"""Diffusion and flow matching, tiny: losses and samplers; shortened runs learn, go on and are planned; the peer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from experiments import datasets, diffusion, frechet
from experiments.peers import torch_diffusion
from jnn.interop.torch import load_state_dict
from jnn.train import Context
from tests.experiments import made_images
from tests.experiments.shortened import flown, resumed

TINY = ["--steps", "20", "--widths", "8", "8", "--batch-size", "16", "--judge-steps", "20", "--samples", "20"]
TINY += ["--evaluations", "4", "--guidance", "2"]
OBJECTIVES = pytest.mark.parametrize("objective", ["diffusion", "flow"])
COUNTED = 4


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return made_images.write(tmp_path_factory.mktemp("data"), names=("fashion_mnist",))


@pytest.mark.parametrize("objective", ["diffusion", pytest.param("flow", marks=pytest.mark.slow)])
def test_at_first_nothing_is_predicted_which_misses_by_the_targets_square(objective):
    """The last convolution begins at 0; v and the velocity of a black image are noise, and -1 by a share."""
    config = diffusion.Config(widths=(8,), objective=objective)
    p = jnn.init(diffusion.network_spec(config), jax.random.key(0))
    batch = {"x": jnp.zeros((8, 784)), "y": jnp.arange(8), "weight": jnp.ones(8)}
    ctx = Context(key=None, draw=jax.random.key(1), step=jnp.int32(0))
    values = jax.jit(lambda p, batch: diffusion.make_loss(config)(p, batch, ctx).values)(p, batch)
    expected = 2.0 if objective == "flow" else 1.0  # noise + 1 at any time; signal * noise + spread
    np.testing.assert_allclose(values, expected, atol=0.25)


@OBJECTIVES
def test_samplers_ask_as_often_as_is_said_and_find_what_is_certain(objective):
    config, asked = diffusion.Config(objective=objective, evaluations=COUNTED), []

    def f(x, now):
        """Of data that are all 0.5: the velocity, or v."""
        jax.debug.callback(lambda: asked.append(1))
        if objective == "flow":
            return (0.5 - x) / (1 - now)
        return (jnp.sqrt(now) * x - 0.5) / jnp.sqrt(1 - now)

    for sampler in diffusion.make_samplers(config).values():
        asked.clear()
        found = sampler(f, jax.random.normal(jax.random.key(0), (2, 3)), jax.random.key(1))
        jax.effects_barrier()
        assert COUNTED - 1 <= len(asked) <= COUNTED
        np.testing.assert_allclose(found, 0.5, atol=1e-2)


def test_moments_of_parts_are_those_of_the_whole_and_images_are_nearest_to_themselves():
    params = jnn.init(frechet.classifier_spec(), jax.random.key(0))
    x = np.random.default_rng(0).uniform(size=(70, 784)).astype(np.float32)
    own = frechet.moments(params, x)
    features = np.asarray(frechet.features(params, jnp.asarray(x)))
    np.testing.assert_allclose(own.mean(), features.mean(0), rtol=1e-5)
    judge = frechet.Judge(params, 0.0, own, 0.0)
    assert judge.distance(x) == pytest.approx(0.0, abs=1e-6)
    assert judge.distance(x.reshape(-1, 28, 28) / 2) > judge.distance(x.clip(0.05)) > 0
    assert judge.classes(x).shape == (70,)


@pytest.mark.slow
@OBJECTIVES
def test_a_shortened_run_gets_nearer_to_real_images(objective, tmp_path, data_dir):
    sizes = {"widths": (16, 16), "samples": 40, "evaluations": 8, "guidance": (2.0,), "judge_steps": 60}
    config = diffusion.Config(workdir=str(tmp_path / "long"), data_dir=data_dir, objective=objective, **sizes)
    long, short = (
        diffusion.experiment(dataclasses.replace(config, steps=steps, workdir=str(tmp_path / str(steps))))
        for steps in (200, 1)
    )
    first = "euler" if objective == "flow" else "ddim"
    assert long.metrics[f"frechet_{first}"] < 0.8 * short.metrics[f"frechet_{first}"]
    assert long.history[-1]["train/loss"] < 0.7
    for draw in long.figures.values():
        draw()


@pytest.mark.slow
@OBJECTIVES
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(objective, asked, tmp_path, data_dir):
    asked("experiments.diffusion", tmp_path, [*TINY, "--objective", objective, "--data-dir", data_dir])


@pytest.mark.slow
def test_the_peer_computes_what_jnn_does():
    torch.manual_seed(0)
    peer, spec = torch_diffusion.Denoiser((8, 16)).eval(), diffusion.network_spec(diffusion.Config(widths=(8, 16)))
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    unet = load_state_dict(without_key_bias(spec["unet"]), peer.unet.state_dict())
    picture = peer.classes.weight.detach().numpy()
    x, t, label = (
        np.random.default_rng(0).normal(size=(3, 28, 28, 1)),
        np.array([0.0, 500.5, 999.0]),
        np.array([0, 7, 10]),
    )
    with torch.no_grad():
        rows = torch.tensor(np.moveaxis(x, -1, 1), dtype=torch.float32)
        theirs = peer(rows, torch.tensor(t, dtype=torch.float32), torch.tensor(label))
    p = {"unet": unet, "class": {"table": jnp.asarray(picture)}}
    ours = diffusion.network(p, jnp.asarray(x, jnp.float32), jnp.asarray(t, jnp.float32), jnp.asarray(label))
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), atol=5e-5)


@pytest.mark.slow
def test_the_peer_learns(data_dir):
    config = diffusion.Config(steps=3, widths=(8, 8), batch_size=16, samples=4, evaluations=3)
    network = torch_diffusion.train(config, datasets.mnist(data_dir, "fashion_mnist").train)
    images = torch_diffusion.sample(network, torch.arange(4), config)
    assert images.shape == (4, 1, 28, 28)
    assert (images >= 0).all()


def without_key_bias(spec):
    """As the peer's attention is."""
    if not isinstance(spec, dict):
        return spec
    return {name: {"w": part["w"]} if name == "k" else without_key_bias(part) for name, part in spec.items()}
