"""What a program computes, counted from its jaxpr: nothing is compiled, and no array is made.

    flops(f, *args) -> Flops                         of one call

The convention: a multiply-add is two operations; only matrix products and convolutions count.

- A loop's body counts as often as it runs, not at all where that is never. How often a `while` runs is known where it
  counts from a literal to a literal, in integers or floats; any other is counted once, and named in `notes`. Of a
  conditional the dearest branch counts, unless a literal says which is taken.
- A convolution counts the products with true elements: not with padding, nor with the holes that a dilated input
  (and so the gradient of a strided convolution) has.
- What a program means beside its shapes it says by `jnn.flop_marks`.
- Within `shard_map` a body counts once for each shard: the count is that of all devices together. What JAX knows to
  be alike on several of them (`check_vma`) is the model's once.
- A fused attention counts its products: see `jnn.inspect._attention`. Any other Pallas kernel counts what its cost
  estimate says; one without an estimate is named in `notes`, and so is what has no jaxpr: an exported program, say.

Laws: `hardware` is what runs; `model` leaves out what `jax.checkpoint` computes a second time and what is marked as
idle, so that it depends on no backend, nor on what is rematerialized, nor on the mesh: utilization is of `model`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.interpreters.partial_eval import dce_jaxpr

from jnn.flop_marks import Marks
from jnn.inspect._attention import attention_flops
from jnn.inspect._bodies import bodies, repeats
from jnn.inspect._operations import COSTS, multiply_adds
from jnn.inspect._source import Frame, Place
from jnn.inspect._table import format_bytes, format_table

_OPAQUE = {"call_exported", "ffi_call", "tpu_custom_call", "triton_kernel_call"}


@dataclasses.dataclass(frozen=True)
class Operation:
    """One product of a program: a matrix product, a convolution, or a kernel with a cost estimate.

    `times` says how often it runs; `hardware` and `model` are its FLOPs in all of these, fractions where marks are.
    """

    primitive: str
    shapes: tuple[str, ...]  # of its operands, such as float32[8,64]
    precision: str
    times: int
    hardware: Fraction
    model: Fraction
    place: Place
    scope: str


@dataclasses.dataclass(frozen=True)
class Flops:
    """FLOPs of one call."""

    operations: tuple[Operation, ...]
    notes: tuple[str, ...]  # what could not be counted, or was counted by a convention

    @property
    def hardware(self) -> int:
        """What the program does, with what it does twice."""
        return round(sum(operation.hardware for operation in self.operations))

    @property
    def model(self) -> int:
        """Without what rematerialization does a second time, and idle stages for nothing."""
        return round(sum(operation.model for operation in self.operations))

    def lines(self) -> list[tuple[str, int, int]]:
        """(source line, hardware, model), the largest first, without those that count nothing."""
        sums: dict[str, tuple[Fraction, Fraction]] = {}
        for operation in self.operations:
            hardware, model = sums.get(str(operation.place), (Fraction(), Fraction()))
            sums[str(operation.place)] = hardware + operation.hardware, model + operation.model
        rows = [(line, round(hardware), round(model)) for line, (hardware, model) in sums.items() if hardware]
        return sorted(rows, key=lambda row: (-row[1], row[0]))

    def __str__(self) -> str:
        rows = [
            [line, f"{hardware / max(1, self.hardware):.1%}", hardware, model] for line, hardware, model in self.lines()
        ]
        model, hardware = format_bytes(self.model, "FLOP"), format_bytes(self.hardware, "FLOP")
        total = f"{model} of the model, {hardware} with what is computed twice"
        return "\n".join([total, format_table(["source", "share", "hardware", "model"], rows), *self.notes])


def flops(f: Callable[..., Any], *args: Any) -> Flops:
    """FLOPs of `f(*args)`, counted.

    See "PaLM: Scaling Language Modeling with Pathways", Chowdhery et al., 2022, appendix B, for model FLOPs and
    their utilization.

    Args:
      f: a function, jitted or not; a train step.
      args: trees of arrays, or of `jax.ShapeDtypeStruct`s.

    Returns:
      The count, by source line: print it.

    >>> x, w = jax.ShapeDtypeStruct((8, 64), "float32"), jax.ShapeDtypeStruct((64, 32), "float32")
    >>> count = flops(lambda x, w: jax.nn.relu(x @ w), x, w)
    >>> count.model, count.model == 2 * 8 * 64 * 32
    (32768, True)
    """
    traceable = f if hasattr(f, "trace") else jax.jit(f)
    return flops_of(traceable.trace(*args).jaxpr)


def flops_of(closed: ClosedJaxpr) -> Flops:
    """`flops` of what has been traced."""
    notes: dict[str, None] = {}  # in order, each once
    jaxpr, _ = dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))  # as the compiler will
    return Flops(tuple(_count(jaxpr, Frame(), 1, notes)), tuple(notes))


def _count(jaxpr: Jaxpr, outer: Frame, times: int, notes: dict[str, None]) -> Iterator[Operation]:
    """The operations of a jaxpr within an equation, run so often."""
    for equation in jaxpr.eqns:
        frame = outer.enter(equation)
        name = equation.primitive.name
        if name in COSTS:
            yield _counted(equation, frame, times, COSTS[name](equation))
        elif name == "mul" and Marks.of(frame.scope).multiplies:
            yield _counted(equation, frame, times, multiply_adds(equation))
        elif fused := attention_flops(equation, frame.scope):
            yield _counted(equation, frame, times, *fused)
        elif name == "pallas_call":
            yield from _kernel(equation, frame, times, notes)
        elif name == "cond":
            yield from _dearest(equation, frame, times, notes)
        elif name in _OPAQUE:
            notes[f"not counted: the {name} at {frame.place} has no jaxpr"] = None
        elif (often := repeats(equation)) != 0:
            each = [_count(body, frame, times * (often or 1), notes) for body in bodies(equation)]
            inside = [operation for operations in each for operation in operations]
            if often is None and inside:
                notes[f"counted once, for its trip count is unknown: the while loop at {frame.place}"] = None
            yield from inside


def _counted(equation: JaxprEqn, frame: Frame, times: int, cost: int, model: int | None = None) -> Operation:
    """An operation that is computed so often; `model` is what a model needs of it, where that is less."""
    marks = Marks.of(frame.scope)
    estimated = equation.primitive.name == "pallas_call" and model is None  # an author's own estimate knows already
    left = Fraction(times) if estimated else times * marks.left
    return Operation(
        primitive=equation.primitive.name,
        shapes=tuple(v.aval.str_short() for v in equation.invars),
        precision=precision_of(equation),
        times=times,
        hardware=left * cost,
        model=left * marks.model * (cost if model is None else model) / frame.alike(equation),
        place=frame.place,
        scope=frame.scope.strip("/"),
    )


def precision_of(equation: JaxprEqn) -> str:
    """The precision that an equation asks for, as HLO writes it: "default", "highest", or an algorithm's name."""
    asked = equation.params.get("precision")
    names = [str(p).lower() for p in asked] if isinstance(asked, tuple) else [str(asked or "default").lower()]
    return names[0] if len(set(names)) == 1 else ",".join(names)


def _kernel(equation: JaxprEqn, frame: Frame, times: int, notes: dict[str, None]) -> Iterator[Operation]:
    """A Pallas kernel, by what its author says that it costs."""
    estimate = equation.params.get("cost_estimate")
    if estimate is None or estimate.flops is None:
        notes[f"not counted: the Pallas kernel at {frame.place} has no cost estimate"] = None
    else:
        yield _counted(equation, frame, times, int(estimate.flops))


def _dearest(equation: JaxprEqn, frame: Frame, times: int, notes: dict[str, None]) -> Iterator[Operation]:
    """By what the model needs, so that what a branch rematerializes does not choose it."""
    branches = [list(_count(body, frame, times, notes)) for body in bodies(equation)]
    costs = [(sum(o.model for o in branch), sum(o.hardware for o in branch)) for branch in branches]
    if len(set(costs)) > 1:
        notes[f"the dearest branch alone is counted: the conditional at {frame.place}"] = None
    yield from branches[costs.index(max(costs))]
