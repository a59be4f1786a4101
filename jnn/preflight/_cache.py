"""What a cache keeps from the main memory: of the values that a computation's kernels touch, those touched just before.

    missed(made, touched, cache) -> bytes of each kernel

The cache is as good as one can be: a value is there as long as no more than the cache holds was touched since, of a
larger one as much as fits, and what no one reads once it has left is never written. So the bytes are a bound, and a
cache of none leaves all of them.

Laws: a larger cache never moves more; a value that leaves the computation is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from jnn.inspect import Instruction, held_bytes


@dataclasses.dataclass(frozen=True)
class Touched:
    """What a kernel asks of the memory each time that it runs."""

    reads: Mapping[str, int]  # bytes of each operand
    written: int

    @property
    def bytes(self) -> int:
        """Of all."""
        return sum(self.reads.values()) + self.written


def missed(
    made: Mapping[str, Instruction], touched: Mapping[str, Touched], cache: int, *, repeated: bool = False
) -> dict[str, int]:
    """Bytes that each kernel of a computation moves between the cache and the main memory.

    Args:
      made: the computation's instructions, in the order in which they run.
      touched: by kernel, the names of instructions.
      cache: its bytes.
      repeated: whether the computation is a loop's body, at whose start the cache may hold what the loop hands on.

    >>> missed({}, {"a": Touched({}, 100), "b": Touched({}, 300)}, cache=0)
    {'a': 100, 'b': 300}
    """
    read, lost = dict.fromkeys(touched, 0), dict[str, int]()  # of each value, the most that a reader did not find
    seen, clock = dict[str, int](), 0
    for name, instruction in made.items():
        if instruction.opcode == "while":  # what it hands on is what it touched last
            clock += cache
            seen[name] = clock
        if (kernel := touched.get(name)) is None:
            continue
        for operand, size in kernel.reads.items():
            value = _source(made, operand)
            since = clock - seen[value] if value in seen else 0 if repeated and _fits(made, value, cache) else cache
            miss = max(0, size - max(0, cache - since))
            read[name] += miss
            lost[value] = max(miss, lost.get(value, 0))
            clock += size
            seen[value] = clock
        clock += kernel.written
        seen[name] = clock
    leaving = _leaving(made)
    kept = lambda name: cache and name in lost and name not in leaving
    return {
        name: read[name] + (min(lost[name], kernel.written) if kept(name) else kernel.written)
        for name, kernel in touched.items()
    }


def _leaving(made: Mapping[str, Instruction]) -> set[str]:
    """The values that a computation hands on: its root, and what stands in tuples."""
    tuples = [name for i in made.values() if i.opcode == "tuple" for name in i.operands]
    return {_source(made, name) for name in (*tuples, *(i.name for i in made.values() if i.root))}


def _source(made: Mapping[str, Instruction], name: str) -> str:
    """What a value is another name, or a part, of."""
    while name in made:
        instruction = made[name]
        part = instruction.opcode in ("bitcast", "get-tuple-element") or instruction.opcode.endswith("-done")
        if not part or not instruction.operands or made[instruction.operands[0]].opcode == "parameter":
            break
        name = instruction.operands[0]
    return name


def _fits(made: Mapping[str, Instruction], name: str, cache: int) -> bool:
    return name in made and held_bytes(made[name].type) <= cache
