"""What is expected of the products of a program, and what is said where they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from jnn.inspect._hlo import bits
from jnn.inspect._kernel import Kernel
from jnn.inspect._library import LOOP

_ORDER = ("default", "high", "highest")


@dataclasses.dataclass(frozen=True)
class Expect:
    """Expectations of a program's products, beside what the program says itself.

    Args:
      dtype: of every product's operands, as HLO writes it: "bf16", "f32"; None for what the program has there.
      precision: that every product asks for at least: "default", "high" or "highest".
      attention: "fused": no attention may be plain products.
      loops: whether products may run as plain loops.
    """

    dtype: str | None = None
    precision: Literal["default", "high", "highest"] = "default"
    attention: Literal["fused", "any"] = "any"
    loops: bool = False


class SilentFallback(RuntimeError):
    """Silent fallback: a compiled program does not do what it was asked for."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "kernels: the compiled program is not what was asked for:\n  "
            + "\n  ".join(problems)
            + "\nChange the program or the backend's options, or say so in Expect(...)."
        )


def fallbacks(rows: Sequence[Kernel], expect: Expect) -> list[str]:
    """Silent fallbacks: one line for each thing that a product does otherwise than expected."""
    found = [f"{row.op} at {row.place} ({row.runs}): {problem}" for row in rows for problem in _problems(row, expect)]
    return list(dict.fromkeys(found))


def _problems(row: Kernel, expect: Expect) -> list[str]:
    problems = []
    if row.runs == LOOP and not expect.loops:
        problems.append("runs as a plain loop, one element at a time, where a library kernel is expected")
    if expect.attention == "fused" and row.in_attention and row.op != "attention":
        problems.append("is a product of an attention that is expected to be one fused kernel")
    if row.op == "kernel":  # its operands are its author's affair
        return problems
    if expect.dtype is not None:
        if set(row.operands) - {expect.dtype}:
            problems.append(f"multiplies {' by '.join(row.operands)}, where {expect.dtype} is expected")
    elif row.asked and sorted(row.operands) not in [sorted(dtypes) for dtypes, _ in row.asked]:
        asked = " or ".join(sorted({" by ".join(dtypes) for dtypes, _ in row.asked}))
        how = "upcast" if _width(row.operands) > max(_width(dtypes) for dtypes, _ in row.asked) else "changed"
        problems.append(f"multiplies {' by '.join(row.operands)}, {how}: the program says {asked}")
    least = max([expect.precision, *_unanimous(row)], key=_rank)
    if _rank(row.precision) < _rank(least):
        problems.append(f"has precision {row.precision!r}, where {least!r} is asked for")
    return problems


def _width(dtypes: Sequence[str]) -> int:
    return sum(map(bits, dtypes))


def _rank(precision: str) -> int:
    """Algorithms by name stand above: they say exactly what they do."""
    return _ORDER.index(precision) if precision in _ORDER else len(_ORDER)


def _unanimous(row: Kernel) -> list[str]:
    """The precision that a line asks for, where all its products ask for the same."""
    asked = {precision for _, precision in row.asked}
    return list(asked) if len(asked) == 1 else []
