"""The workloads in torch at its best on a CPU: eager, every core, fused optimizers, convolutions channels last.

`torch.compile` is left out: on these sizes it is no faster a step, and its first step takes many seconds.
"""

from __future__ import annotations

import functools
import os

import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmarks import problems
from experiments.benchmarks.measure import Built


def built(name: str, model: nn.Module, *, decay: bool = False, channels_last: bool = False) -> Built:
    """Trains the model on the workload's batch by Adam, or AdamW."""
    torch.set_num_threads(os.cpu_count() or 1)
    batch = {k: torch.from_numpy(v) for k, v in problems.batch(name).items()}
    x, y = batch["x"], batch["y"].long().flatten()
    if channels_last:  # the batch is already: NHWC in memory is what channels_last means
        x, model = x.permute(0, 3, 1, 2), model.to(memory_format=torch.channels_last)
    trained = [p for p in model.parameters() if p.requires_grad]
    lr, weight_decay = problems.LEARNING_RATE, problems.WEIGHT_DECAY
    if decay:
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(trained, lr, weight_decay=weight_decay, fused=True)
    else:
        optimizer = torch.optim.Adam(trained, lr, fused=True)

    def step():
        loss = F.cross_entropy(model(x).flatten(0, -2), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Built(step, float, sum(p.numel() for p in trained))


def mlp() -> Built:
    layers = [nn.Linear(784, 128), nn.ReLU(), nn.Dropout(problems.MLP_DROPOUT), nn.Linear(128, 64), nn.ReLU()]
    return built("mlp", nn.Sequential(*layers, nn.Linear(64, problems.CLASSES)))


def cnn() -> Built:
    convolutions = [
        *(nn.Conv2d(3, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    dense = [nn.Flatten(), nn.Linear(8 * 8 * 64, 512), nn.ReLU(), nn.Dropout(problems.CNN_DROPOUT)]
    model = nn.Sequential(*convolutions, *dense, nn.Linear(512, problems.CLASSES))
    return built("cnn", model, channels_last=True)


class LastState(nn.Module):
    """An LSTM whose last state goes to the classes. torch has two biases a gate: one stays zero, untrained."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(problems.LSTM_FEATURES, problems.LSTM_HIDDEN, batch_first=True)
        nn.init.zeros_(self.lstm.bias_ih_l0).requires_grad_(False)
        self.out = nn.Linear(problems.LSTM_HIDDEN, problems.CLASSES)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        x = x + self.o(mixed)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """The decoder, its read-out tied to the token table."""

    def __init__(self, size: problems.Decoder):
        super().__init__()
        self.tokens = nn.Embedding(size.vocab, size.width)
        self.positions = nn.Parameter(torch.randn(size.tokens, size.width) * 0.02)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.blocks = nn.Sequential(*(Block(size.width, size.heads) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, tokens):
        x = self.blocks(self.tokens(tokens) + self.positions)
        return F.linear(self.norm(x), self.tokens.weight)


def decoder(name: str) -> Built:
    return built(name, Gpt(problems.DECODERS[name]), decay=True)


def tiny() -> Built:
    width = problems.TINY_WIDTH
    layers = [m for _ in range(problems.TINY_LAYERS) for m in (nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU())]
    return built("tiny", nn.Sequential(*layers, nn.Linear(width, problems.CLASSES)))


WORKLOADS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": lambda: built("lstm", LastState()),
    "gpt": functools.partial(decoder, "gpt"),
    "tiny": tiny,
    "deep": functools.partial(decoder, "deep"),
}
