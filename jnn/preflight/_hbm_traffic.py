"""How many bytes a compiled program moves between each device and its memory.

    hbm_traffic(compiled, platform, cache) -> Traffic

Each instruction outside of fusions reads its operands and writes its result, as often as it runs. A fusion that takes
one slice of an operand reads that slice, and one that puts a slice into its result writes that: otherwise a loop over
stacked layers would count all of them each time. What lies in another memory than the main one (a TPU's on-chip
memory) costs nothing; what brings it there does.

A cache that the program does not know of, as a GPU's, keeps away what `_cache` says.

Law: it is what the program's own schedule moves, with every operand read once for each use, less what a cache keeps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import jax

from jnn.inspect import Instruction, Module, executions, held_bytes, parse, read, type_bytes
from jnn.preflight._cache import Touched, missed

_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all",
    "partition-id", "replica-id", "iota", "opt-barrier",
}  # fmt: skip
_THROUGH = {"bitcast", "convert", "copy", "reshape", "transpose"}


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Memory traffic of a program on one device, by what its kernels do."""

    products: int  # bytes of those that multiply matrices, convolve or attend
    others: int
    uncached: int  # bytes of the others, were there no cache
    kernels: int  # how many run

    @property
    def bytes(self) -> int:
        """Of all."""
        return self.products + self.others


def hbm_traffic(compiled: jax.stages.Compiled | str, platform: str = "cpu", cache: int = 0) -> Traffic:
    """Traffic between a device and its memory; a loop of unknown length counts once.

    Args:
      compiled: a program, or its text.
      platform: what it is compiled for: "cpu", "gpu", "cuda" or "tpu".
      cache: bytes of one between the kernels and the memory that the program does not write down itself.

    >>> import jax.numpy as jnp
    >>> hbm_traffic(jax.jit(lambda x: jnp.sin(x) + 1).lower(jnp.ones(1000)).compile()).bytes  # read once, written once
    8000
    """
    module = parse(compiled)
    products = {row.name for row in read(compiled, platform).rows if row.op != "kernel"}
    sums = dict.fromkeys(("products", "others", "uncached", "kernels"), 0)
    for (computation, repeated), kernels in _by_computation(module).items():
        made = module.computations[computation]
        touched = {i.name: _touched(module, made, i) for i, _ in kernels}
        moved = missed(made, touched, cache, repeated=repeated)
        for instruction, times in kernels:
            product = bool(products & set(_names(module, instruction)))
            sums["products" if product else "others"] += times * moved[instruction.name]
            sums["uncached"] += 0 if product else times * touched[instruction.name].bytes
            sums["kernels"] += times
    return Traffic(**sums)


def _by_computation(module: Module) -> dict[tuple[str, bool], list[tuple[Instruction, int]]]:
    """What runs by itself, no part of a fusion, and how often; by computation, and whether that is within a loop."""
    found: dict[tuple[str, bool], list[tuple[Instruction, int]]] = {}
    for execution in executions(module):
        instruction = execution.instruction
        inside = any(caller.opcode == "fusion" or caller.opcode.endswith("-start") for caller in execution.callers)
        if not inside and instruction.opcode not in _FREE and not instruction.opcode.endswith("-done"):
            times = 1 if execution.times is None else execution.times
            found.setdefault((execution.computation, bool(execution.loops)), []).append((instruction, times))
    return found


def _names(module: Module, instruction: Instruction) -> Iterator[str]:
    """An instruction's own, and those of what it is made of."""
    yield instruction.name
    for role, name in instruction.called():
        if role == "calls":
            for inner in module.computations[name].values():
                yield from _names(module, inner)


def _touched(module: Module, made: dict[str, Instruction], instruction: Instruction) -> Touched:
    operands = [made[name] for name in instruction.operands if name in made]
    bodies = dict(instruction.called())
    if instruction.opcode in ("fusion", "fusion-start"):
        return _fused(module, bodies["calls"], operands)
    if instruction.opcode == "dynamic-slice":
        size = held_bytes(instruction.type)
        return Touched({operands[0].name: size}, size)
    if instruction.opcode == "dynamic-update-slice":
        size = held_bytes(operands[1].type)
        return Touched({operands[1].name: size}, size)
    reads = {operand.name: held_bytes(operand.type) for operand in operands}
    if instruction.opcode.endswith("-start"):  # its type holds the operand, the result, and what it needs itself
        return Touched(reads, sum(reads.values()))
    return Touched(reads, held_bytes(instruction.type))


def _fused(module: Module, computation: str, operands: list[Instruction]) -> Touched:
    """What a fusion reads of each operand, and what it writes."""
    inside = module.computations[computation]
    users: dict[str, list[Instruction]] = {}
    for instruction in inside.values():
        for name in instruction.operands:
            users.setdefault(name, []).append(instruction)
    reads: dict[str, int] = {}
    for parameter in inside.values():
        if parameter.opcode == "parameter":
            operand = operands[int(parameter.arguments)]
            whole = held_bytes(operand.type)
            size = min(whole, _read(inside, users, parameter, whole))
            reads[operand.name] = max(size, reads.get(operand.name, 0))
    root = module.root(computation)
    parts = [inside[name] for name in root.operands] if root.opcode == "tuple" else [root]
    return Touched(reads, min(held_bytes(root.type), sum(_written(inside, part) for part in parts)))


def _read(inside: dict[str, Instruction], users: dict[str, list[Instruction]], value: Instruction, whole: int) -> int:
    """Bytes of a value that its users look at."""
    total = 0
    for user in users.get(value.name, []):
        if _in_flight(user) or (user.opcode == "tuple" and user.root):
            continue
        if user.opcode == "dynamic-slice" and user.operands[0] == value.name:
            total += type_bytes(user.type)
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == value.name:
            continue  # is written in its place
        elif user.opcode in _THROUGH:
            total += _read(inside, users, user, whole)
        else:
            return whole
    return total


def _in_flight(instruction: Instruction) -> bool:
    """Whether it hands on what a TPU's asynchronous collective, begun by another fusion, has under way."""
    return "chain_id=" in instruction.attributes or "AsyncCollectiveDone" in instruction.attributes


def _written(inside: dict[str, Instruction], part: Instruction) -> int:
    if part.opcode == "parameter" or _in_flight(part):
        return 0
    while part.opcode in _THROUGH and part.operands:
        if inside[part.operands[0]].opcode == "parameter":
            break
        part = inside[part.operands[0]]
    return type_bytes(inside[part.operands[1]].type) if part.opcode == "dynamic-update-slice" else held_bytes(part.type)
