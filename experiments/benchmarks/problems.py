"""The problems that every framework solves: sizes, hyperparameters and one fixed batch each.

mlp        784-128-dropout 0.2-64-10, batch 32                           the MNIST perceptron
cnn        conv 3-32-64, 3x3, max pooling 2x2, dense 512, dropout 0.5    CIFAR's shape, batch 64
lstm       64 features, hidden 256, 128 steps, last state to 10 classes  batch 64
gpt        4 pre-norm blocks, 256 wide, 8 heads, context 128, tied       vocabulary 512, batch 8
tiny       8 times linear 32-32, layer norm, ReLU; then 10 classes       batch 8
deep       gpt's block 48 times, 64 wide, 4 heads, 32 tokens             what its first step costs, batch 2
mobilenet  4 of MobileNetV2's blocks, depthwise and with batch norm      32 images of 32x32
resnet     ResNet-18, batch norm                                         8 images of 112x112
vit        ViT-Ti: 12 blocks, 192 wide, 3 heads; patches of 8x8          8 images of 64x64
gcn        two graph convolutions, 16 wide, dropout 0.5                  a made graph of Cora's size
diffusion  DDPM's U-Net, 32 and 64 wide: the noise of images             16 images of 32x32
moe        2 blocks of 8 experts, 512 wide, of which a token has 2       1,024 tokens, 256 wide
decode     gpt writes 96 tokens behind 32, the likeliest each            4 texts; a "step" is a token of each
leaves...  so many parameters of one number each, of which one is used   what a call of the step costs

NumPy alone is imported here, so that no framework pays for another one's start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

CLASSES = 10
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01  # AdamW's, on every parameter: the same work everywhere
SGD_RATE, MOMENTUM = 0.01, 0.9
STATISTICS_MOMENTUM = 0.9  # of batch norm's running averages
MLP_DROPOUT, CNN_DROPOUT, GCN_DROPOUT = 0.2, 0.5, 0.5
LSTM_FEATURES, LSTM_HIDDEN = 64, 256
TINY_LAYERS, TINY_WIDTH = 8, 32
UNET_WIDTHS, UNET_GROUPS = (32, 64), 8


@dataclasses.dataclass(frozen=True)
class Problem:
    """A batch, and how a network is trained on it.

    Attributes:
      title: what a table calls it.
      shape: of the inputs "x".
      labels: how many classes there are; 0 where the targets are numbers of x's shape.
      tokens: of how many kinds the inputs are; 0 where they are numbers.
      optimizer: "adam", "adamw", "sgd", or "momentum": SGD with it.
    """

    title: str
    shape: tuple[int, ...]
    labels: int = CLASSES
    tokens: int = 0
    optimizer: str = "adam"


@dataclasses.dataclass(frozen=True)
class Transformer:
    """Pre-norm blocks, GELU, 4 times as wide inside; a decoder's positions are learned, its read-out tied."""

    layers: int
    width: int
    heads: int
    tokens: int
    vocab: int = 512


@dataclasses.dataclass(frozen=True)
class MobileNet:
    """Inverted residuals between a 3x3 convolution and one of 1x1; ReLU6."""

    stem: int = 32
    widths: tuple[int, ...] = (32, 64, 128, 128)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    widen: int = 4
    last: int = 256


@dataclasses.dataclass(frozen=True)
class ResNet:
    """Stages of two blocks of two 3x3 convolutions behind a 7x7 one that strides and is pooled."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depth: int = 2

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Width and stride of each: the first of a stage halves the image, but for the first stage's."""
        return [(width, 2 if i and not j else 1) for i, width in enumerate(self.widths) for j in range(self.depth)]


@dataclasses.dataclass(frozen=True)
class Experts:
    """Residual blocks of a layer norm and experts, two linear maps without biases; read-out tied to the tokens."""

    blocks: int = 2
    width: int = 256
    hidden: int = 512
    experts: int = 8
    top: int = 2
    vocab: int = 512


@dataclasses.dataclass(frozen=True)
class Graph:
    """A graph of Cora's size: papers by their words."""

    nodes: int = 2708
    pairs: int = 5278  # each an edge in both directions
    words: int = 1433
    hidden: int = 16
    classes: int = 7


