"""The diffusion model of `experiments.diffusion` in PyTorch, on the same images and in the same order.

Run       python -m experiments.peers.torch_diffusion [--seeds 1]
Prints    one line of JSON a seed: the Fréchet distance of DDIM's samples from the test images, by jnn's classifier of
          that seed, and how many are taken for their class; seconds of the wall and of the processor. Needs torch.
Initial values are PyTorch's own, but where DDPM's are 0 and for the classes' pictures, which begin as jnn's.
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import datasets
from experiments.diffusion import BLOCK, DEPTH, SCHEDULE, SIDE, SMALL, TIMES, UNTOLD, Config
from experiments.frechet import make_judge
from experiments.peers.command import Clock, data_needed, options, parsed, tell
from experiments.peers.torch_unet import UNet
from jnn.data import Batches
from jnn.diffusion import sampling_levels


class Denoiser(nn.Module):
    """The U-Net on blocks of pixels beside the class's picture."""

    def __init__(self, widths: tuple[int, int]) -> None:
        super().__init__()
        self.classes = nn.Embedding(UNTOLD + 1, SMALL**2 * DEPTH)
        nn.init.normal_(self.classes.weight, std=0.02)
        self.unet = UNet(widths, 2 * DEPTH, DEPTH, groups=8)
        for name, part in self.unet.named_modules():
            if name == "out" or name.endswith(("conv2", "attention.o")):
                nn.init.zeros_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """v of images (b, 1, 28, 28) at steps (b,)."""
        small = F.pixel_unshuffle(x, BLOCK)
        picture = self.classes(label).reshape(-1, SMALL, SMALL, DEPTH).movedim(-1, 1)
        return F.pixel_shuffle(self.unet(torch.cat([small, picture], 1), t), BLOCK)


def train(config: Config, data: dict[str, np.ndarray]) -> Denoiser:
    """The average of the network over the steps of Adam."""
    torch.manual_seed(config.seed)
    network, average = (Denoiser(config.widths) for _ in range(2))
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    batches, schedule = Batches(data, config.batch_size, seed=config.seed), torch.from_numpy(SCHEDULE)
    for step in range(config.steps):
        batch = {name: torch.from_numpy(rows) for name, rows in batches[step].items()}
        x0 = 2 * batch["x"].reshape(-1, 1, SIDE, SIDE) - 1
        label = torch.where(torch.rand(len(x0)) < config.untold, UNTOLD, batch["y"].long())
        t, noise = torch.randint(TIMES, (len(x0),)), torch.randn_like(x0)
        signal, spread = (a.sqrt()[:, None, None, None] for a in (schedule[t], 1 - schedule[t]))
        error = network(signal * x0 + spread * noise, t, label) - (signal * noise - spread * x0)
        loss = (error.square().mean((1, 2, 3)) * batch["weight"]).sum() / batch["weight"].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        moved = max(1 - config.average, 9 / (10 + step + 1))
        with torch.no_grad():
            for own, new in zip(average.parameters(), network.parameters(), strict=True):
                own.lerp_(new, moved)
    return average


@torch.no_grad()
def sample(network: Denoiser, label: Tensor, config: Config) -> Tensor:
    """DDIM's images (b, 1, 28, 28), in 0..1."""
    x = torch.randn(len(label), 1, SIDE, SIDE)
    levels = torch.from_numpy(sampling_levels(SCHEDULE, config.evaluations))
    for a, b in itertools.pairwise(levels):
        t = torch.full((len(x),), float((torch.from_numpy(SCHEDULE) - a).abs().argmin()))
        x0 = (a.sqrt() * x - (1 - a).sqrt() * network(x, t, label)).clamp(-1, 1)
        noise = (x - a.sqrt() * x0) / (1 - a).sqrt()
        x = b.sqrt() * x0 + (1 - b).sqrt() * noise
    return ((x + 1) / 2).clamp(0, 1)


def main() -> None:
    given = parsed(options(__doc__, seeds=1, threads=1))
    with data_needed():
        data = datasets.mnist(given["data_dir"], Config.dataset)
    for seed in range(given["seeds"]):
        clock, config = Clock(), Config(seed=seed)
        network = train(config, data.train)
        labels = torch.arange(config.samples) % 10
        images = torch.cat([sample(network, part, config) for part in labels.split(100)]).numpy()
        seconds = clock.seconds()
        with tempfile.TemporaryDirectory() as folder:
            judge = make_judge(dataclasses.replace(config, workdir=folder), data)
        found = {"frechet_ddim": judge.distance(images), "frechet_real": judge.real}
        found["right_ddim"] = float((judge.classes(images) == labels.numpy()).mean())
        tell({"peer": "diffusion", "seed": seed}, found | seconds)


if __name__ == "__main__":
    main()
