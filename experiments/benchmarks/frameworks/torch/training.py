"""A network's training in torch: eager or by `torch.compile`, on the device that JAX would take."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmarks import problems
from experiments.benchmarks.machine import cores
from experiments.benchmarks.measure import Built

DEVICE = "cuda" if os.environ.get("JAX_PLATFORMS", "").startswith("cuda") else "cpu"
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, problems.LEARNING_RATE, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, problems.LEARNING_RATE, weight_decay=problems.WEIGHT_DECAY, fused=True),
    "momentum": lambda p: torch.optim.SGD(p, problems.SGD_RATE, problems.MOMENTUM, fused=True),
}


def tensors(workload: str) -> dict[str, torch.Tensor]:
    """The workload's batch; images channels first, as torch's layers ask, and in memory as they were: channels last."""
    torch.set_num_threads(cores())
    batch = {k: torch.from_numpy(v).to(DEVICE) for k, v in problems.batch(workload).items()}
    return {k: v.permute(0, 3, 1, 2) if v.ndim == 4 else v for k, v in batch.items()}


def train(workload: str, model: nn.Module, *, compiled: bool = False) -> Built:
    """Trains `model(x) -> outputs` on the workload's batch."""
    batch = tensors(workload)
    y, inputs = batch["y"], problems.inputs(batch)
    model = model.to(DEVICE, memory_format=torch.channels_last if inputs[0].ndim == 4 else torch.preserve_format)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = OPTIMIZERS[problems.PROBLEMS[workload].optimizer](trained)
    forward = torch.compile(model) if compiled else model

    def step():
        loss = mean_loss(forward(*inputs), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Built(step, float, sum(p.numel() for p in trained))


def mean_loss(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cross-entropy where the targets are labels, else the squared error."""
    if y.is_floating_point():
        return F.mse_loss(outputs, y)
    return F.cross_entropy(outputs.flatten(0, -2), y.long().flatten())
