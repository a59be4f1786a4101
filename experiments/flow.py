"""Normalizing flow: the exact density of grey digits, and digits drawn from it.

Data      MNIST or Fashion-MNIST, 28x28 (see `mnist`); a fifth of the training set validates. Greys are spread
          uniformly up to the next one (dequantization), anew each time, and brought to the whole line by a logit.
Network   RealNVP ("Density Estimation Using Real NVP", Dinh, Sohl-Dickstein and Bengio, 2017): 8 affine couplings,
          each of a hidden layer of 512, by turns of both halves of pixels that are dealt out by chance; theirs are
          convolutions. Each begins as the identity, as in "Glow", Kingma and Dhariwal, 2018: 1.1 bits less after
          1,200 steps.
Training  Adam 1e-3 along a cosine to 0, batches of 128, 3,000 steps.
Run       python -m experiments.flow [--dataset fashion_mnist]
Measured  MNIST, one seed: 2.18 bits a dimension of the test images. One CPU core, 205 s. Most draws are noise around a
          stroke: what the couplings, which are no convolutions, have not learned of it in so few steps.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets, pictures
from experiments.harness import Outcome, launch
from experiments.likelihood import GREYS, bits_per_dimension, dequantize
from experiments.options import Common
from experiments.training import evaluate, train
from jnn.data import Batches, in_order
from jnn.initializers import zeros
from jnn.layers import affine_coupling, affine_coupling_spec, inverse_affine_coupling
from jnn.losses import gaussian_nll
from jnn.train import LossOutput

PIXELS, SIDE = 784, 28
EDGE = 0.05  # how far from 0 and 1 pixels are kept, so that their logits are finite


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Normalizing flow."""

    steps: int = 3000
    workdir: str = "runs/flow"
    dataset: Literal["mnist", "fashion_mnist"] = "mnist"
    batch_size: int = 128
    learning_rate: float = 1e-3
    couplings: int = 8
    hidden: int = 512


def network_spec(config: Config) -> Any:
    """Couplings, each of which moves nothing at first."""
    spec = affine_coupling_spec(PIXELS, config.hidden)
    down = spec["down"] | {"w": dataclasses.replace(spec["down"]["w"], init=zeros)}
    return jnn.stack(spec | {"down": down}, config.couplings)


def orders(couplings: int, pixels: int) -> np.ndarray:
    """How pixels are dealt out before each coupling: by chance, or by turns of the halves."""
    halves = np.roll(np.arange(pixels), pixels // 2)
    chance = (np.random.default_rng(i).permutation(pixels) for i in range(couplings))
    return np.stack([halves if i % 2 else order for i, order in enumerate(chance)])


def flow(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pixels (b, d) in 0..1 to what is to be normal (b, d), and the logarithm of how much that stretches (b,)."""
    kept = EDGE + (1 - 2 * EDGE) * x
    z = jnp.log(kept) - jnp.log1p(-kept)
    log_det = jnp.sum(math.log(1 - 2 * EDGE) - jnp.log(kept) - jnp.log1p(-kept), -1)

    def couple(carry: tuple[jax.Array, jax.Array], layer: Any) -> tuple[tuple[jax.Array, jax.Array], None]:
        (z, log_det), (own, order) = carry, layer
        z, more = affine_coupling(own, z[:, order])
        return (z, log_det + more), None

    layers = (p, jnp.asarray(orders(len(p["up"]["b"]), x.shape[-1])))
    return jax.lax.scan(couple, (z, log_det), layers)[0]


def inverse(p: Any, z: jax.Array) -> jax.Array:
    """What is normal (b, d) to pixels (b, d) in 0..1."""
    back = np.argsort(orders(len(p["up"]["b"]), z.shape[-1]), axis=-1)
    uncouple = lambda z, layer: (inverse_affine_coupling(layer[0], z)[0][:, layer[1]], None)
    z, _ = jax.lax.scan(uncouple, z, (p, jnp.asarray(back)), reverse=True)
    return jnp.clip((jax.nn.sigmoid(z) - EDGE) / (1 - 2 * EDGE), 0, 1)


def loss(params, batch, ctx) -> LossOutput:
    """Minus the log-likelihood of each image of 256 greys, in nats."""
    z, log_det = flow(params, dequantize(batch["x"], ctx.draw))
    nll = gaussian_nll(jnp.zeros_like(z), jnp.zeros_like(z), z) - log_det
    return LossOutput(nll + z.shape[-1] * math.log(GREYS), batch["weight"])


def experiment(config: Config) -> Outcome:
    """Trains, validates, and measures on the test images."""
    data = datasets.mnist(config.data_dir, config.dataset)
    state, history = train(
        config,
        network_spec(config),
        loss,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed),
        every=300,
        validation=in_order(data.validation, 1000),
    )
    nats = float(evaluate(loss, state, in_order(data.test, 1000))["loss"].value())
    metrics = {"test_nll": nats, "test_bits_per_dimension": bits_per_dimension(nats, PIXELS)}
    return Outcome(state.params, metrics, history, figures(state.params, data.test["x"], config))


def figures(params: Any, x: np.ndarray, config: Config) -> dict[str, Any]:
    """Draws, as they are and nearer to the middle, and the way between test images."""
    key = jax.random.key(config.seed)
    images = jax.jit(lambda z: inverse(params, z).reshape(-1, SIDE, SIDE))
    z = jax.random.normal(key, (100, PIXELS))
    codes = flow(params, dequantize(jnp.asarray(x[:12]), key))[0]
    between = jnp.asarray(pictures.interpolated(np.asarray(codes), 10))
    return {
        "Draws.": lambda: pictures.sheet(np.asarray(images(z)), 10),
        "Draws of 0.7 times the deviation.": lambda: pictures.sheet(np.asarray(images(0.7 * z)), 10),
        "From one test image to another.": lambda: pictures.sheet(np.asarray(images(between)), 10),
    }


if __name__ == "__main__":
    launch(experiment, Config)
