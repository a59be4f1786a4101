"""What runs, how often: a walk through a compiled program from its entry.

    executions(module) -> [Execution, ...]           each instruction where it runs, in which loops
    trip_count(module, computation, loop) -> n       None where the text does not say

Law: an instruction within k nested loops runs the product of their trip counts, and None times where one of these is
not in the text.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from jnn.inspect._hlo import DTYPES, Instruction, Module, array_types
from jnn.inspect._trips import MIRRORED, TESTS, trips

_LONG = {short: long for long, short in DTYPES.items() if long != "complex"}  # of counters, less their bits

Frames = tuple[tuple[str, Instruction | None], ...]  # computations, and the fusions that they are of, outermost first


@dataclasses.dataclass(frozen=True)
class Execution:
    """An instruction where it runs."""

    instruction: Instruction
    computation: str
    times: int | None  # None: a loop's trip count is unknown
    loops: tuple[str, ...]  # the while instructions around it, outermost first
    callers: tuple[Instruction, ...]  # the fusions and calls that it is part of, outermost first


def executions(module: Module) -> list[Execution]:
    """Executed instructions: each that runs, in the text's order, from the entry through loops, branches and fusions.

    Every branch of a conditional is there; what only a reduction applies to each element is not.
    """
    return list(_walk(module, module.entry, 1, (), ()))


def _walk(
    module: Module, computation: str, times: int | None, loops: tuple[str, ...], callers: tuple[Instruction, ...]
) -> Iterator[Execution]:
    for instruction in module.computations[computation].values():
        yield Execution(instruction, computation, times, loops, callers)
        if instruction.opcode == "while":
            trips = trip_count(module, computation, instruction)
            total = None if trips is None or times is None else times * trips
            body = dict(instruction.called())["body"]
            yield from _walk(module, body, total, (*loops, instruction.name), callers)
            continue
        for role, name in instruction.called():
            if role != "to_apply" or instruction.opcode in ("call", "call-start"):
                yield from _walk(module, name, times, loops, (*callers, instruction))


def trip_count(module: Module, computation: str, loop: Instruction) -> int | None:
    """How often a loop runs: as the compiler notes it, else as its condition compares a counter with a constant."""
    if noted := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.config):
        return int(noted[1])
    called = dict(loop.called())
    test, frames = _follow(module, ((called["condition"], None),), module.root(called["condition"]).name)
    name = (test.attribute("direction") or "").lower()
    if test.opcode != "compare" or name not in TESTS:
        return None
    counter, limit = (_follow(module, frames, operand)[0] for operand in test.operands)
    if counter.opcode == "constant":
        name, counter, limit = MIRRORED[name], limit, counter
    if counter.opcode != "get-tuple-element" or limit.opcode != "constant":
        return None
    index = int(counter.attribute("index") or 0)
    start = _element(module, computation, loop.operands[0], index)
    if start is None or start[0].opcode != "constant":
        return None
    short = array_types(counter.type)[0][0]
    if (kind := short.rstrip("0123456789")) not in _LONG:
        return None
    step, dtype = _step(module, called["body"], index), short.replace(kind, _LONG[kind])
    return trips(_number(start[0]), _number(limit), step, name, dtype)


def _step(module: Module, body: str, index: int) -> int | float | None:
    """By how much a loop's body changes its state of that index, where that is a constant."""
    made = _element(module, body, module.root(body).name, index)
    if made is None or made[0].opcode not in ("add", "subtract"):
        return None
    before, by = (_follow(module, made[1], name)[0] for name in made[0].operands)
    if before.opcode == "constant" and made[0].opcode == "add":
        before, by = by, before
    if by.opcode != "constant" or before.opcode != "get-tuple-element" or before.attribute("index") != str(index):
        return None
    return _number(by) if made[0].opcode == "add" else -_number(by)


def _number(constant: Instruction) -> int | float:
    return (float if "f" in array_types(constant.type)[0][0] else int)(constant.arguments)


def _element(module: Module, computation: str, name: str, index: int) -> tuple[Instruction, Frames] | None:
    """What stands at an index of the tuple of that name."""
    whole, frames = _follow(module, ((computation, None),), name)
    return _follow(module, frames, whole.operands[index]) if whole.opcode == "tuple" else None


def _follow(module: Module, frames: Frames, name: str) -> tuple[Instruction, Frames]:
    """The instruction that makes a value: past copies, into fusions, and out of their parameters."""
    instruction = module.computations[frames[-1][0]][name]
    caller = frames[-1][1]
    if instruction.opcode in ("copy", "bitcast", "convert"):
        return _follow(module, frames, instruction.operands[0])
    if instruction.opcode in ("fusion", "call"):
        inner = instruction.called()[0][1]
        return _follow(module, (*frames, (inner, instruction)), module.root(inner).name)
    if instruction.opcode == "parameter" and caller is not None:
        return _follow(module, frames[:-1], caller.operands[int(instruction.arguments)])
    return instruction, frames
