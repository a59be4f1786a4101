"""The networks of `experiments.spoken_digits` in PyTorch, on the same spectrograms, in the same order.

Run       python -m experiments.peers.torch_spoken_digits [--network lstm --seeds 1 --without nobody theo]
Prints    one line of JSON a seed: accuracy of the test set, and of each speaker of whom a network has heard nothing,
          seconds of the wall and of the processor. Needs torch.

SpecAugment is jnn's, by other draws. The networks are those of jnn, with PyTorch's own initial values, and trained one
after another.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

import jax
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.datasets import Data
from experiments.listeners import DIGITS, KERNEL
from experiments.peers.command import Clock, add_settings, data_needed, options, parsed, tell
from experiments.peers.torch_translate import rate_at
from experiments.pictures import counts_of
from experiments.recordings import BANDS, heard, numbered, tested
from experiments.spoken_digits import Config, accuracies, masked
from jnn.data import Batches


class Cnn(nn.Module):
    """Convolutions with batch norm, ReLU and 2x2 pooling; rows (b, t / 2**units, features) with their lengths."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        units = [
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
            for a, b in itertools.pairwise((1, *config.channels))
        ]
        self.units = nn.Sequential(*units)
        self.features = BANDS // 2 ** len(units) * config.channels[-1]

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        step = 2 ** len(self.units)
        return self.units(x[:, None]).permute(0, 2, 3, 1).flatten(2), (length + step - 1) // step


class Lstm(nn.Module):
    """Both directions of an LSTM."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.cell = nn.LSTM(BANDS, config.hidden, batch_first=True, bidirectional=True)
        self.features = 2 * config.hidden

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        packed = nn.utils.rnn.pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.cell(packed)[0], batch_first=True, total_length=x.shape[1])
        return y, length


class Block(nn.Module):
    """One block of a conformer: attention turned by rotary positions, batch norm over the frames that there are."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d, self.heads = config.embed, config.heads
        rate = config.dropout / 2
        forward = lambda: nn.Sequential(
            nn.LayerNorm(d), nn.Linear(d, config.hidden), nn.SiLU(), nn.Linear(config.hidden, d), nn.Dropout(rate)
        )
        self.forward1, self.forward2 = forward(), forward()
        self.norm_attention, self.qkv, self.o = nn.LayerNorm(d), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.norm_conv, self.inward, self.outward = nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.Linear(d, d)
        self.depthwise = nn.Conv1d(d, d, KERNEL, padding=KERNEL // 2, groups=d, bias=False)
        self.batch_norm, self.norm, self.dropout = nn.BatchNorm1d(d), nn.LayerNorm(d), nn.Dropout(rate)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        x = x + self.forward1(x) / 2
        x = x + self.dropout(self.o(self.attend(self.norm_attention(x), real)))
        x = x + self.dropout(self.convolve(self.norm_conv(x), real))
        return self.norm(x + self.forward2(x) / 2)

    def attend(self, x: Tensor, real: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotated(q), rotated(k), v, attn_mask=real[:, None, None])
        return y.transpose(1, 2).flatten(2)

    def convolve(self, x: Tensor, real: Tensor) -> Tensor:
        h = self.depthwise((F.glu(self.inward(x), -1) * real[..., None]).mT).mT
        normed = torch.zeros_like(h)
        normed[real] = self.batch_norm(h[real])
        return self.outward(F.silu(normed))


def rotated(x: Tensor) -> Tensor:
    """Queries or keys (b, h, t, k), each pair of features turned by an angle that grows with the position."""
    t, k = x.shape[-2:]
    angles = torch.arange(t)[:, None] * 10_000.0 ** (-torch.arange(k // 2) / (k // 2))
    sin, cos = angles.sin(), angles.cos()
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Conformer(nn.Module):
    """Blocks behind a convolution that halves the frames."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frames = nn.Conv1d(BANDS, config.embed, 3, stride=2)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.features = config.embed

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        h, length = self.frames(F.pad(x.mT, (0, 1))).mT, (length + 1) // 2
        real = torch.arange(h.shape[1]) < length[:, None]
        h = h * real[..., None]
        for block in self.blocks:
            h = block(h, real)
        return h, length


class Listener(nn.Module):
    """Logits (b, digits) of spectrograms (b, t, bands), from the mean of the rows that there are."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.rows = {"cnn": Cnn, "lstm": Lstm, "conformer": Conformer}[config.network](config)
        self.dropout, self.out = nn.Dropout(config.dropout), nn.Linear(self.rows.features, DIGITS)

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        y, length = self.rows(x, length)
        real = torch.arange(y.shape[1]) < length[:, None]
        pooled = (y * real[..., None]).sum(1) / length[:, None]
        return self.out(self.dropout(pooled))


def train(config: Config, training: Mapping[str, np.ndarray], left_out: int) -> Listener:
    """The network after all steps of Adam, on batches less the recordings of whom it may not hear."""
    torch.manual_seed(config.seed * 100 + left_out + 1)
    network = Listener(config).train()
    optimizer = torch.optim.Adam(network.parameters())
    batches = Batches(training, config.batch_size, seed=config.seed)
    augment = jax.jit(lambda x, length, key: masked(x, lengths=length, key=key))
    for step in range(config.steps):
        batch = batches[step]
        x = augment(batch["x"], batch["length"], jax.random.fold_in(jax.random.key(config.seed), step))
        counts = torch.from_numpy((batch["speaker"] != left_out) & (batch["weight"] > 0))
        x, length, y = (torch.from_numpy(np.array(a))[counts] for a in (x, batch["length"], batch["y"]))
        loss = F.cross_entropy(network(x, length.long()), y.long(), reduction="sum") / config.batch_size
        optimizer.param_groups[0]["lr"] = rate_at(step, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@torch.no_grad()
def confusion(network: Listener, part: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which digit is taken for which, in testing."""
    said = network.eval()(torch.from_numpy(part["x"]), torch.from_numpy(part["length"]).long()).argmax(-1)
    return counts_of(part["y"], said.numpy(), DIGITS)


def run(config: Config, data: Data, names: tuple[str, ...]) -> dict[str, float]:
    """Accuracies: of the test set, and of each speaker who is left out."""
    found = {}
    for who in config.without:
        left_out = numbered(who, names)
        found[who] = confusion(train(config, data.train, left_out), tested(data, left_out))
    return accuracies(found)


def main() -> None:
    parser = options(__doc__, seeds=5, threads=1)
    add_settings(parser, Config(), ("network", "steps"))
    parser.add_argument("--without", nargs="+", default=Config().without)
    given = parsed(parser)
    with data_needed():
        data, names = heard(given["data_dir"])
    chosen = {"network": given["network"], "steps": given["steps"], "without": tuple(given["without"])}
    for seed in range(given["seeds"]):
        clock = Clock()
        found = run(dataclasses.replace(Config(seed=seed), **chosen), data, names)
        tell({"peer": "spoken_digits", "network": given["network"], "seed": seed}, found | clock.seconds())


if __name__ == "__main__":
    main()
