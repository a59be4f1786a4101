"""How many bytes a compiled program moves between each device and its memory.

    hbm_traffic(compiled) -> bytes

Each instruction outside of fusions reads its operands and writes its result, as often as it runs. A fusion that takes
one slice of an operand reads that slice, and one that puts a slice into its result writes that: otherwise a loop over
stacked layers would count all of them each time. What lies in another memory than the main one (a TPU's on-chip
memory) costs nothing; what brings it there does.

Law: it is what the program's own schedule moves, with every operand read once for each use: XLA keeps nothing in a
cache that it does not write down.
"""

from __future__ import annotations

import jax

from jnn.inspect import Instruction, Module, executions, held_bytes, parse, type_bytes

_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all",
    "partition-id", "replica-id", "iota", "opt-barrier",
}  # fmt: skip
_THROUGH = {"bitcast", "convert", "copy", "reshape", "transpose"}


def hbm_traffic(compiled: jax.stages.Compiled | str) -> int:
    """Bytes that a program reads and writes on one device; a loop of unknown length counts once.

    >>> import jax.numpy as jnp
    >>> hbm_traffic(jax.jit(lambda x: jnp.sin(x) + 1).lower(jnp.ones(1000)).compile())     # read once, written once
    8000
    """
    module = parse(compiled)
    total = 0
    for execution in executions(module):
        instruction = execution.instruction
        inside = any(caller.opcode in ("fusion", "async-start") for caller in execution.callers)
        if not inside and instruction.opcode not in _FREE and not instruction.opcode.endswith("-done"):
            times = 1 if execution.times is None else execution.times
            total += times * _moved(module, execution.computation, instruction)
    return total


def _moved(module: Module, computation: str, instruction: Instruction) -> int:
    made = module.computations[computation]
    operands = [made[name] for name in instruction.operands if name in made]
    if instruction.opcode == "fusion":
        return _fused(module, dict(instruction.called())["calls"], operands, instruction)
    if instruction.opcode == "dynamic-slice":
        return 2 * held_bytes(instruction.type)
    if instruction.opcode == "dynamic-update-slice":
        return 2 * held_bytes(operands[1].type)
    read = sum(held_bytes(operand.type) for operand in operands)
    if instruction.opcode.endswith("-start"):  # its type holds the operand, the result, and what it needs itself
        return 2 * read
    return read + held_bytes(instruction.type)


def _fused(module: Module, computation: str, operands: list[Instruction], fusion: Instruction) -> int:
    """What a fusion reads of each operand, and what it writes."""
    inside = module.computations[computation]
    users: dict[str, list[Instruction]] = {}
    for instruction in inside.values():
        for name in instruction.operands:
            users.setdefault(name, []).append(instruction)
    total = 0
    for parameter in inside.values():
        if parameter.opcode == "parameter":
            whole = held_bytes(operands[int(parameter.arguments)].type)
            total += min(whole, _read(inside, users, parameter, whole))
    root = module.root(computation)
    parts = [inside[name] for name in root.operands] if root.opcode == "tuple" else [root]
    return total + min(held_bytes(fusion.type), sum(_written(inside, part) for part in parts))


def _read(inside: dict[str, Instruction], users: dict[str, list[Instruction]], value: Instruction, whole: int) -> int:
    """Bytes of a value that its users look at."""
    total = 0
    for user in users.get(value.name, []):
        if user.opcode == "dynamic-slice" and user.operands[0] == value.name:
            total += type_bytes(user.type)
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == value.name:
            continue  # is written in its place
        elif user.opcode in _THROUGH:
            total += _read(inside, users, user, whole)
        else:
            return whole
    return total


def _written(inside: dict[str, Instruction], part: Instruction) -> int:
    while part.opcode in _THROUGH and part.operands:
        if inside[part.operands[0]].opcode == "parameter":
            break
        part = inside[part.operands[0]]
    return type_bytes(inside[part.operands[1]].type) if part.opcode == "dynamic-update-slice" else held_bytes(part.type)