DECODERS = {
    "gpt": Transformer(layers=4, width=256, heads=8, tokens=128),
    "deep": Transformer(layers=48, width=64, heads=4, tokens=32),
    "decode": Transformer(layers=4, width=256, heads=8, tokens=128),
}
VIT, PATCH = Transformer(layers=12, width=192, heads=3, tokens=64), 8
MOBILENET, RESNET, EXPERTS, GRAPH = MobileNet(), ResNet(), Experts(), Graph()
LEAVES = {f"leaves {count:,}": count for count in (10, 100, 1_000, 10_000)}
PROBLEMS = {
    "mlp": Problem("MLP", (32, 784)),
    "cnn": Problem("CIFAR CNN", (64, 32, 32, 3)),
    "lstm": Problem("LSTM", (64, 128, LSTM_FEATURES)),
    "gpt": Problem("GPT, 4 layers", (8, 128), 512, 512, "adamw"),
    "tiny": Problem("tiny 8-layer net", (8, TINY_WIDTH)),
    "deep": Problem("48-layer decoder", (2, 32), 512, 512, "adamw"),
    "mobilenet": Problem("MobileNetV2 blocks", (32, 32, 32, 3), optimizer="momentum"),
    "resnet": Problem("ResNet-18", (8, 112, 112, 3), optimizer="momentum"),
    "vit": Problem("ViT-Ti", (8, 64, 64, 3), optimizer="adamw"),
    "gcn": Problem("GCN, Cora's size", (GRAPH.nodes, GRAPH.words), GRAPH.classes),
    "diffusion": Problem("diffusion U-Net", (16, 32, 32, 3), 0),
    "moe": Problem("mixture of experts", (8, 128), 512, 512),
    "decode": Problem("greedy decode, a token", (4, 32), 512, 512),
    **{name: Problem(f"a step of {name.split()[1]} leaves", (8, 1), 0, optimizer="sgd") for name in LEAVES},
}
NAMES = tuple(PROBLEMS)


def batch(workload: str) -> dict[str, np.ndarray]:
    """The workload's batch: inputs "x", of "diffusion" their times "t" too, and targets "y".

    The second half repeats the inputs of the first under targets of its own. So the loss can fall but
    never vanish, and no framework comes to multiply denormal numbers after thousands of steps.
    """
    rng, problem = np.random.default_rng(0), PROBLEMS[workload]
    if problem.tokens:
        x = rng.integers(0, problem.tokens, problem.shape, dtype=np.int32)
        y = rng.integers(0, problem.labels, problem.shape, dtype=np.int32)
    else:
        x = rng.normal(size=problem.shape).astype(np.float32)
        y = rng.integers(0, problem.labels, problem.shape[:1], dtype=np.int32) if problem.labels else x.copy()
    made = {"diffusion": noisy, "gcn": bags}.get(workload, lambda x: {"x": x})(x)
    for part in made.values():
        part[len(x) // 2 :] = part[: len(x) // 2]
    return {**made, "y": y}


def inputs(batch: Mapping[str, Any]) -> list[Any]:
    """What a network is called with."""
    return [batch[name] for name in ("x", "t") if name in batch]


def noisy(noise: np.ndarray) -> dict[str, np.ndarray]:
    """Images with this noise, more of it the later it is."""
    rng = np.random.default_rng(1)
    t = rng.integers(0, 1000, len(noise), dtype=np.int32)
    angle = (t / 1000 * np.pi / 2).astype(np.float32).reshape(-1, *[1] * (noise.ndim - 1))
    return {"x": np.cos(angle) * rng.uniform(-1, 1, noise.shape).astype(np.float32) + np.sin(angle) * noise, "t": t}


def bags(x: np.ndarray) -> dict[str, np.ndarray]:
    """Bags of words, one of eighty in each, whose rows sum to 1."""
    words = (x > np.quantile(x, 1 - 1 / 80)).astype(np.float32)
    return {"x": words / np.maximum(words.sum(1, keepdims=True), 1)}


class Edges(NamedTuple):
    """Edges: a node sends, another receives; and their weights in `D^-1/2 (A + I) D^-1/2`."""

    senders: np.ndarray
    receivers: np.ndarray
    weights: np.ndarray


def edges(*, loops: bool) -> Edges:
    """The graph's, in both directions; with loops also from every node to itself, last."""
    ends = np.random.default_rng(2).integers(0, GRAPH.nodes, (GRAPH.pairs, 2), dtype=np.int32)
    every = np.arange(GRAPH.nodes, dtype=np.int32)
    senders, receivers = (np.concatenate([ends[:, i], ends[:, 1 - i], every]) for i in (0, 1))
    root = np.sqrt(np.bincount(receivers, minlength=GRAPH.nodes))
    weights = (1 / (root[senders] * root[receivers])).astype(np.float32)
    return Edges(*(part if loops else part[: -GRAPH.nodes] for part in (senders, receivers, weights)))
