"""The detector of `experiments.detect` in PyTorch, on the same scenes and in the same order.

Run       python -m experiments.peers.torch_detect [--scenes garments] [--seeds 1]
Prints    one line of JSON a seed: mean average precision of validation and test, seconds of the wall and of the
          processor. Needs torch.

The network, its losses and its training are PyTorch's. Windows are cut and mirrored, points are assigned to boxes, and
overlapping boxes suppressed by the functions of jnn that the experiment uses: both train on the same pixels.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments import detect
from experiments.detect import GROUPS, SCENES, Config
from experiments.peers.command import Clock, add_settings, data_needed, options, parsed, tell
from jnn.boxes import centerness, distances_of_corners
from jnn.data import Batches, in_order
from jnn.models import PointPredictions, fcos_detections, fcos_targets


class Unit(nn.Module):
    """A convolution of 3x3 and its group norm."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, c_out)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class Stage(nn.Module):
    """A unit that strides, and a residual block."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.down, self.first, self.second = Unit(c_in, c_out, 2), Unit(c_out, c_out), Unit(c_out, c_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.down(x))
        return F.relu(x + self.second(F.relu(self.first(x))))


class Detector(nn.Module):
    """FCOS on a feature pyramid over three stages."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        stem, *stages = config.widths
        c = config.width
        self.stem = Unit(3, stem, 2)
        self.stages = nn.ModuleList(Stage(a, b) for a, b in zip(config.widths, stages, strict=False))
        self.lateral = nn.ModuleList(nn.Conv2d(n, c, 1) for n in stages)
        self.out = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in stages)
        self.classes, self.boxes = (nn.ModuleList(Unit(c, c) for _ in range(config.depth)) for _ in range(2))
        self.logits, self.distances, self.centerness = (nn.Conv2d(c, n, 3, padding=1) for n in (classes, 4, 1))
        for layer in (self.logits, self.distances, self.centerness):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.logits.bias, -math.log(99))
        self.scale = nn.Parameter(torch.ones(len(stages)))

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """Maps of uint8 images (b, y, x, 3), the finest first."""
        x, merged = F.relu(self.stem((x.permute(0, 3, 1, 2) / 255 - 0.45) / 0.25)), []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            merged.append(lateral(x))
        for i in reversed(range(len(merged) - 1)):
            merged[i] = merged[i] + F.interpolate(merged[i + 1], merged[i].shape[-2:])
        return [out(y) for out, y in zip(self.out, merged, strict=True)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits (b, n, classes), distances (b, n, 4) and center-ness (b, n) of the points of all maps."""
        found = []
        for scale, y in zip(self.scale, self.pyramid(x), strict=True):
            classes, boxes = (functools.reduce(lambda y, unit: F.relu(unit(y)), tower, y) for tower in self.towers)
            each = self.logits(classes), (self.distances(boxes) * scale).exp(), self.centerness(boxes)
            found.append([part.flatten(2).transpose(1, 2) for part in each])
        logits, distances, centerness = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return logits, distances, centerness[..., 0]

    @property
    def towers(self) -> tuple[nn.ModuleList, nn.ModuleList]:
        return self.classes, self.boxes


@functools.partial(jax.jit, static_argnames="upright")
def prepared(batch: dict, key: jax.Array, upright: bool) -> tuple[jax.Array, ...]:
    """Windows of a batch; of each of their points the box, the label and the center-ness."""
    batch = detect.augment(batch, key, upright)
    points = detect.points_of(batch["x"])
    boxes, labels = fcos_targets(points, batch["boxes"], batch["labels"])
    central = centerness(distances_of_corners(points.places[None], boxes))
    return batch["x"], boxes, labels, central, points.places, points.strides, batch["weight"]


def giou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 minus the generalized overlap of boxes one by one."""
    area = lambda low, high: (high - low).clamp(min=0).prod(-1)
    both = area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    union = area(a[..., :2], a[..., 2:]) + area(b[..., :2], b[..., 2:]) - both
    hull = area(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:]))
    return 1 - both / union + (hull - union) / hull


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """With gamma 2 and alpha 0.25, summed over classes."""
    p = logits.sigmoid()
    right = torch.where(targets > 0, p, 1 - p)
    weight = torch.where(targets > 0, 0.25, 0.75) * (1 - right) ** 2
    return (weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum(-1)


def loss_of(network: Detector, batch: tuple[Tensor, ...]) -> Tensor:
    """The sum over all points of the images that count, for each point that has a box."""
    x, boxes, labels, central, points, strides, weight = batch
    logits, distances, centerness = network(x)
    there = labels >= 0
    targets = F.one_hot(labels.clamp(min=0).long(), logits.shape[-1]) * there[..., None]
    distances = distances * strides[:, None]
    found = torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)
    of_center = F.binary_cross_entropy_with_logits(centerness[there], central[there], reduction="none")
    of_boxes = giou_loss(found[there], boxes[there]) + of_center
    of_classes = focal_loss(logits, targets.float()).sum(-1)
    total = (of_classes * weight).sum() + (of_boxes * weight[:, None].expand_as(there)[there]).sum()
    return total / (there.sum(-1).clamp(min=1) * weight).sum()


def rate_at(step: int, config: Config) -> float:
    """The schedule's learning rate: up from 0, and down to it along a cosine."""
    if step < config.warmup:
        return config.learning_rate * step / config.warmup
    done = (step - config.warmup) / (config.steps - config.warmup)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def train(config: Config, training: dict[str, np.ndarray], classes: int) -> Detector:
    """The network after all steps of Adam."""
    torch.manual_seed(config.seed)
    network = Detector(config, classes).train()
    optimizer = torch.optim.Adam(network.parameters())
    batches, key = Batches(training, config.batch_size, seed=config.seed), jax.random.key(config.seed)
    for step in range(config.steps):
        arrays = prepared(batches[step], jax.random.fold_in(key, step), config.scenes == "garments")
        loss = loss_of(network, tuple(torch.from_numpy(np.array(array)) for array in arrays))
        optimizer.param_groups[0]["lr"] = rate_at(step, config)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
    return network


@torch.no_grad()
def find_all(network: Detector, x: np.ndarray) -> list[np.ndarray]:
    """Boxes (b, 100, 4), their scores, and their labels, -1 for none."""
    network.eval()
    points, size = detect.points_of(x), x.shape[1:3]
    best = jax.jit(lambda found: fcos_detections(points, found, size, candidates=400))
    found = [network(torch.from_numpy(batch["x"])) for batch in in_order({"x": x}, min(20, len(x)))]
    found = [best(PointPredictions(*(jnp.asarray(y.numpy()) for y in each))) for each in found]
    return [np.concatenate(each)[: len(x)] for each in zip(*found, strict=True)]


def main() -> None:
    parser = options(__doc__, seeds=1, threads=2)
    parser.add_argument("--scenes", choices=SCENES, default="trees")
    add_settings(parser, Config(), ("steps",))
    given = parsed(parser)
    load, names = SCENES[given["scenes"]]
    with data_needed():
        training, validation, test, _ = load(given["data_dir"])
    for seed in range(given["seeds"]):
        clock = Clock()
        config = Config(steps=given["steps"], scenes=given["scenes"], seed=seed)
        network = train(config, training, len(names))
        found = clock.seconds()
        for name, part in (("val", validation), ("test", test)):
            scores = detect.scores_of(find_all(network, part["x"]), part, len(names))
            found |= {f"{name}_{what}": value for what, value in scores.items()}
        tell({"peer": "detect", "scenes": given["scenes"], "seed": seed}, found)


if __name__ == "__main__":
    main()
