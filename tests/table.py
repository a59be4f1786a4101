"""One row per layer and loss. `laws.py` runs every law over every row; a new block joins by adding a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jnn import layers, losses
from jnn.param import Spec

Rng = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer as the laws see it.

    name: shown in test ids.
    spec: its declaration ({} where it has no parameters).
    apply: `(params, *inputs, key) -> outputs`, any tree of arrays.
    example: `(rng) -> inputs` of ONE example, without batch axes: a tuple of arrays.
    per_example: False where examples of a batch see each other (batch statistics).
    noisy: whether the key is used.
    """

    name: str
    spec: Spec
    apply: Callable[..., Any]
    example: Callable[[Rng], tuple[np.ndarray, ...]]
    per_example: bool = True
    noisy: bool = False


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss: `apply(predictions, targets)` and one example of both, without batch axes."""

    name: str
    apply: Callable[..., Any]
    example: Callable[[Rng], tuple[np.ndarray, np.ndarray]]


def floats(*shape: int) -> Callable[[Rng], tuple[np.ndarray, ...]]:
    """One normal float32 input of this shape."""
    return lambda rng: (rng.normal(size=shape).astype(np.float32),)


def pair(*shape: int) -> Callable[[Rng], tuple[np.ndarray, np.ndarray]]:
    """Predictions and targets, normal float32."""
    return lambda rng: (rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32))


LAYERS = [
    # linear, dropout
    Layer("linear", layers.linear_spec(5, 7), lambda p, x, key: layers.linear(p, x), floats(5)),
    Layer("linear-no-bias", layers.linear_spec(5, 7, bias=False), lambda p, x, key: layers.linear(p, x), floats(5)),
    Layer(
        "linear-many-axes",
        layers.linear_spec((2, 3), (4, 5), axes=("heads", "head", "a", "b")),
        lambda p, x, key: layers.linear(p, x, in_axes=2),
        floats(2, 3),
    ),
    Layer("dropout", {}, lambda p, x, key: layers.dropout(x, 0.3, key=key), floats(6), noisy=True),
    # convolution, pooling, normalization
    # embedding, position, recurrent, attention
]

LOSSES = [
    # regression
    Loss("squared_error", losses.squared_error, pair(3)),
    Loss("absolute_error", losses.absolute_error, pair(3)),
    Loss("huber", losses.huber, pair(3)),
    # classification
]
