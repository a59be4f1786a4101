"""What a compiled program holds on each device.

memory(compiled) -> Memory                       arguments, outputs, temporaries, the peak, in bytes per device
largest(compiled, n) -> [Buffer, ...]            the values that take most, by source line
not_aliased(compiled) -> [name, ...]             donated arguments whose memory no output took over
"""

from __future__ import annotations

import dataclasses
import re

import jax

from jnn.inspect._executions import executions
from jnn.inspect._hlo import Instruction, Module, held_bytes, parse
from jnn.inspect._source import Place
from jnn.inspect._table import format_bytes

# These give another name to memory that something else takes.
_NAMES = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while", "conditional", "call"}


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory of a program: bytes on each device."""

    arguments: int
    outputs: int
    aliased: int  # outputs that live where donated arguments did; in `arguments` and in `outputs`
    temporaries: int
    code: int

    @property
    def peak(self) -> int:
        """All together, what is aliased counted once: temporaries are one arena, there from the start to the end."""
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code

    def __str__(self) -> str:
        fields = {**dataclasses.asdict(self), "peak": self.peak}
        return ", ".join(f"{name} {format_bytes(value)}" for name, value in fields.items()) + " per device"


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Buffer: a value that a program computes and holds."""

    bytes: int
    type: str  # with its layout
    opcode: str
    place: Place
    scope: str
    name: str


def memory(compiled: jax.stages.Compiled) -> Memory:
    """The memory of a compiled program.

    >>> import jax.numpy as jnp
    >>> memory(jax.jit(lambda x: x + 1).lower(jnp.ones(8)).compile()).arguments
    32
    """
    stats = compiled.memory_analysis()
    if stats is None:
        raise ValueError(
            "memory: this backend says nothing about the memory of its programs; expected cpu, gpu or tpu."
        )
    return Memory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes,
        aliased=stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )


def largest(compiled: jax.stages.Compiled | str, n: int = 10) -> list[Buffer]:
    """Largest buffers: the n largest values that a program computes, each a buffer of its own or a part of one.

    Values whose lives do not meet may share memory, so these need not add up; and a layout may pad them. What lies in
    another memory than the main one (a TPU's on-chip memory, the host's) counts nothing.

    Args:
      compiled: a compiled program, or its text.
      n: how many.

    Returns:
      The largest first; values within a fusion are not there, for they are never held.

    >>> import jax.numpy as jnp
    >>> largest(jax.jit(lambda x: jnp.outer(x, x)).lower(jnp.ones(100)).compile(), 1)[0].bytes
    40000
    """
    module = parse(compiled)
    held = {}
    for execution in executions(module):
        inside = any(caller.opcode == "fusion" for caller in execution.callers)
        opcode = execution.instruction.opcode
        if not inside and opcode not in _NAMES and not opcode.endswith("-start"):
            held[execution.computation, execution.instruction.name] = execution.instruction
    buffers = [_buffer(module, instruction) for instruction in held.values()]
    return sorted(buffers, key=lambda buffer: (-buffer.bytes, buffer.name))[:n]


def _buffer(module: Module, instruction: Instruction) -> Buffer:
    place, scope = instruction.place, instruction.scope
    if instruction.opcode == "fusion" and not place.frames:  # as its root says
        root = module.root(dict(instruction.called())["calls"])
        place, scope = root.place, root.scope
    return Buffer(
        held_bytes(instruction.type),
        instruction.type,
        instruction.opcode,
        place,
        scope,
        instruction.name,
    )


def not_aliased(compiled: jax.stages.Compiled) -> list[str]:
    """Donations in vain: donated arguments that the program uses and whose memory no output takes over.

    >>> import jax.numpy as jnp
    >>> step = jax.jit(lambda state, x: state + x.sum(), donate_argnums=0)
    >>> not_aliased(step.lower(jnp.ones(3), jnp.ones(4)).compile())
    []
    """
    module = parse(compiled)
    alias = re.search(r"input_output_alias=\{ (.*?) \}", module.header)
    taken = {int(number) for number in re.findall(r"\((\d+), \{", alias[1] if alias else "")}
    # an argument that is not used has no sharding, and is none of the program's
    donated = lambda info, sharding: None if sharding is None else info.donated
    used = jax.tree.leaves(jax.tree.map(donated, compiled.args_info, compiled.input_shardings))
    names = {
        int(i.arguments): i.scope.replace("\\", "") or i.name
        for i in module.computations[module.entry].values()
        if i.opcode == "parameter"
    }
    return [names[number] for number, given in enumerate(used) if given and number not in taken]
