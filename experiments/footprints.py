"""What a network takes, and what it is worth: numbers, bytes, time on this machine, accuracy; and a picture of them.

measure(found, network, test, repeats) -> a row for each
accuracy(network, p, test) -> share
footprint(p, masks, codes) -> numbers that are left, and kilobytes
latencies(f, networks, x, repeats) -> milliseconds of each
draw(rows) -> Figure
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

import jnn
from experiments import pictures
from experiments.chunks import in_chunks
from experiments.clocks import milliseconds
from experiments.shrinking import Smaller
from jnn.compression import storage

Network = Callable[[Any, Any], Any]  # parameters and images to logits


def measure(
    found: Mapping[tuple[str, str], Smaller], network: Network, test: Mapping[str, np.ndarray], repeats: int
) -> list[dict[str, Any]]:
    """A row of the table for each network, by its method and what is left; times if there are repeats."""
    rows, logits = [], jax.jit(network)
    for (method, left), one in found.items():
        row = {"method": method, "left": left, **footprint(one.p, one.masks, one.codes)}
        rows.append(row | {"test_accuracy": accuracy(logits, one.p, test)})
    for n in (1, 256) if repeats else ():
        times = latencies(logits, {key: one.p for key, one in found.items()}, test["x"][:n], repeats)
        rows = [row | {f"milliseconds_{n}": time} for row, time in zip(rows, times.values(), strict=True)]
    return rows


def accuracy(network: Network, p: Any, test: Mapping[str, np.ndarray]) -> float:
    """The share of images whose likeliest class is theirs, 500 at a time."""
    classes = in_chunks(lambda batch: network(p, batch["x"]).argmax(-1), {"x": test["x"]}, 500)
    return float((classes == test["y"]).mean())


def footprint(p: Any, masks: Any, codes: Any) -> dict[str, float]:
    """How many numbers are left of parameters, and the kilobytes that they take where they are stored."""
    pruned = sum(int((~np.asarray(mask)).sum()) for mask in jax.tree.leaves(masks))
    taken = storage(p, masks=masks, codes=codes).total
    return {"parameters": jnn.count_params(p) - pruned, "kilobytes": round(taken / 1000, 1)}


def latencies(f: Network, networks: Mapping[Any, Any], x: np.ndarray, repeats: int) -> dict[Any, float]:
    """Median milliseconds of `f(p, x)` of each network, compiled and warm: they take turns, and share the noise."""
    program, x = jax.jit(f), jax.numpy.asarray(x)
    calls = {name: lambda p=p: jax.block_until_ready(program(p, x)) for name, p in networks.items()}
    return {name: round(median, 3) for name, median in milliseconds(calls, repeats).items()}


def draw(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Errors on the test by kilobytes, a line a method, through how strongly it was used."""
    figure, axes = pictures.framed()
    methods = list(dict.fromkeys(row["method"] for row in rows))
    for i, method in enumerate(methods):
        own = [row for row in rows if row["method"] == method]
        x, y = [row["kilobytes"] for row in own], [100 * (1 - row["test_accuracy"]) for row in own]
        how = {"color": colormaps["tab10"].colors[i % 10], "marker": "osD^vP*Xd<"[i % 10]}
        axes.plot(x, y, markersize=6, linewidth=1, label=method.replace("_", " "), **how)
    if any(row["method"] == "dense" for row in rows):
        best = next(row for row in rows if row["method"] == "dense")
        axes.axhline(100 * (1 - best["test_accuracy"]), color=pictures.INK, linewidth=0.6, linestyle=":")
    axes.set(xscale="log", xlabel="kilobytes", ylabel="errors on the test, %")
    sizes = [row["kilobytes"] for row in rows]
    pictures.round_ticks(axes, min(sizes) / 2, 2 * max(sizes))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
