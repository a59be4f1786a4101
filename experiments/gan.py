"""Generative adversarial networks: DCGAN and WGAN-GP, two networks and two optimizers in one step.

Data      Fashion-MNIST or MNIST (see `mnist`), 28x28 in a frame of two pixels, in -1..1.
Network   DCGAN ("Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
          Radford, Metz and Chintala, 2015) for 32x32: a generator of 100 numbers and 64-32-16 channels, a discriminator
          of 16-32-64. WGAN-GP's ("Improved Training of Wasserstein GANs", Gulrajani et al., 2017) has no batch norm.
Training  Adam 5e-4, beta1 0.5. DCGAN: an update of each on 64 images, 2,500 steps. WGAN-GP: five of the discriminator,
          on 64 other images each, for one of the generator.
Measures  the Fréchet distance of 500 samples from the test images by the features of `frechet`, beside that of 500
          other real ones. A generator samples with the running statistics of its batch norms.
Run       python -m experiments.gan
          python -m experiments.gan --objective wgan_gp --steps 700 --batch-size 320
Measured  Fashion-MNIST: DCGAN 6.7+-1.2, other real images 1.3+-0.4 (five seeds); in PyTorch 6.6+-1.0.
          WGAN-GP 24.7 after as much time (one seed): MISSED. All samples' classes are ten. One CPU core, 132 s, 84 s in
          PyTorch, 176 s for WGAN-GP.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures
from experiments.frechet import make_judge
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.refusals import refuse
from experiments.training import train_networks
from jnn import losses, models
from jnn.data import Batches
from jnn.launch import USAGE
from jnn.models import dcgan_discriminator, dcgan_generator
from jnn.train import LossOutput, create_state, update

SIDE, FRAME = 28, 2
PENALTY = 10.0  # lambda in WGAN-GP


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Generative adversarial networks."""

    steps: int = 2500
    workdir: str = "runs/gan"
    dataset: Literal["mnist", "fashion_mnist"] = "fashion_mnist"
    objective: Literal["dcgan", "wgan_gp"] = "dcgan"
    batch_size: int = 64
    learning_rate: float = 5e-4
    latent: int = 100
    widths: tuple[int, int, int] = (16, 32, 64)
    samples: int = 500
    judge_steps: int = 800

    @property
    def critics(self) -> int:
        """Updates of the discriminator for one of the generator."""
        return 5 if self.objective == "wgan_gp" else 1


def network_specs(config: Config) -> dict[str, Any]:
    """Declares both."""
    discriminator = models.dcgan_discriminator_spec(config.widths, channels=1)
    if config.objective == "wgan_gp":  # whose penalty is of each example by itself
        discriminator = {name: {"conv": layer["conv"]} for name, layer in discriminator.items()}
    generator = models.dcgan_generator_spec(config.latent, config.widths[::-1], channels=1)
    return {"discriminator": discriminator, "generator": generator}


def framed(x: jax.Array) -> jax.Array:
    """Greys (b, 784) in 0..1 to images (b, 32, 32, 1) in -1..1."""
    sides = ((0, 0), (FRAME, FRAME), (FRAME, FRAME), (0, 0))
    return jnp.pad(2 * x.reshape(-1, SIDE, SIDE, 1) - 1, sides, constant_values=-1)


def fakes(p: dict, batch: dict, ctx: Any, config: Config) -> tuple[jax.Array, dict]:
    """As many images of a generator as a batch has, and the statistics of its batch norms."""
    z = jax.random.normal(jnn.path_key(ctx.draw, "latent"), (len(batch["x"]), config.latent))
    return dcgan_generator(p, z, weight=batch["weight"])


def discriminator_loss(params, batch, ctx, config: Config) -> LossOutput:
    """Of telling real images from those of the generator, which is given."""
    weight, real = batch["weight"], framed(batch["x"])
    judged = lambda x: dcgan_discriminator(params, x, weight=weight)[0]
    made = fakes(ctx.given, batch, ctx, config)[0]
    yes, no = judged(real), judged(made)
    metrics = {"real": jnn.metrics.mean(yes, weight), "fake": jnn.metrics.mean(no, weight)}
    if config.objective == "dcgan":
        return LossOutput(losses.gan_discriminator_loss(yes, no), weight, metrics=metrics)
    penalty = losses.wgan_gradient_penalty(judged, real, made, key=jnn.path_key(ctx.draw, "between"))
    return LossOutput(losses.wasserstein_discriminator_loss(yes, no) + PENALTY * penalty, weight, metrics=metrics)


