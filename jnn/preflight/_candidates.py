"""What a search may try, and in what order.

    meshes(8, ("data", "tensor")) -> "data=8", ...                       every way to share devices among axes
    candidates(devices, axes, policies, microbatches) -> [Candidate, ...]
    Queue(candidates, policies)                                          iterate; tell it what came of each

Laws, of a queue:
- each candidate comes once, as long as it is told of those that were compiled before the next is asked for;
- what talks least comes first: few devices along `tensor`, few micro-batches, the policies in their order;
- where a policy fits a mesh and micro-batches, those behind it, which compute more again, come after everything else;
- where one does not, the last of them, which remembers least, is next; if that does not fit either, it is hopeless to
  compile those between.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Candidate of a search: a mesh, what is remembered, and how many micro-batches."""

    mesh: str
    policy: str  # the name of its loss
    microbatches: int

    def __str__(self) -> str:
        return f"{self.mesh}, {self.policy}, {self.microbatches} micro-batch{'es' * (self.microbatches > 1)}"


def meshes(devices: int, axes: Sequence[str]) -> Iterator[str]:
    """Every way to share devices among axes, of sizes above 1.

    >>> list(meshes(4, ["data", "tensor"]))
    ['data=4', 'data=2,tensor=2', 'tensor=4']
    """
    sizes = [size for size in range(devices, 0, -1) if devices % size == 0]
    for shape in itertools.product(sizes, repeat=len(axes)):
        if math.prod(shape) == devices:
            named = [f"{axis}={size}" for axis, size in zip(axes, shape, strict=True) if size > 1]
            yield ",".join(named or [f"{axes[0]}=1"])


def candidates(
    devices: int, axes: Sequence[str], policies: Sequence[str], microbatches: Sequence[int]
) -> list[Candidate]:
    """What talks least first."""

    def talk(candidate: Candidate) -> tuple[int, int, int, int]:
        sizes = dict(part.split("=") for part in candidate.mesh.split(","))
        tensor, fsdp = int(sizes.get("tensor", 1)), int(sizes.get("fsdp", 1))
        return tensor, candidate.microbatches, policies.index(candidate.policy), fsdp

    every = itertools.product(meshes(devices, axes), policies, microbatches)
    return sorted((Candidate(*each) for each in every), key=talk)


class Queue:
    """Candidates, each once, in an order that learns from those that were tried: see the laws."""

    def __init__(self, candidates: Sequence[Candidate], policies: Sequence[str]) -> None:
        self.compiled = 0
        self._policies = policies
        self._waiting = deque(candidates)
        self._last: deque[Candidate] = deque()
        self._fitting: dict[tuple[str, int], int] = {}  # of a mesh and micro-batches: the first policy that fits
        self._hopeless: set[tuple[str, int]] = set()  # those of which the last policy does not fit

    def __iter__(self) -> Iterator[Candidate]:
        while self._waiting:
            candidate = self._waiting.popleft()
            if self._rank(candidate) > self._fitting.get(_pair(candidate), len(self._policies)):
                self._last.append(candidate)
            else:
                yield candidate
        yield from self._last

    def tried(self, candidate: Candidate, *, fits: bool) -> None:
        """Tells what came of one that was compiled."""
        self.compiled += 1
        pair, thriftiest = _pair(candidate), dataclasses.replace(candidate, policy=self._policies[-1])
        if fits:
            self._fitting[pair] = min(self._rank(candidate), self._fitting.get(pair, len(self._policies)))
        elif candidate == thriftiest:
            self._hopeless.add(pair)
        elif thriftiest in self._waiting:
            self._waiting.remove(thriftiest)
            self._waiting.appendleft(thriftiest)

    def hopeless(self, candidate: Candidate) -> str:
        """Why a candidate need not be tried; "" where it must."""
        return (
            f"{self._policies[-1]}, which remembers least, does not fit" if _pair(candidate) in self._hopeless else ""
        )

    def _rank(self, candidate: Candidate) -> int:
        return self._policies.index(candidate.policy)


def _pair(candidate: Candidate) -> tuple[str, int]:
    return candidate.mesh, candidate.microbatches
