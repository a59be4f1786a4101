"""The ledger: which kernel, in which dtype and precision, each product of a compiled program really uses.

    kernels(program, *args) -> Kernels               print it
    kernels(..., strict=True, expect=Expect(...))    raises SilentFallback where it is not what was asked for
    read(compiled, platform) -> Kernels              of a program that is compiled already

A compiler may run a product in another dtype than the program says, at a lower precision, or by a plain loop where a
library has a kernel, and says nothing. The ledger reads what it did from the optimized HLO, and puts beside it what
the program asked for (from the jaxpr, by source line) and which formulation `jnn.backend` chose there, and why.

Laws: every product of the optimized program is one row, in loops too; a program that runs as it was written passes
`strict=True`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

from jnn import backend
from jnn.inspect.executions import Execution, executions
from jnn.inspect.expect import Expect, SilentFallback, fallbacks
from jnn.inspect.flops import Operation, flops_of
from jnn.inspect.hlo import Module, arrays, parse
from jnn.inspect.library import library, operand_dtypes
from jnn.inspect.place import Place, between
from jnn.inspect.table import table

_ATTENTION = re.compile(r"splash|flash|fmha|attention", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One product of a compiled program."""

    op: str  # "matmul", "convolution", "attention" (fused), or "kernel" (a custom call that could be anything)
    runs: str  # the library: see `jnn.inspect.library`
    operands: tuple[str, ...]  # dtypes as HLO writes them
    result: str
    accumulates: str  # the dtype of the sum
    precision: str  # "default", "high", "highest", or an algorithm's name
    times: int | None  # how often it runs; None: within a loop of unknown length
    place: Place
    scope: str
    name: str  # of the instruction
    asked: tuple[tuple[tuple[str, ...], str], ...]  # (dtypes, precision) of what the program has on this line
    chosen: tuple[backend.Choice, ...]

    @property
    def in_attention(self) -> bool:
        """Whether it is part of `jnn.layers.attend`, or is a fused attention."""
        return self.op == "attention" or "attend" in self.scope.split("/")


@dataclasses.dataclass(frozen=True)
class Kernels:
    """The rows of a program."""

    platform: str
    rows: tuple[Kernel, ...]

    def __str__(self) -> str:
        header = ["op", "runs", "operands", "result", "sum", "precision", "times", "source", "chosen"]
        lines = [
            [
                *(k.op, k.runs, " ".join(k.operands), k.result, k.accumulates, k.precision),
                *(
                    "?" if k.times is None else k.times,
                    k.place if k.place.frames else k.name,
                    ", ".join(map(str, k.chosen)),
                ),
            ]
            for k in self.rows
        ]
        reasons = dict.fromkeys(f"{choice} -- {choice.why}" for kernel in self.rows for choice in kernel.chosen)
        return "\n".join([table(header, lines), *reasons])


def kernels(program: Callable[..., Any], *args: Any, expect: Expect | None = None, strict: bool = False) -> Kernels:
    """Compiles a program and reads which kernels it got.

    Args:
      program: a function, jitted or not, or a `jnn.program.Program`, such as a train step.
      args: trees of arrays, or of `jax.ShapeDtypeStruct`s; with shardings for other machines, compiled for those
        (within `jnn.backend.target`, so that formulations are chosen for them too).
      expect: what else is expected; by default what the program says.
      strict: whether anything unexpected is an error.

    Returns:
      The ledger.

    Raises:
      SilentFallback: strict, and a product has another dtype or precision than asked for, is a loop, or is a part of
        an attention that was expected to be fused. Each is named.

    >>> import jax.numpy as jnp
    >>> ledger = kernels(lambda x, w: x @ w, jnp.ones((64, 32)), jnp.ones((32, 16)), strict=True)
    >>> [(row.op, row.operands, row.result) for row in ledger.rows]
    [('matmul', ('f32', 'f32'), 'f32')]
    """
    traceable = program if hasattr(program, "trace") else jax.jit(program)
    with backend.recording() as chosen:
        traced = traceable.trace(*args)
    compiled = traced.lower().compile()
    ledger = read(compiled, platform_of(compiled), traced.jaxpr, chosen)
    if strict and (problems := fallbacks(ledger.rows, expect or Expect())):
        raise SilentFallback(problems)
    return ledger


def platform_of(compiled: jax.stages.Compiled) -> str:
    """What a program is compiled for: "cpu", "tpu", "gpu"."""
    shardings = jax.tree.leaves((compiled.input_shardings, compiled.output_shardings))
    device = next(iter(shardings[0].device_set)) if shardings else jax.devices()[0]
    return str(device.platform)


