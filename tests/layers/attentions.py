"""Attention written out in torch, of parameters in jnn's layout; who sees whom; cuts of sequences."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import torch

from tests.layers.recurrences import random_params


def turn(x: torch.Tensor) -> torch.Tensor:
    """Rotary of (..., t, r): feature i with i + r / 2, as complex numbers."""
    t, r = x.shape[-2:]
    angles = np.outer(np.arange(t), 1e4 ** (-np.arange(0, r, 2) / r))
    z = torch.complex(x[..., : r // 2], x[..., r // 2 :]) * torch.exp(1j * torch.tensor(angles)).to(
        x.dtype.to_complex()
    )
    return torch.cat([z.real, z.imag], -1)


def into(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """(..., t, d) -> (..., h, t, k)."""
    y = torch.einsum("...td,dhk->...htk", x, p["w"])
    return y + p["b"][:, None] if "b" in p else y


def weighted(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: Any = None, bias: Any = 0, sinks: Any = None):
    """Means of values, (..., h, t, k): key j is seen by query i where `seen[..., i, j]`; sinks have no value."""
    scores = q @ k.mT / q.shape[-1] ** 0.5 + bias
    if seen is not None:
        scores = torch.where(torch.as_tensor(seen)[..., None, :, :], scores, -torch.inf)
    if sinks is not None:
        scores = torch.cat([scores, sinks[:, None, None].expand(*scores.shape[:-1], 1)], -1)
    return scores.softmax(-1)[..., : k.shape[-2]] @ v


def attended(p: Any, x: torch.Tensor, kv: torch.Tensor | None = None, *, rotate: bool = False, **how: Any):
    """`attention` of `attention_spec`'s parameters."""
    kv = x if kv is None else kv
    q, k, v = into(p["q"], x), into(p["k"], kv), into(p["v"], kv)
    q, k = (turn(q), turn(k)) if rotate else (q, k)
    k, v = (a.repeat_interleave(q.shape[-3] // a.shape[-3], -3) for a in (k, v))
    means = weighted(q, k, v, sinks=p.get("sinks"), **how)
    return torch.einsum("...htk,hkd->...td", means, p["o"]["w"]) + p["o"].get("b", 0)


def sight(t: int, window: int | None = None) -> np.ndarray:
    """(t, t): what lies behind, within a window."""
    ahead = np.arange(t)[:, None] - np.arange(t)
    return (ahead >= 0) & (ahead < (window or t))


def cuts(rng: np.random.Generator, t: int) -> list[int]:
    """Where a sequence of t is cut: nowhere, anywhere, or everywhere."""
    return sorted(rng.choice(np.arange(1, t), rng.integers(0, t), replace=False).tolist())


def leaves_of(spec: Any, rng: np.random.Generator) -> tuple[list[np.ndarray], Any]:
    """Random parameters, as a list, and the tree that they make."""
    leaves, tree = jax.tree.flatten(random_params(spec, int(rng.integers(99))))
    return [np.asarray(leaf) for leaf in leaves], tree
