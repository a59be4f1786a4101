"""The experiments' networks in PyTorch, with PyTorch's own initial values, on the same arrays and in the same order.

Run       python -m experiments.peers.torch_peers binary --seeds 5
Prints    one line of JSON a seed, then one with the mean, deviation (n - 1), minimum and maximum. Needs torch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import datasets
from jnn.data import Batches, in_order


@dataclasses.dataclass(frozen=True)
class Peer:
    """One experiment.

    load: data directory -> `datasets.Data`.
    network: number of features -> module of a batch, which gives (b, ...).
    loss: outputs, targets -> one number per example.
    score: (name, outputs, targets -> one number per example), for the test.
    batch_size: None is the full batch.
    augment: batch["x"] -> batch["x"], in training only.
    cosine: the learning rate that falls to 0 along a cosine; None is 1e-3 throughout.
    """

    load: Callable[[str | None], datasets.Data]
    network: Callable[[int], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    score: tuple[str, Callable[[Tensor, Tensor], Tensor]]
    epochs: int
    batch_size: int | None
    augment: Callable[[Tensor], Tensor] = lambda x: x
    cosine: float | None = None


class OfX(nn.Sequential):
    """Layers in a row, applied to a batch's x."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return super().forward(batch["x"])


class Images(nn.Sequential):
    """Layers in a row, applied to a batch's uint8 images `b y x c`."""

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return super().forward(datasets.scale_images(batch["x"]).permute(0, 3, 1, 2))


class Reviews(nn.Module):
    """Embedding, LSTM or GRU, the mean of the states over the words there are, one logit; dropout 0.5 around."""

    def __init__(self, cell: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embed = nn.Embedding(datasets.VOCABULARY, 64)
        nn.init.uniform_(self.embed.weight, -0.05, 0.05)  # Keras' default; torch's own, normal(0, 1), learns slowly
        self.cell = cell(64, 32, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Linear(32, 1)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        h, _ = self.cell(self.dropout(self.embed(batch["x"])))
        there = torch.arange(h.shape[1]) < batch["length"][:, None]
        pooled = (h * there[..., None]).sum(1) / batch["length"][:, None]
        return self.out(self.dropout(pooled))[:, 0]


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


def crop_and_flip(x: Tensor) -> Tensor:
    """A crop after padding by 4, and a mirror image half the time, of images `b y x c`."""
    n, size = x.shape[:2]
    rows, columns = torch.randint(0, 9, (2, n, 1)) + torch.arange(size)
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    padded = F.pad(x, (0, 0, 4, 4, 4, 4))
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def label_loss(outputs: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(outputs, y.long(), reduction="none")


def logit_loss(outputs: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs, y.float(), reduction="none")


def first(loss: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of PyTorch's for networks with one output, one number per example."""
    return lambda outputs, y: loss(outputs, y, reduction="none")[:, 0]


right = ("test_accuracy", lambda outputs, y: outputs.argmax(-1) == y)
likely = ("test_accuracy", lambda outputs, y: ((outputs > 0.5) == (y > 0.5))[:, 0])
positive = ("test_accuracy", lambda outputs, y: (outputs > 0) == (y > 0))
absolute = ("test_mae", first(F.l1_loss))  # in deviations of the training targets

PEERS = {
    "binary": Peer(lambda _: datasets.binary(), binary_network, first(F.binary_cross_entropy), likely, 100, None),
    "regression": Peer(lambda _: datasets.noisy_sum(), regression_network, first(F.mse_loss), absolute, 100, 32),
    "diabetes": Peer(lambda _: datasets.diabetes(), regression_network, first(F.mse_loss), absolute, 100, 32),
    "mnist": Peer(datasets.mnist, mnist_network, label_loss, right, 10, 32),
    "fashion_mnist": Peer(partial(datasets.mnist, name="fashion_mnist"), mnist_network, label_loss, right, 10, 32),
    "lstm": Peer(datasets.sentiment, lambda _: Reviews(nn.LSTM), logit_loss, positive, 2, 128, cosine=3e-3),
    "gru": Peer(datasets.sentiment, lambda _: Reviews(nn.GRU), logit_loss, positive, 2, 128, cosine=3e-3),
    "cifar10": Peer(datasets.cifar10, cifar10_network, label_loss, right, 5, 64, crop_and_flip),
}


def tensors(batch: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in batch.items()}


def train(peer: Peer, data: datasets.Data, seed: int) -> nn.Module:
    """The network after all epochs of Adam."""
    torch.manual_seed(seed)
    network = peer.network(data.train["x"].shape[-1]).train()
    optimizer = torch.optim.Adam(network.parameters(), peer.cosine or 1e-3)
    batches = Batches(data.train, peer.batch_size or len(data.train["y"]), seed=seed)
    steps = peer.epochs * batches.steps_per_epoch
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if peer.cosine else None
    for step in range(steps):
        batch = tensors(batches[step])
        outputs = network(batch | {"x": peer.augment(batch["x"])})
        loss = (peer.loss(outputs, batch["y"]) * batch["weight"]).sum() / batch["weight"].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if decay:
            decay.step()
    return network


@torch.no_grad()
def evaluate(peer: Peer, data: datasets.Data, network: nn.Module) -> dict[str, float]:
    """The means of the loss and of the score over the test rows."""
    network.eval()
    name, score = peer.score
    sums = {name: 0.0, "test_loss": 0.0}
    for batch in map(tensors, in_order(data.test, 500)):
        outputs, y, weight = network(batch), batch["y"], batch["weight"]
        sums[name] += float((score(outputs, y) * weight).sum())
        sums["test_loss"] += float((peer.loss(outputs, y) * weight).sum())
    return {name: total / len(data.test["y"]) for name, total in sums.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data-dir")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    peer = PEERS[args.peer]
    try:
        data = peer.load(args.data_dir)
    except FileNotFoundError as error:
        sys.exit(f"error: {error}")
    runs = []
    for seed in range(args.seeds):
        start = time.perf_counter()
        scores = evaluate(peer, data, train(peer, data, seed)) | {"seconds": time.perf_counter() - start}
        runs.append({name: round(score, 5) for name, score in scores.items()})
        print(json.dumps({"peer": args.peer, "seed": seed} | runs[-1]), flush=True)
    summary = {name: spread([run[name] for run in runs]) for name in runs[0]}
    print(json.dumps({"peer": args.peer, "seeds": args.seeds} | summary), flush=True)


def spread(values: list[float]) -> dict[str, float]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    numbers = {"mean": statistics.mean(values), "std": deviation, "min": min(values), "max": max(values)}
    return {name: round(number, 5) for name, number in numbers.items()}


if __name__ == "__main__":
    main()
