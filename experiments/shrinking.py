"""Ways to make a small CNN smaller, for `experiments.prune`: each, by how strongly, a network that was tuned since.

METHODS[name](trained) -> (how strongly, Smaller), ...

A network that is trained more than once, as the pruned one that `deep` goes on from, has one name: it is trained once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jnn
from jnn import compression
from jnn.compression import Channels, Flat

SPARSITIES, SHARES, RANKS, BITS = (0.9, 0.97), (0.5, 0.25), (32, 8), (4, 2)


@dataclasses.dataclass(frozen=True)
class Smaller:
    """A network: its parameters as its function reads them, and of these what is left and what shares values."""

    p: Any
    masks: Any = None
    codes: Any = None


@dataclasses.dataclass(frozen=True)
class Trained:
    """The dense network: its parameters; its declaration, also with a share of the channels; and how one is trained.

    fit: (name, spec, start=None, **how) -> state: tuned from a start, or trained from the beginning.
    """

    p: Any
    spec_of: Callable[[float], Any]
    fit: Callable[..., Any]
    tuning_steps: int

    @property
    def spec(self) -> Any:
        return self.spec_of(1.0)


Found = Iterator[tuple[str, Smaller]]


def dense(net: Trained) -> Found:
    yield "100%", Smaller(net.fit("dense", net.spec, net.p).params)


def one_shot(net: Trained) -> Found:
    for sparsity in SPARSITIES:
        masks = compression.prune(compression.magnitude_scores(net.p, net.spec), sparsity, globally=True)
        state = net.fit(f"one_shot_{sparsity:.0%}", net.spec, net.p, behind=[compression.keep_pruned(masks)])
        yield f"{1 - sparsity:.0%}", Smaller(state.params, masks)


def gradual(net: Trained) -> Found:
    for sparsity in SPARSITIES:
        yield f"{1 - sparsity:.0%}", _gradual(net, sparsity)


def _gradual(net: Trained, sparsity: float) -> Smaller:
    """By a schedule that ends when two thirds of the steps are done."""
    schedule = compression.cubic_sparsity(sparsity, 0, max(1, 2 * net.tuning_steps // 3))
    every = max(1, net.tuning_steps // 30)
    pruning = compression.gradual_pruning(schedule, net.spec, every=every, globally=True)
    state = net.fit(f"gradual_{sparsity:.0%}", net.spec, net.p, behind=[pruning])
    return Smaller(state.params, state.opt_state[-1].masks)


def channels(net: Trained) -> Found:
    for share in SHARES:
        p, spec = net.p, net.spec
        for one in channel_sets(spec):
            norms = compression.channel_norms(p, spec, one)
            keep = compression.top_channels(norms, max(1, round(share * norms.size)))
            p, spec = compression.remove_channels(p, spec, one, keep)
        yield f"{share:.0%}", Smaller(net.fit(f"channels_{share:.0%}", spec, p).params)


def channel_sets(spec: Any) -> list[Channels]:
    """Of a `cnn`: what each convolution makes, of which the last lies flat before the dense layer; what that makes."""
    convs = [name for name in spec if name.startswith("conv")]
    read = [{f"{name}/w": "channels_in"} for name in convs[1:]] + [{"head/fc0/w": Flat("embed")}]
    sets: list[Channels] = [{f"{a}/*": "channels_out", **b} for a, b in zip(convs, read, strict=True)]
    return [*sets, {"head/*": "hidden"}]


def low_rank(net: Trained) -> Found:
    for rank in RANKS:
        p, spec = compression.low_rank(net.p, net.spec, where="head/fc0/w", rank=rank)
        yield f"rank {rank}", Smaller(net.fit(f"low_rank_{rank}", spec, p).params)


def small(net: Trained) -> Found:
    for share in SHARES:
        yield f"{share:.0%}", Smaller(net.fit(f"small_{share:.0%}", net.spec_of(share)).params)


def distilled(net: Trained) -> Found:
    for share in SHARES:
        state = net.fit(f"distilled_{share:.0%}", net.spec_of(share), given={"teacher": net.p})
        yield f"{share:.0%}", Smaller(state.params)


def shared(net: Trained) -> Found:
    for bits in BITS:
        yield f"{bits} bits", _shared(net, f"shared_{bits}", Smaller(net.p), bits)


def deep(net: Trained) -> Found:
    for sparsity in SPARSITIES:
        left = _gradual(net, sparsity)
        yield f"{1 - sparsity:.0%}, {BITS[0]} bits", _shared(net, f"deep_{sparsity:.0%}", left, BITS[0])


def _shared(net: Trained, name: str, left: Smaller, bits: int) -> Smaller:
    """With centroids that are tuned, while codes stay."""
    codes, centroids = compression.share_weights(left.p, net.spec, bits=bits, masks=left.masks)
    given = {"p": left.p, "codes": codes, "masks": left.masks or {}}
    state = net.fit(name, jnn.spec_of(centroids), centroids, given=given, whole=whole)
    return dataclasses.replace(left, p=whole(state.params, given), codes=codes)


def whole(centroids: Any, given: Any) -> Any:
    """The network's parameters, of centroids."""
    return compression.masked(compression.with_shared(given["p"], given["codes"], centroids), given["masks"])


METHODS: dict[str, Callable[[Trained], Found]] = {
    "dense": dense,
    "one_shot": one_shot,
    "gradual": gradual,
    "channels": channels,
    "low_rank": low_rank,
    "small": small,
    "distilled": distilled,
    "shared": shared,
    "deep": deep,
}
