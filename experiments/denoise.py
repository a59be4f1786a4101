"""Image denoising: a denoising autoencoder that is a small U-Net, beside filters that learn nothing.

Data      CIFAR-10 ("Learning Multiple Layers of Features from Tiny Images", Krizhevsky, 2009), 32x32, in 0..1; 5,000
          of the training set validate, the first 1,000 of the test set test. Gaussian noise of deviation 25/255.
Network   a denoising autoencoder ("Extracting and Composing Robust Features with Denoising Autoencoders", Vincent et
          al., 2008): a U-Net of widths 16 and 32 (Ronneberger et al., 2015), which says the noise ("Beyond a Gaussian
          Denoiser", Zhang et al., 2017).
Beside    a Gaussian blur, a median, a bilateral filter and non-local means, by `classical_denoising`: the best of
          thirteen on 100 validation images, by PSNR.
Training  mean squared error; Adam, cosine from 3e-3 to 0, batches of 32, mirrored; other noise at each step.
Run       python -m experiments.denoise [--noise 50]
Measured  one seed, on the test images: noisy 20.48 dB and SSIM 0.659, non-local means of strength 0.8 noise 26.63 and
          0.860, the network 27.43 and 0.887. On two photographs, larger than what it has learned from, it is behind:
          21.03, 0.325; 29.97, 0.858; 28.43, 0.703. 131 s of processor time.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from experiments import datasets
from experiments.classical_denoising import best_of
from experiments.harness import Outcome, launch
from experiments.image_quality import qualities, side_by_side
from experiments.options import Common
from experiments.photographs import photograph
from experiments.training import train
from jnn.data import Batches, in_order, random_flip
from jnn.image_similarity import psnr
from jnn.models import batch_stats_spec, unet, unet_spec
from jnn.train import LossOutput

TESTED, CHOOSING, SHOWN = 1000, 100, 4


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Noise taken from photographs."""

    steps: int = 1000
    workdir: str = "runs/denoise"
    noise: float = 25.0  # its deviation, in grey levels of 255
    batch_size: int = 32
    learning_rate: float = 3e-3
    widths: tuple[int, ...] = (16, 32)


def network(params: dict, x: jax.Array, stats: Any, config: Config, *, weight=None) -> tuple[jax.Array, Any]:
    """Noisy images (n, y, x, 3), in 0..1, without the noise that the U-Net finds; and the statistics used."""
    found, seen = unet(params, (x - 0.5) / 0.25, stats, weight=weight)
    return x - config.noise / 255 * found, seen


def loss(params: dict, batch: dict, ctx: Any, config: Config) -> LossOutput:
    """The squared error that is left, as a share of the noise's; and the PSNR."""
    x = (batch["x"] if ctx.key is None else random_flip(batch["x"], key=ctx.key)) / 255.0
    noise = config.noise / 255 * jax.random.normal(jnn.path_key(ctx.draw, "noise"), x.shape)
    found, seen = network(params, x + noise, ctx.stats, config, weight=batch["weight"])
    values = jnp.mean((found - x) ** 2, (1, 2, 3)) * (255 / config.noise) ** 2
    metrics = {"psnr": jnn.metrics.mean(psnr(jnp.clip(found, 0, 1), x), batch["weight"])}
    return LossOutput(values, batch["weight"], metrics=metrics, stats=seen)


def noisy(clean: np.ndarray, config: Config) -> np.ndarray:
    """Clean images with noise that is the same in every run."""
    noise = np.random.default_rng(datasets.SPLIT_SEED).standard_normal(clean.shape, np.float32)
    return clean + np.float32(config.noise / 255) * noise


def photographs() -> np.ndarray:
    """scikit-learn's palace and flower (2, 424, 640, 3), in 0..1."""
    return np.stack([photograph(name)[:424] for name in ("china", "flower")]).astype(np.float32) / 255


def middle(x: np.ndarray, size: int = 128) -> np.ndarray:
    """The middle of images (n, y, x, c), where they are larger than this."""
    top, left = (max(0, n - size) // 2 for n in x.shape[1:3])
    return x[:, top : top + size, left : left + size]


def experiment(config: Config) -> Outcome:
    """Trains, chooses a filter, and takes the noise of test images and of two larger photographs by both."""
    data, spec = datasets.cifar10(config.data_dir), unet_spec(config.widths, 3)
    state, history = train(
        config,
        spec,
        partial(loss, config=config),
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        Batches(data.train, config.batch_size, seed=config.seed, drop_last=True),
        every=100,
        validation=in_order({name: rows[:TESTED] for name, rows in data.validation.items()}, 250),
        stats=batch_stats_spec(spec),
    )
    small = lambda part, n: part["x"][:n].astype(np.float32) / 255
    choosing = small(data.validation, CHOOSING)
    name, classical = best_of(noisy(choosing, config), choosing, config.noise / 255)
    apply = jax.jit(lambda x: network(state.params, x, state.stats, config)[0])
    by_network = lambda x: np.concatenate([apply(part) for part in np.array_split(x, max(1, x.size // 10**6))])
    metrics: dict[str, Any] = {"filter": name}
    figures = {}
    for what, clean in (("test", small(data.test, TESTED)), ("photographs", photographs())):
        given = noisy(clean, config)
        found = {"noisy": given, "filter": classical(given), "network": by_network(given)}
        metrics |= {f"{what}_{key}": value for key, value in qualities(found, clean).items()}
        columns = {"clean": clean, "noisy": given, name: found["filter"], "network": found["network"]}
        parts = {name: middle(x[:SHOWN]) for name, x in columns.items()}
        figures[f"The {what}, with the PSNR of what is shown."] = partial(
            side_by_side, parts, range(len(parts["clean"]))
        )
    return Outcome(state.params, metrics, history, figures)


if __name__ == "__main__":
    launch(experiment, Config)