def read(
    program: jax.stages.Compiled | str,
    platform: str,
    jaxpr: ClosedJaxpr | None = None,
    chosen: Iterable[backend.Choice] = (),
) -> Kernels:
    """The ledger of a compiled program.

    Args:
      program: compiled, or its text.
      platform: "cpu", "gpu" or "tpu".
      jaxpr: what the program asked for; without it, the ledger knows only what runs.
      chosen: what `jnn.backend.recording` collected while it was traced.

    >>> read("HloModule m\\n\\nENTRY %main () -> f32[] {\\n  ROOT %one = f32[] constant(1)\\n}", "cpu").rows
    ()
    """
    module, choices = parse(program), tuple(chosen)
    operations = () if jaxpr is None else flops_of(jaxpr).operations
    rows = (_row(module, execution, platform, operations, choices) for execution in executions(module))
    return Kernels(platform, tuple(row for row in rows if row is not None))


def _row(
    module: Module,
    execution: Execution,
    platform: str,
    operations: tuple[Operation, ...],
    choices: tuple[backend.Choice, ...],
) -> Kernel | None:
    runs = library(module, execution, platform)
    if runs is None:
        return None
    instruction = execution.instruction
    here = [o for o in operations if o.place.line == instruction.place.line] if instruction.place.line else []
    result = arrays(instruction.type)[0][0]
    return Kernel(
        op=_op(execution, runs, here),
        runs=runs,
        operands=operand_dtypes(module, execution),
        result=result,
        accumulates="f32" if result in ("bf16", "f16") or result.startswith("f8") else result,
        precision=_precision(execution),
        times=execution.times,
        place=instruction.place,
        scope=instruction.scope,
        name=instruction.name,
        asked=tuple(dict.fromkeys((_dtypes(o), o.precision) for o in here)),
        chosen=tuple(choice for choice in choices if _made_there(choice, instruction.place)),
    )


def _made_there(choice: backend.Choice, place: Place) -> bool:
    """Whether the function that chose is on an instruction's stack, called by the same lines."""
    callers = [caller for caller in choice.callers if not between(caller[0])]
    for i, (file, _, function) in enumerate(place.frames):
        if (file, function) == (choice.file, choice.function):
            lines = [frame[:2] for frame in place.frames[i + 1 :]]
            # where a line comes again, the stack of an enclosing loop has begun: JAX puts it behind
            end = next((n for n, line in enumerate(lines) if line in lines[:n]), len(lines))
            return all(a == b for a, b in zip(lines[:end], callers, strict=False))
    return False


def _op(execution: Execution, runs: str, here: list[Operation]) -> str:
    """What a row computes; on a TPU a matrix product is a convolution too, so the jaxpr and the scope are asked."""
    instruction = execution.instruction
    if instruction.opcode == "custom-call":
        if runs.startswith("Pallas"):
            return "attention" if _ATTENTION.search(instruction.scope + instruction.name) else "kernel"
        return {"cuDNN attention": "attention", "cuDNN": "convolution"}.get(runs, "matmul")
    if instruction.opcode != "convolution":
        return "matmul"
    primitives = {o.primitive for o in here}
    return "matmul" if primitives == {"dot_general"} or "dot_general" in instruction.scope else "convolution"


def _precision(execution: Execution) -> str:
    instruction = execution.instruction
    if algorithm := instruction.attribute("algorithm"):
        return algorithm
    if noted := re.search(r'"algorithm":"ALG_(?!UNSET)(\w+)"', instruction.config):
        return noted[1].lower()
    found = re.search(r'"operand_precision":\["(\w+)"', instruction.config)
    asked = found[1] if found else (instruction.attribute("operand_precision") or "{default").strip("{}").split(",")[0]
    return asked.lower().strip("{}")


def _dtypes(operation: Operation) -> tuple[str, ...]:
    return tuple(_hlo(shape.partition("[")[0]) for shape in operation.shapes[:2])


def _hlo(dtype: str) -> str:
    """HLO's name of a dtype.

    >>> [_hlo(name) for name in ("float32", "bfloat16", "uint8", "int8", "float8_e4m3fn", "complex64", "bool")]
    ['f32', 'bf16', 'u8', 's8', 'f8e4m3fn', 'c64', 'pred']
    """
    for long, short in (("bfloat", "bf"), ("float", "f"), ("uint", "u"), ("int", "s"), ("complex", "c")):
        if dtype.startswith(long):
            return short + dtype.removeprefix(long).replace("_", "")
    return {"bool": "pred"}.get(dtype, dtype)
