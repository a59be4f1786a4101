"""Whether other work goes on beside what starts here and is done there.

    overlapped(module, first, last) -> bool | None           None: the text is no schedule
    chain(instruction) -> "..."                              of a TPU's fusions, one collective; "" of none

Laws: a schedule is the order of the text. Only what computes is work: no collective is, whether it starts, is done or
stands for itself, for it waits for the same wires; nor is what brings values nearer, names them, or is of scalars.
"""

from __future__ import annotations

import math
import re

from jnn.inspect._hlo import Instruction, Module, array_types

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id",
    "opt-barrier", "add-dependency", "send", "recv", *KINDS,
}  # fmt: skip
_MARKS = {  # custom calls that compute nothing
    "AllocateBuffer", "ConcatBitcast", "AssumeGatherIndicesInBound", "AsyncCollectiveStart", "AsyncCollectiveDone",
    "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "PrepareAsyncCallStart", "PrepareAsyncCallDone",
}  # fmt: skip
_BRANCHES = {"while", "conditional", "call"}  # whose computations are schedules of their own


def overlapped(module: Module, first: Instruction, last: Instruction) -> bool | None:
    """Whether an instruction that computes, be it little, stands between two of one computation."""
    if "is_scheduled=true" not in module.header:
        return None
    made = next(made for made in module.computations.values() if made.get(first.name) is first)
    names = list(made)
    between = names[names.index(first.name) + 1 : names.index(last.name)]
    return any(_computes(module, made, made[name]) for name in between)


def chain(instruction: Instruction) -> str:
    """What a TPU's program calls one collective that is begun, worked on within other fusions, and ended."""
    found = re.search(r'chain_id="\w+"', instruction.attributes)
    return f"{found[0]} of channel {instruction.attribute('channel_id')}" if found else ""


def _computes(module: Module, made: dict[str, Instruction], instruction: Instruction) -> bool:
    opcode = instruction.opcode
    bodies = [name for role, name in instruction.called() if role != "to_apply" or opcode == "call"]
    if bodies:
        return any(_any_computes(module, name, alone=opcode not in _BRANCHES) for name in bodies)
    if opcode in _FREE or opcode.endswith(("-start", "-update", "-done")):
        return False
    if opcode == "custom-call" and (instruction.attribute("custom_call_target") or "").strip('"') in _MARKS:
        return False
    types = [instruction.type, *(made[name].type for name in instruction.operands if name in made)]
    return any(math.prod(shape) > 1 for type_ in types for _, shape in array_types(type_))


def _any_computes(module: Module, computation: str, *, alone: bool) -> bool:
    """Whether a computation computes; one that is a single kernel does not, where it is a collective and its slices."""
    made = module.computations[computation]
    if alone and any(i.opcode in KINDS and not chain(i) for i in made.values()):
        return False
    return any(_computes(module, made, i) for i in made.values())
