"""Blocks beside the same blocks in Flax Linen, forwards and with their gradients, compiled, in one process.

python -m experiments.benchmarks.blocks [--rounds 9] [--seconds 0.05] [--only conv,lstm]

In each round the two take turns; the table has theirs / ours, the median of the rounds and (least-most). Above 1, jnn
is faster. A second call that compiles anew is an error. Flax takes the variance of a norm as E[x^2] - E[x]^2, which has
no digits left where the mean is large; "exact" is its other formulation, E[(x - mean)^2], which is ours always.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import jnn
from experiments.benchmarks.table import Ratio
from jnn import layers
from jnn.inspect import format_table
from jnn.param import Spec

KEY = jax.random.key(0)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A block and Flax's: ours as a spec and `(params, x) -> y`, theirs as a module, and the shape of x."""

    spec: Spec
    ours: Callable[..., Any]
    theirs: nn.Module
    shape: tuple[int, ...]


def first(f: Callable[..., Any]) -> Callable[..., Any]:
    """The outputs of what gives a carry or statistics besides."""
    return lambda *args: f(*args)[0]


PAIRS = {
    "linear": Pair(layers.linear_spec(512, 512), layers.linear, nn.Dense(512), (256, 512)),
    "conv 3x3": Pair(layers.conv_spec(32, 32, (3, 3)), layers.conv, nn.Conv(32, (3, 3)), (16, 32, 32, 32)),
    "conv depthwise": Pair(
        layers.depthwise_conv_spec(64, (3, 3)),
        layers.depthwise_conv,
        nn.Conv(64, (3, 3), feature_group_count=64),
        (8, 32, 32, 64),
    ),
    "batch norm": Pair(
        layers.batch_norm_spec(64), first(layers.batch_norm), nn.BatchNorm(use_running_average=False), (32, 16, 16, 64)
    ),
    "batch norm, exact": Pair(
        layers.batch_norm_spec(64),
        first(layers.batch_norm),
        nn.BatchNorm(use_running_average=False, use_fast_variance=False),
        (32, 16, 16, 64),
    ),
    "layer norm": Pair(layers.layer_norm_spec(512), layers.layer_norm, nn.LayerNorm(), (64, 128, 512)),
    "rms norm": Pair(layers.rms_norm_spec(512), layers.rms_norm, nn.RMSNorm(), (64, 128, 512)),
    "group norm": Pair(
        layers.group_norm_spec(64), partial(layers.group_norm, groups=8), nn.GroupNorm(8), (16, 16, 16, 64)
    ),
    "instance norm": Pair(layers.instance_norm_spec(64), layers.instance_norm, nn.InstanceNorm(), (16, 16, 16, 64)),
    "instance norm, exact": Pair(
        layers.instance_norm_spec(64),
        layers.instance_norm,
        nn.InstanceNorm(use_fast_variance=False),
        (16, 16, 16, 64),
    ),
    "attention": Pair(
        layers.attention_spec(256, 4),
        layers.attention,
        nn.MultiHeadDotProductAttention(4, deterministic=True),
        (4, 128, 256),
    ),
    "lstm": Pair(
        layers.lstm_cell_spec(64, 128),
        first(partial(layers.rnn, layers.lstm_cell)),
        nn.RNN(nn.OptimizedLSTMCell(128)),
        (32, 64, 64),
    ),
    "gru": Pair(
        layers.gru_cell_spec(64, 128),
        first(partial(layers.rnn, layers.gru_cell)),
        nn.RNN(nn.GRUCell(128)),
        (32, 64, 64),
    ),
}


def ready(f: Callable[..., Any], params: Any, x: jax.Array, grads: bool) -> Callable[[], Any]:
    """A compiled call, which does not compile again."""
    total = lambda params, x: jnp.sum(f(params, x) ** 2)
    run = jax.jit(jax.grad(total, (0, 1)) if grads else f)
    for _ in range(2):
        jax.block_until_ready(run(params, x))
    if run._cache_size() != 1:
        raise RuntimeError("a second call of the same shapes compiled again")
    return lambda: run(params, x)


def seconds_of(call: Callable[[], Any], least: float) -> float:
    """Seconds a call, over calls that last this long together."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < least:
        jax.block_until_ready(call())
        calls += 1
    return (time.perf_counter() - start) / calls


def compare(pair: Pair, grads: bool, rounds: int, seconds: float) -> tuple[float, Ratio]:
    """Our milliseconds at the least, and theirs / ours over the rounds."""
    x = jax.random.normal(KEY, pair.shape)
    variables = pair.theirs.init(KEY, x)
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    apply = lambda params, x: pair.theirs.apply({"params": params, **rest}, x, mutable=[*rest])[0]
    ours = ready(pair.ours, jnn.init(pair.spec, KEY), x, grads)
    theirs = ready(apply, variables.get("params", {}), x, grads)
    times = [(seconds_of(ours, seconds), seconds_of(theirs, seconds)) for _ in range(rounds)]
    ratios = [b / a for a, b in times]
    return 1e3 * min(a for a, _ in times), Ratio(statistics.median(ratios), min(ratios), max(ratios))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each is measured (9)")
    parser.add_argument("--seconds", type=float, default=0.05, help="how long each time (0.05)")
    parser.add_argument("--only", default="", help="parts of names, separated by commas")
    args = parser.parse_args()
    rows = []
    for name, pair in PAIRS.items():
        if any(part in name for part in args.only.split(",")):
            both = [compare(pair, grads, args.rounds, args.seconds) for grads in (False, True)]
            rows.append([name, *(cell for ms, ratio in both for cell in (f"{ms:.3f}", str(ratio)))])
            print(" ".join(rows[-1]), flush=True)
    print(format_table(["block", "forwards ms", "flax / jnn", "with gradients ms", "flax / jnn"], rows))


if __name__ == "__main__":
    main()
