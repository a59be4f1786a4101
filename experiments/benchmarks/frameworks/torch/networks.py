"""The workloads in torch. (Of images: `images`.)"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.torch import images
from experiments.benchmarks.frameworks.torch.blocks import Gpt, decode
from experiments.benchmarks.frameworks.torch.training import train
from experiments.benchmarks.measure import Built


def build(workload: str, *, compiled: bool = False) -> Built:
    """Sets a workload up."""
    return decode() if workload == "decode" else train(workload, NETWORKS[workload](), compiled=compiled)


def mlp() -> nn.Module:
    layers = [nn.Linear(784, 128), nn.ReLU(), nn.Dropout(problems.MLP_DROPOUT), nn.Linear(128, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, problems.CLASSES))


def cnn() -> nn.Module:
    convolutions = [
        *(nn.Conv2d(3, 32, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding="same"), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    dense = [nn.Flatten(), nn.Linear(8 * 8 * 64, 512), nn.ReLU(), nn.Dropout(problems.CNN_DROPOUT)]
    return nn.Sequential(*convolutions, *dense, nn.Linear(512, problems.CLASSES))


class LastState(nn.Module):
    """An LSTM whose last state goes to the classes. torch has two biases a gate: one stays zero, untrained."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(problems.LSTM_FEATURES, problems.LSTM_HIDDEN, batch_first=True)
        nn.init.zeros_(self.lstm.bias_ih_l0).requires_grad_(False)
        self.out = nn.Linear(problems.LSTM_HIDDEN, problems.CLASSES)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


def tiny() -> nn.Module:
    width = problems.TINY_WIDTH
    layers = [m for _ in range(problems.TINY_LAYERS) for m in (nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, problems.CLASSES))


class Gcn(nn.Module):
    """Graph convolutions as products with the sparse matrix of the graph, which is there before training."""

    def __init__(self, size: problems.Graph):
        super().__init__()
        senders, receivers, weights = map(torch.from_numpy, problems.edges(loops=True))
        shape = (size.nodes, size.nodes)
        graph = torch.sparse_coo_tensor(torch.stack([receivers, senders]).long(), weights, shape, check_invariants=True)
        self.register_buffer("graph", graph.coalesce())
        self.first, self.second = nn.Linear(size.words, size.hidden), nn.Linear(size.hidden, size.classes)

    def layer(self, linear: nn.Linear, x):
        x = F.dropout(x, problems.GCN_DROPOUT)
        return torch.sparse.mm(self.graph, x @ linear.weight.mT) + linear.bias

    def forward(self, x):
        return self.layer(self.second, F.relu(self.layer(self.first, x)))


class Experts(nn.Module):
    """Experts one after another, each on the tokens that chose it, as `transformers` has it."""

    def __init__(self, size: problems.Experts):
        super().__init__()
        self.top, self.norm = size.top, nn.LayerNorm(size.width)
        self.router = nn.Linear(size.width, size.experts, bias=False)
        expert = lambda: nn.Sequential(
            nn.Linear(size.width, size.hidden, bias=False),
            nn.GELU("tanh"),
            nn.Linear(size.hidden, size.width, bias=False),
        )
        self.experts = nn.ModuleList(expert() for _ in range(size.experts))

    def forward(self, x):
        h = self.norm(x)
        best, which = self.router(h).topk(self.top)
        weights, y = best.softmax(-1), torch.zeros_like(h)
        for i, expert in enumerate(self.experts):
            rows, place = torch.where(which == i)
            y.index_add_(0, rows, expert(h[rows]) * weights[rows, place, None])
        return x + y


class Moe(nn.Module):
    """Blocks of experts, read out by the token table."""

    def __init__(self, size: problems.Experts):
        super().__init__()
        self.tokens = nn.Embedding(size.vocab, size.width)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.blocks = nn.Sequential(*(Experts(size) for _ in range(size.blocks)))

    def forward(self, tokens):
        return F.linear(self.blocks(self.tokens(tokens.flatten())), self.tokens.weight).view(*tokens.shape, -1)


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "lstm": LastState,
    "gpt": lambda: Gpt(problems.DECODERS["gpt"]),
    "tiny": tiny,
    "deep": lambda: Gpt(problems.DECODERS["deep"]),
    "gcn": lambda: Gcn(problems.GRAPH),
    "moe": lambda: Moe(problems.EXPERTS),
    **images.NETWORKS,
}
