"""A mixture of experts in torch: routing, and each expert's answer to each token; random ones."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import torch

from jnn.activations import gelu
from jnn.layers import mixture_of_experts_spec
from tests.layers.attentions import leaves_of

ACTIVATIONS = [
    (jax.nn.silu, torch.nn.functional.silu),
    (gelu, lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
]


def drawn(rng: np.random.Generator, **more: Any) -> tuple[list[np.ndarray], Any, Any, int]:
    """Tokens (..., t, d) and parameters as leaves; their tree; an activation, ours and torch's; how many experts."""
    d, hidden, n, t = rng.integers(1, 7, 4).tolist()
    leaves, tree = leaves_of(mixture_of_experts_spec(d, hidden, n, gate=bool(rng.integers(2)), **more), rng)
    leading = tuple(rng.integers(1, 4, rng.integers(0, 3)).tolist())
    x = rng.normal(size=(*leading, t, d)).astype(np.float32)
    return [x, *leaves], tree, ACTIVATIONS[rng.integers(2)], n


def routed(p: Any, x: torch.Tensor, top: int, normalized: bool | None) -> tuple[torch.Tensor, ...]:
    """Logits, and of the chosen experts their numbers and weights."""
    logits = x @ p["router"]["w"]
    best, which = logits.sort(-1, descending=True)
    in_proportion = top > 1 if normalized is None else normalized
    weights = best[..., :top].softmax(-1) if in_proportion else best.softmax(-1)[..., :top]
    return logits, which[..., :top], weights


def answer(p: Any, x: torch.Tensor, act: Any) -> torch.Tensor:
    """Of every expert to every row, (..., e, d)."""
    into = lambda name, h: torch.einsum("...ea,eab->...eb", h, p[name]["w"])
    rows = x[..., None, :].expand(*x.shape[:-1], len(p["up"]["w"]), x.shape[-1])
    h = act(into("gate", rows)) * into("up", rows) if "gate" in p else act(into("up", rows))
    return into("down", h)


def together(p: Any, x: torch.Tensor, weights: torch.Tensor, which: torch.Tensor, act: Any) -> torch.Tensor:
    """The weighted sum of the chosen ones' answers, and of what all tokens have beside."""
    chosen = answer(p, x, act).gather(-2, which[..., None].expand(*which.shape, x.shape[-1]))
    y = (weights[..., None] * chosen).sum(-2)
    if "shared" not in p:
        return y
    up, down = x @ p["shared"]["up"]["w"], p["shared"]["down"]["w"]
    beside = (act(x @ p["shared"]["gate"]["w"]) * up if "gate" in p["shared"] else act(up)) @ down
    return y + (torch.sigmoid(x @ p["shared_gate"]["w"]) * beside if "shared_gate" in p else beside)
