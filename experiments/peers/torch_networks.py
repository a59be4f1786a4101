"""The experiments' networks as PyTorch modules, with PyTorch's own initial values.

A network maps a batch {"x": ..., ...} to outputs (b, ...); each is made from its number of features.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import datasets
from jnn.data import UNKNOWN


class OfX(nn.Sequential):
    """Layers in a row, applied to a batch's x."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return super().forward(batch["x"])


class Images(nn.Sequential):
    """Layers in a row, applied to a batch's uint8 images `b y x c`."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return super().forward(datasets.scale_images(batch["x"]).permute(0, 3, 1, 2))


class Reviews(nn.Module):
    """Embedding, LSTM or GRU, the mean and the maximum of the states over the words there are, one logit.

    Dropout is 0.5 around; in training 0.3 of the words are unknown ones.
    """

    def __init__(self, cell: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embed = nn.Embedding(datasets.VOCABULARY, 64)
        nn.init.uniform_(self.embed.weight, -0.05, 0.05)  # Keras' default; torch's own, normal(0, 1), learns slowly
        self.cell = cell(64, 32, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Linear(64, 1)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        x, length = batch["x"], batch["length"][:, None]
        there = torch.arange(x.shape[1]) < length
        if self.training:
            x = torch.where(there & (torch.rand(x.shape) < 0.3), UNKNOWN, x)
        h = self.cell(self.dropout(self.embed(x)))[0] * there[..., None]
        return self.out(self.dropout(torch.cat([h.sum(1) / length, h.amax(1)], -1)))[:, 0]


def binary_network(d: int) -> nn.Module:
    return OfX(nn.Linear(d, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())


def regression_network(d: int) -> nn.Module:
    first = [nn.Linear(d, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2)]
    return OfX(*first, nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))


def mnist_network(d: int) -> nn.Module:
    return OfX(nn.Linear(d, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def cifar10_network(d: int) -> nn.Module:
    conv = partial(nn.Conv2d, kernel_size=3, padding="same")
    blocks = [conv(d, 32), nn.ReLU(), nn.MaxPool2d(2), conv(32, 64), nn.ReLU(), nn.MaxPool2d(2)]
    return Images(*blocks, nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10))


def crop_and_flip(x: Tensor, padding: int = 4) -> Tensor:
    """A crop after padding, and a mirror image half the time, of images `b y x c`."""
    n, size = x.shape[:2]
    rows, columns = torch.randint(0, 2 * padding + 1, (2, n, 1)) + torch.arange(size)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    padded = F.pad(x, (0, 0, *[padding] * 4))
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