def generator_loss(params, batch, ctx, config: Config) -> LossOutput:
    """Of being taken for real by the discriminator, which is given."""
    made, seen = fakes(params, batch, ctx, config)
    score = dcgan_discriminator(ctx.given, made, weight=batch["weight"])[0]
    values = losses.gan_generator_loss if config.objective == "dcgan" else losses.wasserstein_generator_loss
    return LossOutput(values(score), batch["weight"], stats=seen)


def make_updates(config: Config):
    """The state of both networks at first, by a key; and one step of theirs."""
    specs, adam = network_specs(config), optax.adam(config.learning_rate, b1=0.5)
    noise = jnn.path_key(jax.random.key(config.seed), "noise")
    by = {name: jnn.path_key(noise, name) for name in specs}
    one, other = (partial(loss, config=config) for loss in (discriminator_loss, generator_loss))

    def begin(key: jax.Array) -> dict[str, Any]:
        stats = {"discriminator": None, "generator": jnn.init(models.batch_stats_spec(specs["generator"]), key)}
        drawn = {name: jnn.init(spec, jnn.path_key(key, name)) for name, spec in specs.items()}
        states = {name: create_state(params, adam, stats=stats[name]) for name, params in drawn.items()}
        return {"step": jnp.int32(0), **states}

    def updates(state: dict[str, Any], batch: dict, **how: Any) -> tuple[dict[str, Any], dict]:
        """The discriminator on each part of the batch, then the generator against it."""
        discriminator, generator, n = state["discriminator"], state["generator"], config.critics
        for i in range(n):  # no scan: in a loop, XLA's convolutions take eight times as long on a CPU
            part = jax.tree.map(lambda x, i=i: x[i::n], batch)
            how |= {"given": generator.params}
            discriminator, told = update(one, adam, discriminator, part, by["discriminator"], **how)
        how |= {"given": discriminator.params}
        generator, made = update(other, adam, generator, part, by["generator"], **how)
        metrics = {f"discriminator/{name}": told[name] for name in ("loss", "real", "fake")}
        metrics["generator/loss"] = made["loss"]
        return {"step": state["step"] + 1, "discriminator": discriminator, "generator": generator}, metrics

    return begin, updates


def experiment(config: Config) -> Outcome:
    """Trains both, and judges what the generator makes."""
    if config.batch_size % config.critics:
        parts = f"a multiple of {config.critics}, the updates of a discriminator for one of the generator"
        refuse(f"--batch-size: expected {parts}, found {config.batch_size}.", USAGE)
    data, (begin, updates) = datasets.mnist(config.data_dir, config.dataset), make_updates(config)
    batches = Batches(data.train, config.batch_size, seed=config.seed, drop_last=True)
    state, history = train_networks(config, network_specs(config), updates, begin, batches, every=100)
    judge, generator = make_judge(config, data), state["generator"]

    @jax.jit
    def make(z: jax.Array) -> jax.Array:
        images, _ = dcgan_generator(generator.params, z, generator.stats)
        return (images[:, FRAME:-FRAME, FRAME:-FRAME, 0] + 1) / 2

    z = jax.random.normal(jnn.path_key(jax.random.key(config.seed), "samples"), (config.samples, config.latent))
    images = np.asarray(make(z))
    metrics = {
        "frechet": judge.distance(images),
        "frechet_real": judge.real,
        "classes_used": len(np.unique(judge.classes(images))),
        "classifier_accuracy": judge.accuracy,
    }
    params = {name: state[name].params for name in ("discriminator", "generator")}
    between = lambda: make(jnp.asarray(pictures.interpolated(np.asarray(z[:16]), 10)))
    figures = {
        "Samples.": lambda: pictures.sheet(images[:100], 10),
        "From one sample to another.": lambda: pictures.sheet(np.asarray(between()), 10),
    }
    return Outcome(params, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
