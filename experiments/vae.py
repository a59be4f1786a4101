"""Variational autoencoder of black and white digits, and how likely it finds others that it has not seen.

Data      MNIST or Fashion-MNIST, 28x28 (see `mnist`); a fifth of the training set validates. Each pixel is drawn black
          or white with its grey as the probability, anew each time, as in "Importance Weighted Autoencoders", Burda,
          Grosse and Salakhutdinov, 2015.
Network   784-500-50 latents-500-784, ReLU ("Auto-Encoding Variational Bayes", Kingma and Welling, 2013); minus the
          evidence lower bound (ELBO), one draw of the code an image.
Training  Adam 2e-3 along a cosine to 0, batches of 100, 16,000 steps.
Run       python -m experiments.vae [--latent 2 | --dataset fashion_mnist]
Measured  MNIST, one seed, on the test images: ELBO -97.5 nats (67.3 to decode, 30.2 to encode); with 200 draws of the
          code -92.7 nats, 0.171 bits a pixel. Burda et al. give -86.8 for two layers of 200 by 5,000 draws, after
          3,280 epochs where these are 33. --latent 2 --steps 8000 --samples 50: ELBO -151.5, bound -149.4. One busy
          CPU core: 110 and 42 seconds of processor time.
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
from experiments.harness import Outcome, launch
from experiments.likelihood import binarize, bits_per_dimension, pixel_nll
from experiments.mnist import CLASSES
from experiments.options import Common
from experiments.training import evaluate, train
from jnn.data import Batches, in_order
from jnn.losses import gaussian_nll, importance_weighted_elbo_loss, negative_elbo, standard_gaussian_kl
from jnn.models import mlp, reparametrize, vae, vae_spec
from jnn.train import LossOutput

PIXELS, SIDE = 784, 28
perceptron = partial(mlp, key=None)


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Variational autoencoder of black and white digits."""

    steps: int = 16_000
    workdir: str = "runs/vae"
    dataset: Literal["mnist", "fashion_mnist"] = "mnist"
    batch_size: int = 100
    learning_rate: float = 2e-3
    hidden: tuple[int, ...] = (500,)
    latent: int = 50
    samples: int = 200  # of a test image's code, for the importance-weighted bound
    steps_per_call: int = 20


def elbo_loss(params, batch, ctx) -> LossOutput:
    """Minus the evidence lower bound of each image, in nats."""
    x = binarize(batch["x"], jnn.path_key(ctx.draw, "pixels"))
    code = jnn.path_key(ctx.draw, "code")
    logits, mean, log_scale = vae(params, x, key=code, encoder=perceptron, decoder=perceptron)
    nll, kl = pixel_nll(logits, x), standard_gaussian_kl(mean, log_scale)
    metrics = {"nll": jnn.metrics.mean(nll, batch["weight"]), "kl": jnn.metrics.mean(kl, batch["weight"])}
    return LossOutput(negative_elbo(nll, kl), batch["weight"], metrics=metrics)


def importance_weighted_loss(params, batch, ctx, samples: int) -> LossOutput:
    """Minus the importance-weighted bound of each image, of so many draws of its code, in nats."""
    x = binarize(batch["x"], jnn.path_key(ctx.draw, "pixels"))
    mean, log_scale = jnp.split(perceptron(params["encoder"], x), 2, -1)
    mean, log_scale, x = (jnp.repeat(a[:, None], samples, 1) for a in (mean, log_scale, x))
    z = reparametrize(mean, log_scale, key=jnn.path_key(ctx.draw, "code"))
    joint = -pixel_nll(perceptron(params["decoder"], z), x) - gaussian_nll(*jnp.zeros((2, *z.shape)), z)
    values = importance_weighted_elbo_loss(joint + gaussian_nll(mean, log_scale, z))
    return LossOutput(values, batch["weight"])


def experiment(config: Config) -> Outcome:
    """Trains, validates, and bounds the likelihood of test images twice."""
    data = datasets.mnist(config.data_dir, config.dataset)
    state, history = train(
        config,
        vae_spec((PIXELS, *config.hidden, config.latent)),
        elbo_loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed),
        every=1600,
        validation=in_order(data.validation, 2000),
        steps_per_call=config.steps_per_call,
    )
    tested = evaluate(elbo_loss, state, in_order(data.test, 2000))
    tighter = partial(importance_weighted_loss, samples=config.samples)
    bound = float(evaluate(tighter, state, in_order(data.test, 20))["loss"].value())
    metrics = {f"test_{name}": float(tested[name].value()) for name in ("nll", "kl")}
    metrics |= {"test_elbo": -float(tested["loss"].value()), "test_importance_weighted_elbo": -bound}
    metrics["test_bits_per_dimension"] = bits_per_dimension(bound, PIXELS)
    return Outcome(state.params, metrics, history, figures(state.params, data.test, config))


def figures(params: Any, test: dict[str, np.ndarray], config: Config) -> dict[str, Any]:
    """Samples, reconstructions, the way from one image to the next, and the plane in which codes differ most."""
    key = jax.random.key(config.seed)
    decode = lambda z: np.asarray(jax.nn.sigmoid(perceptron(params["decoder"], z))).reshape(-1, SIDE, SIDE)
    x = jnp.asarray(test["x"][:2000])
    means = jnp.split(perceptron(params["encoder"], x), 2, -1)[0]
    latents = jax.random.normal(key, (100, config.latent))
    between = pictures.interpolated(np.asarray(means[:12]), 10)
    pairs = np.concatenate([test["x"][:10].reshape(-1, SIDE, SIDE), decode(means[:10])])
    centre, axes, places = pictures.principal_plane(np.asarray(means))
    reach = np.linspace(-2, 2, 15, dtype=np.float32)
    across, down = (axis * spread for axis, spread in zip(axes, places.std(0), strict=True))
    grid = np.stack([centre + a * across + b * down for b in -reach for a in reach])
    return {
        "Draws from the prior (mean greys).": lambda: pictures.sheet(decode(latents), 10),
        "Test images, and what became of them.": lambda: pictures.sheet(pairs, 10, ["image", "decoded"]),
        "From one test image to another.": lambda: pictures.sheet(decode(between), 10),
        "Where 2,000 test images lie, in the plane in which their codes differ most.": lambda: pictures.plane(
            places, test["y"][:2000], CLASSES[config.dataset]
        ),
        "What lies in this plane, two deviations each way.": lambda: pictures.sheet(decode(grid), 15),
    }


if __name__ == "__main__":
    launch(experiment, Config)
