"""What rows of the table are made of: `Block` of `jnn.laws`, `Loss`, and draws of examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jnn import checks
from jnn.laws import Block

Rng = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss: `apply(predictions, targets)` and one example of both, without batch axes."""

    name: str
    apply: Callable[..., Any]
    example: Callable[[Rng], tuple[np.ndarray, np.ndarray]]

    def inputs(self, *leading: int) -> tuple[jax.Array, ...]:
        """Predictions and targets with these leading axes; always the same."""
        return Block(self.name, {}, self.apply, self.example).inputs(*leading)


def at(x: Any, i: int | slice) -> Any:
    """x[..., i], of what x is of: lists stay lists, for the loss to refuse."""
    return np.asarray(x)[..., i].tolist() if isinstance(x, list) else x[..., i]


def like(x: Any, constant: Any) -> Any:
    """A constant in x's dtype, if x is an array of JAX or NumPy: others are for the loss to refuse."""
    return constant.astype(x.dtype) if isinstance(x, jax.Array | np.ndarray) else constant


def weight(p: Any) -> Any:
    """The "w" of params, for a function of arrays: read as a layer reads its own."""
    checks.params("weight", p, "w")
    return p["w"]


def floats(*shape: int) -> Callable[[Rng], tuple[np.ndarray, ...]]:
    """One normal float32 input of this shape."""
    return lambda rng: (rng.normal(size=shape).astype(np.float32),)


def integers(below: int, *shape: int) -> Callable[[Rng], tuple[np.ndarray, ...]]:
    """One int32 input of this shape, of 0..below-1."""
    return lambda rng: (rng.integers(0, below, shape).astype(np.int32),)


def pair(*shape: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Predictions and targets, normal float32."""
    return lambda rng: (rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32))


def probabilities(*shape: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Probabilities and targets of independent yes/no answers."""
    return lambda rng: (rng.uniform(0.01, 0.99, shape).astype(np.float32), rng.uniform(size=shape).astype(np.float32))


def classes(n: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Logits and an integer label."""
    return lambda rng: (rng.normal(size=n).astype(np.float32), np.asarray(rng.integers(n), np.int32))


def soft_classes(n: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Logits and a target distribution."""
    return lambda rng: (rng.normal(size=n).astype(np.float32), rng.dirichlet(np.ones(n)).astype(np.float32))
