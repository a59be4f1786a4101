"""The DCGAN of `experiments.gan` in PyTorch, on the same images and in the same order.

Run       python -m experiments.peers.torch_gan [--seeds 1]
Prints    one line of JSON a seed: the Fréchet distance of samples from the test images, by jnn's classifier of that
          seed; seconds of the wall and of the processor. Needs torch.
Initial values are DCGAN's, as jnn's.
"""

from __future__ import annotations

import dataclasses
import tempfile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import datasets
from experiments.frechet import make_judge
from experiments.gan import FRAME, SIDE, Config
from experiments.peers.command import Clock, data_needed, options, parsed, tell
from jnn.data import Batches


def generator(config: Config) -> nn.Sequential:
    """Noise (b, latent, 1, 1) to images (b, 1, 32, 32)."""
    widths, layers = (config.latent, *config.widths[::-1]), []
    for i, (a, b) in enumerate(zip(widths, (*widths[1:], 1), strict=True)):
        layers.append(nn.ConvTranspose2d(a, b, 4, *((1, 0) if i == 0 else (2, 1)), bias=False))
        layers += [nn.Tanh()] if i == len(widths) - 1 else [nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers).apply(small)


def discriminator(config: Config) -> nn.Sequential:
    """Images (b, 1, 32, 32) to logits (b, 1, 1, 1)."""
    widths, layers = (1, *config.widths), []
    for i, (a, b) in enumerate(zip(widths, (*widths[1:], 1), strict=True)):
        last = i == len(widths) - 1
        layers.append(nn.Conv2d(a, b, 4, *((1, 0) if last else (2, 1)), bias=False))
        layers += [nn.BatchNorm2d(b)] if i > 0 and not last else []
        layers += [] if last else [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers).apply(small)


def small(part: nn.Module) -> None:
    """DCGAN's initial values of weights."""
    if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(part.weight, std=0.02)


def train(config: Config, data: dict[str, np.ndarray]) -> nn.Sequential:
    """The generator after all steps of both."""
    torch.manual_seed(config.seed)
    networks = {"discriminator": discriminator(config), "generator": generator(config)}
    adam = {
        name: torch.optim.Adam(part.parameters(), config.learning_rate, betas=(0.5, 0.999))
        for name, part in networks.items()
    }
    judge, make = networks.values()
    batches = Batches(data, config.batch_size, seed=config.seed, drop_last=True)
    for step in range(config.steps):
        x = torch.from_numpy(batches[step]["x"]).reshape(-1, 1, SIDE, SIDE)
        real = F.pad(2 * x - 1, (FRAME,) * 4, value=-1.0)
        with torch.no_grad():
            fake = make(torch.randn(len(x), config.latent, 1, 1))
        descend(adam["discriminator"], F.softplus(-judge(real)) + F.softplus(judge(fake)))
        descend(adam["generator"], F.softplus(-judge(make(torch.randn(len(x), config.latent, 1, 1)))))
    return make


def descend(optimizer: torch.optim.Optimizer, values: Tensor) -> None:
    """One update."""
    optimizer.zero_grad()
    values.mean().backward()
    optimizer.step()


def main() -> None:
    given = parsed(options(__doc__, seeds=1, threads=1))
    with data_needed():
        data = datasets.mnist(given["data_dir"], Config.dataset)
    for seed in range(given["seeds"]):
        clock, config = Clock(), Config(seed=seed)
        make = train(config, data.train).eval()
        with torch.no_grad():
            images = make(torch.randn(config.samples, config.latent, 1, 1))[:, 0, FRAME:-FRAME, FRAME:-FRAME]
        seconds = clock.seconds()
        with tempfile.TemporaryDirectory() as folder:
            judge = make_judge(dataclasses.replace(config, workdir=folder), data)
        found = {"frechet": judge.distance(((images + 1) / 2).numpy()), "frechet_real": judge.real}
        tell({"peer": "gan", "seed": seed}, found | seconds)


if __name__ == "__main__":
    main()
