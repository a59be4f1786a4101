"""The experiments' networks in PyTorch, on the same arrays and in the same order.

Run       python -m experiments.peers.torch_peers binary --seeds 5
Prints    one line of JSON a seed, then one with the mean, deviation (n - 1), minimum and maximum. Needs torch.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import datasets
from experiments.peers.command import data_needed, options, parsed, tell, tell_means
from experiments.peers.torch_networks import (
    Reviews,
    binary_network,
    cifar10_network,
    crop_and_flip,
    mnist_network,
    regression_network,
)
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
    smoothing: s in y * (1 - s) + s / 2, in training only.
    """

    load: Callable[[str | None], datasets.Data]
    network: Callable[[int], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    score: tuple[str, Callable[[Tensor, Tensor], Tensor]]
    epochs: int
    batch_size: int | None
    augment: Callable[[Tensor], Tensor] = lambda x: x
    cosine: float | None = None
    smoothing: float = 0.0


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


def reviews(cell: type[nn.RNNBase]) -> Peer:
    return Peer(datasets.sentiment, lambda _: Reviews(cell), logit_loss, positive, 3, 128, cosine=3e-3, smoothing=0.3)


PEERS = {
    "binary": Peer(lambda _: datasets.binary(), binary_network, first(F.binary_cross_entropy), likely, 100, None),
    "regression": Peer(lambda _: datasets.noisy_sum(), regression_network, first(F.mse_loss), absolute, 100, 32),
    "diabetes": Peer(lambda _: datasets.diabetes(), regression_network, first(F.mse_loss), absolute, 100, 32),
    "mnist": Peer(datasets.mnist, mnist_network, label_loss, right, 10, 32),
    "fashion_mnist": Peer(partial(datasets.mnist, name="fashion_mnist"), mnist_network, label_loss, right, 10, 32),
    "lstm": reviews(nn.LSTM),
    "gru": reviews(nn.GRU),
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
        y = batch["y"] * (1 - peer.smoothing) + peer.smoothing / 2 if peer.smoothing else batch["y"]
        loss = (peer.loss(outputs, y) * batch["weight"]).sum() / batch["weight"].sum()
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
    parser = options(__doc__, seeds=5, threads=2)
    parser.add_argument("peer", choices=PEERS)
    given = parsed(parser)
    peer, runs = PEERS[given["peer"]], []
    with data_needed():
        data = peer.load(given["data_dir"])
    for seed in range(given["seeds"]):
        start = time.perf_counter()
        scores = evaluate(peer, data, train(peer, data, seed)) | {"seconds": time.perf_counter() - start}
        runs.append(tell({"peer": given["peer"], "seed": seed}, scores, 5))
    tell_means({"peer": given["peer"], "seeds": given["seeds"]}, runs)


if __name__ == "__main__":
    main()
