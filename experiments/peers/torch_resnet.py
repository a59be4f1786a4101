"""The residual network of `experiments.resnet` in PyTorch, on the same images and in the same order.

Run       python -m experiments.peers.torch_resnet [--seeds 5] [--steps 300 ...]
Prints    one line of JSON a seed: accuracy and loss of the test, seconds of the wall and of the processor; then one of
          means and deviations. Needs torch. Options that the experiment has, by its names.

Convolutions begin with He's values and each branch ends with a scale of 0, as jnn's; channels last in memory.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import datasets
from experiments.peers.command import Clock, add_settings, data_needed, options, parsed, tell, tell_means
from experiments.peers.torch_networks import crop_and_flip
from experiments.peers.torch_peers import tensors
from experiments.resnet import Config, prepared, schedule
from experiments.small_images import CIFAR10, Halved
from jnn.data import Batches, in_order


def conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that begins with He's values."""
    made = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
    return made


class Block(nn.Module):
    """`relu(shortcut(x) + convolutions(x))`, its parts by torchvision's names."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = conv(c_out, c_out, 3), nn.BatchNorm2d(c_out)
        nn.init.zeros_(self.bn2.weight)
        if stride > 1 or c_in != c_out:
            self.downsample = nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.downsample(x) + h)


class ResNet(nn.Module):
    """Three stages of blocks, for uint8 images `b y x c`; its parts by torchvision's names."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        w = config.width
        self.conv1, self.bn1 = conv(3, w, 3), nn.BatchNorm2d(w)
        stage = lambda c_in, c_out, stride: nn.Sequential(
            Block(c_in, c_out, stride), *(Block(c_out, c_out, 1) for _ in range(config.blocks - 1))
        )
        self.layer1, self.layer2, self.layer3 = stage(w, w, 1), stage(w, 2 * w, 2), stage(2 * w, 4 * w, 2)
        self.fc = nn.Linear(4 * w, len(CIFAR10))

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(datasets.scale_images(x).permute(0, 3, 1, 2))))
        return self.fc(self.layer3(self.layer2(self.layer1(h))).mean((2, 3)))


def train(config: Config, data: datasets.Data) -> nn.Module:
    """The network after all steps of SGD."""
    torch.manual_seed(config.seed)
    network = ResNet(config).to(memory_format=torch.channels_last).train()
    weights, others = ([p for p in network.parameters() if (p.ndim > 1) == large] for large in (True, False))
    groups = [{"params": weights, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=config.nesterov == "yes")
    rates = np.asarray(schedule(config)(np.arange(config.steps)))
    batches = Batches(data.train, config.batch_size, seed=config.seed, drop_last=True)
    halved = Halved(batches, config.half_steps)
    for step in range(config.steps):
        batch = tensors(halved[step])
        logits = network(crop_and_flip(batch["x"], batch["x"].shape[1] // 8))
        loss = F.cross_entropy(logits, batch["y"].long(), label_smoothing=config.smoothing)
        for group in optimizer.param_groups:
            group["lr"] = float(rates[step])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@torch.no_grad()
def evaluate(network: nn.Module, rows: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy and loss over rows."""
    network.eval()
    right = loss = 0.0
    for batch in map(tensors, in_order(rows, 500)):
        logits, y = network(batch["x"]), batch["y"].long()
        right += float(((logits.argmax(-1) == y) * batch["weight"]).sum())
        loss += float((F.cross_entropy(logits, y, reduction="none") * batch["weight"]).sum())
    return {"test_accuracy": right / len(rows["y"]), "test_loss": loss / len(rows["y"])}


def main() -> None:
    parser = options(__doc__, seeds=5, threads=2)
    add_settings(parser, Config(), ("steps", "half_steps", "warmup", "blocks", "width", "batch_size", "learning_rate"))
    given = parsed(parser)
    seeds = given.pop("seeds")
    config, runs = Config(**given), []
    with data_needed():
        data = prepared(config)
    for seed in range(seeds):
        clock = Clock()
        found = evaluate(train(dataclasses.replace(config, seed=seed), data), data.test) | clock.seconds()
        runs.append(tell({"peer": "resnet", "seed": seed}, found))
    tell_means({"peer": "resnet", "seeds": seeds}, runs)


if __name__ == "__main__":
    main()
