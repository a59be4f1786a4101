"""Which formulation runs on which backend: the one table, with the measured reason for each row.

The formulations of a row are the same function of the same arguments; only their speed differs.
The choice is made while tracing, from `jax.default_backend()`, or from `target("tpu")` where a
program is lowered here for somewhere else.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator

import jax


@dataclasses.dataclass(frozen=True)
class Row:
    """The formulation on CPU, the one elsewhere, and why they differ."""

    cpu: str
    other: str
    why: str


TABLE = {
    "dense": Row(
        cpu="flat",
        other="batched",
        why="XLA:CPU runs (B, T, d) @ w 2.7 times slower than the same product with B and T merged; "
        "elsewhere merging could force a sharded time axis to be gathered",
    ),
    "conv_of_one": Row(
        cpu="dot",
        other="conv",
        why="a 1x1 convolution is a product: 22.5 ms fell to 6.4 as a flat one (256 to 64 channels, JAX 0.10)",
    ),
    "conv_of_few": Row(
        cpu="patches",
        other="conv",
        why="with at most 32 numbers under the kernel (a first layer), gradient included, one product of patches took "
        "1.6 ms where XLA:CPU's convolution took 5.3 (3x3, 3 to 32 channels, 64 images 32x32); at 75 it is slower",
    ),
    "conv_depthwise": Row(
        cpu="shifts",
        other="conv",
        why="XLA:CPU's grouped convolution took 227 ms where shifted multiply-adds took 56, gradient included (3x3, 128 "
        "channels, 32 images 16x16); a hand-written gradient gained nothing on top (49) and would lose forward mode",
    ),
    "pool": Row(
        cpu="slices",
        other="reduce_window",
        why="the gradient of XLA:CPU's window maximum is a scalar loop: 18 ms fell to 0.8 for 2x2 (64 images 32x32x32), "
        "207 to 34 for overlapping 3x3, as maxima of strided slices, one axis after another; averages 74 to 18",
    ),
    "attention": Row(
        cpu="heads_first",
        other="fused",
        why="a training step of a 4-layer, 256-wide decoder took 187 ms of one CPU core with heads moved before time, "
        "212 with jax.nn.dot_product_attention, which elsewhere is where compilers look for a fused kernel",
    ),
    "lstm": Row(
        cpu="feature_major",
        other="scan",
        why="a training step of an LSTM (64 to 256 features, 128 steps, batch 64) took 177 ms of one CPU core as a "
        "scan of the cell and 135 with the weights on the left and a hand-written gradient, which has no forward mode",
    ),
}

_target: contextvars.ContextVar[str | None] = contextvars.ContextVar("jnn_backend_target", default=None)


def choose(name: str) -> str:
    """The formulation of `TABLE[name]` for the backend that this trace is for."""
    row = TABLE[name]
    return row.cpu if (_target.get() or jax.default_backend()) == "cpu" else row.other


@contextlib.contextmanager
def target(platform: str) -> Iterator[None]:
    """Traces for another backend than the default one.

    >>> with target("tpu"):
    ...     choose("dense")
    'batched'
    """
    token = _target.set(platform)
    try:
        yield
    finally:
        _target.reset(token)
