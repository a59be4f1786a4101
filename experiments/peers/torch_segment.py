"""The networks of `experiments.segment` in PyTorch, on the same tiles in the same order.

Run       python -m experiments.peers.torch_segment [--seeds 5]
Prints    one line of JSON a seed: what the nuclei of all four testing quadrants are found with, seconds of the wall and
          of the processor. Needs torch.

Tiles are flipped, turned and bent by the experiment's own `augment`, and nuclei are made of probabilities by its own
functions; networks, loss and optimizer are torch's, with its own initial values.
"""

from __future__ import annotations

import itertools
import math

import jax
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.datasets import Data, nuclei
from experiments.peers.command import Clock, data_needed, options, parsed, tell
from experiments.segment import Config, augment, found_by_network, scores
from jnn.data import Batches

QUADRANTS = 4


def pair(c_in: int, c_out: int) -> nn.Sequential:
    """Two convolutions with batch norm and ReLU."""
    units = [(nn.Conv2d(a, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)) for a in (c_in, c_out)]
    return nn.Sequential(*(layer for unit in units for layer in (*unit, nn.ReLU())))


class UNet(nn.Module):
    """U-Net of these widths, for grey images and three classes."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.down = nn.ModuleList(pair(a, b) for a, b in zip((1, *widths), widths, strict=False))
        both = list(itertools.pairwise(widths))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(below, c, 2, 2) for c, below in both)
        self.up = nn.ModuleList(pair(2 * c, c) for c, _ in both)
        self.out = nn.Conv2d(widths[0], 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images (b, 1, y, x) to logits (b, 3, y, x)."""
        beside = []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else F.max_pool2d(x, 2))
            beside.append(x)
        for kept, enlarge, up in reversed(list(zip(beside, self.enlarge, self.up, strict=False))):
            x = up(torch.cat([kept, enlarge(x)], 1))
        return self.out(x)


def loss_of(logits: Tensor, y: Tensor) -> Tensor:
    """Dice loss and cross-entropy of the known pixels, the mean over images."""
    known, labels = y > 0, (y.long() - 1).clamp(min=0)
    p, truth = logits.softmax(1) * known[:, None], F.one_hot(labels, 3).movedim(-1, 1) * known[:, None]
    both, all_of_them = (p * truth).sum((2, 3)), (p + truth).sum((2, 3))
    overlap = 1 - ((2 * both + 1) / (all_of_them + 1)).mean(1)
    surprise = (F.cross_entropy(logits, labels, reduction="none") * known).sum((1, 2)) / known.sum((1, 2))
    return (overlap + surprise).mean()


def train(config: Config, data: Data) -> nn.ModuleList:
    """A network for each quadrant that tests, after all steps of Adam."""
    torch.manual_seed(config.seed)
    networks = nn.ModuleList(UNet(config.widths) for _ in range(QUADRANTS)).train()
    optimizer = torch.optim.Adam(networks.parameters(), lr=config.learning_rate)
    batches = Batches(data.train, config.batch_size, seed=config.seed, drop_last=True)
    view, key = jax.jit(augment), jax.random.key(config.seed)
    for step in range(config.steps):
        tiles = (batches[step][name].reshape(-1, *data.train[name].shape[2:]) for name in ("x", "y"))
        x, y = (torch.from_numpy(np.array(part)) for part in view(*tiles, jax.random.fold_in(key, step)))
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 + math.cos(math.pi * step / config.steps)) / 2
        optimizer.zero_grad()
        for i, network in enumerate(networks):  # of each batch every fourth tile is one network's
            loss = loss_of(network(x[i::QUADRANTS].movedim(-1, 1)), y[i::QUADRANTS])
            (loss / QUADRANTS).backward()
        optimizer.step()
    return networks


@torch.no_grad()
def probabilities(networks: nn.ModuleList, x: np.ndarray) -> np.ndarray:
    """Of each pixel's being outside, in a rim, inside: (4, y, x, 3), of images (4, y, x, 1)."""
    images = torch.from_numpy(x).movedim(-1, 1)
    each = [network.eval()(images[i : i + 1]).softmax(1)[0] for i, network in enumerate(networks)]
    return torch.stack(each).movedim(1, -1).numpy()


def main() -> None:
    given = parsed(options(__doc__, seeds=5, threads=1))
    with data_needed():
        data = nuclei(given["data_dir"], Config.tile)
    for seed in range(given["seeds"]):
        clock = Clock()
        p = probabilities(train(Config(seed=seed), data), data.test["x"][0])
        found = scores(np.stack([found_by_network(own) for own in p]), data.test["ids"][0])
        tell({"peer": "segment", "seed": seed}, found | clock.seconds())


if __name__ == "__main__":
    main()
