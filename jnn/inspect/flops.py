"""What a program computes, counted from its jaxpr: nothing is compiled, and no array is made.

    flops(f, *args) -> Flops                         of one call

The convention: a multiply-add is two operations; only matrix products and convolutions count.

- A loop's body counts as often as it runs. How often a `while` runs is known where it counts from a literal to a
  literal; any other is counted once, and named in `notes`. Of a conditional the dearest branch counts.
- A convolution counts the products with true elements: not with padding, nor with the holes that a dilated input
  (and so the gradient of a strided convolution) has.
- Under a causal mask or a window, attention's two products count the pairs of query and key that may see each other,
  t (t + 1) / 2 of t * t: `jnn.layers.attention` marks them by a named scope `pairs_36_of_64`, as any code may.
- What a pipeline's stages compute while they are idle is computed, and not the model's: `jnn.parallel.pipeline` marks
  them by a named scope `busy_4_of_5`.
- Within `shard_map` a body counts once for each shard: the count is that of all devices together.
- A fused attention counts its products: see `jnn.inspect.attention`. Any other Pallas kernel counts what its cost
  estimate says; one without an estimate is named in `notes`.

Laws: `hardware` is what runs; `model` leaves out what `jax.checkpoint` computes a second time and what idle stages do,
so that it depends neither on what is rematerialized nor on the mesh: model FLOPs utilization is of `model`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jax.interpreters.partial_eval import dce_jaxpr

from jnn.inspect.attention import attention_flops
from jnn.inspect.bodies import bodies, repeats
from jnn.inspect.operations import COSTS
from jnn.inspect.place import Place
from jnn.inspect.source import Frame
from jnn.inspect.table import human, table

_PAIRS = re.compile(r"pairs_(\d+)_of_(\d+)")
_BUSY = re.compile(r"busy_(\d+)_of_(\d+)")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One product of a program: a matrix product, a convolution, or a kernel with a cost estimate.

    `times` says how often it runs; `hardware` and `model` are its FLOPs in all of these.
    """

    primitive: str
    shapes: tuple[str, ...]  # of its operands, such as float32[8,64]
    precision: str
    times: int
    hardware: int
    model: int
    place: Place
    scope: str


@dataclasses.dataclass(frozen=True)
class Flops:
    """What one call computes."""

    operations: tuple[Operation, ...]
    notes: tuple[str, ...]  # what could not be counted, or was counted by a convention

    @property
    def hardware(self) -> int:
        """What the program does, with what it does twice."""
        return sum(operation.hardware for operation in self.operations)

    @property
    def model(self) -> int:
        """Without what rematerialization does a second time, and idle stages for nothing."""
        return sum(operation.model for operation in self.operations)

    def lines(self) -> list[tuple[str, int, int]]:
        """(source line, hardware, model), the largest first."""
        sums: dict[str, tuple[int, int]] = {}
        for operation in self.operations:
            hardware, model = sums.get(str(operation.place), (0, 0))
            sums[str(operation.place)] = hardware + operation.hardware, model + operation.model
        rows = [(line, hardware, model) for line, (hardware, model) in sums.items()]
        return sorted(rows, key=lambda row: (-row[1], row[0]))

    def __str__(self) -> str:
        rows = [
            [line, f"{hardware / max(1, self.hardware):.1%}", hardware, model] for line, hardware, model in self.lines()
        ]
        total = f"{human(self.model, 'FLOP')} of the model, {human(self.hardware, 'FLOP')} with what is computed twice"
        return "\n".join([total, table(["source", "share", "hardware", "model"], rows), *self.notes])


def flops(f: Callable[..., Any], *args: Any) -> Flops:
    """Counts what `f(*args)` computes.

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
            yield _counted(equation, frame, times, _share(_PAIRS, COSTS[name](equation), frame.scope))
        elif fused := attention_flops(equation, frame.scope):
            hardware, model = (_share(_PAIRS, cost, frame.scope) for cost in fused)
            yield _counted(equation, frame, times, hardware, model)
        elif name == "pallas_call":
            yield from _kernel(equation, frame, times, notes)
        elif name == "cond":
            yield from _dearest(equation, frame, times, notes)
        else:
            often = repeats(equation)
            each = [_count(body, frame, times * (often or 1), notes) for body in bodies(equation)]
            inside = [operation for operations in each for operation in operations]
            if often is None and inside:
                notes[f"counted once, for its trip count is unknown: the while loop at {frame.place}"] = None
            yield from inside


def _share(mark: re.Pattern[str], cost: int, scope: str) -> int:
    """Of a product in a marked scope, the part that the mark says: what a mask leaves, what a stage is busy with."""
    if not (marks := mark.findall(scope)):
        return cost
    part, of = map(int, marks[-1])
    return cost * part // of


def _counted(equation: JaxprEqn, frame: Frame, times: int, cost: int, model: int | None = None) -> Operation:
    """An operation that is computed so often; `model` is what a model needs of it, where that is less."""
    needed = times * (cost if model is None else model)
    again = "rematted_computation" in frame.scope  # as jax.checkpoint calls what it computes a second time
    return Operation(
        primitive=equation.primitive.name,
        shapes=tuple(v.aval.str_short() for v in equation.invars),
        precision=precision_of(equation),
        times=times,
        hardware=times * cost,
        model=0 if again else _share(_BUSY, needed, frame.scope),
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
    branches = [list(_count(body, frame, times, notes)) for body in bodies(equation)]
    costs = [sum(operation.hardware for operation in branch) for branch in branches]
    if len(set(costs)) > 1:
        notes[f"the dearest branch alone is counted: the conditional at {frame.place}"] = None
    yield from branches[costs.index(max(costs))]
