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
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr

from jnn import backend
from jnn.inspect._executions import executions
from jnn.inspect._expect import Expect, SilentFallback, fallbacks
from jnn.inspect._flops import flops_of
from jnn.inspect._hlo import parse
from jnn.inspect._kernel import Kernel, row_of
from jnn.inspect._source import own_source_lines
from jnn.inspect._table import format_table


@dataclasses.dataclass(frozen=True)
class Kernels:
    """Kernels of a program, by rows."""

    platform: str
    rows: tuple[Kernel, ...]

    def __str__(self) -> str:
        header = ["op", "runs", "operands", "result", "sum", "precision", "times", "source", "chosen"]
        lines = []
        for k in self.rows:
            times, source = "?" if k.times is None else k.times, k.place if k.place.frames else k.name
            what = k.op, k.runs, " ".join(k.operands), k.result, k.accumulates, k.precision
            lines.append([*what, times, source, ", ".join(map(str, k.chosen))])
        reasons = dict.fromkeys(f"{choice} -- {choice.why}" for kernel in self.rows for choice in kernel.chosen)
        return "\n".join([format_table(header, lines), *reasons])


def kernels(program: Callable[..., Any], *args: Any, expect: Expect | None = None, strict: bool = False) -> Kernels:
    """Kernels of a program: compiles it and reads which it got.

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
    with own_source_lines():
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
    """Kernels of a compiled program.

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
    rows = (row_of(module, execution, platform, operations, choices) for execution in executions(module))
    return Kernels(platform, tuple(row for row in rows if row is not None))
