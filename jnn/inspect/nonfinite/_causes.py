"""Bad numbers followed through one equation.

    Value(array, causes)                 an array, and what caused its bad numbers
    apply(eqn, inputs, scope) -> values  evaluates an equation

An input is a cause if its bad numbers can have made the output's: where the primitive works element by element, or
chooses, those numbers that were used decide; NaN comes from NaN where there is one; what the program wrote itself, such
as a mask of -inf, is a cause only where nothing else is.
"""

from __future__ import annotations

import dataclasses
import os
import site
import sysconfig
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jnn.inspect._source import JAX, Line, between
from jnn.inspect.nonfinite._finding import Finding, Summary, finite, numbers

ELEMENTWISE = {"add", "add_any", "atan2", "div", "max", "min", "mul", "pow", "rem", "sub"}

_STANDARD = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = tuple(site.getsitepackages())  # some of it below the standard library, and not a part of it


@dataclasses.dataclass(frozen=True)
class Given:
    """The end of the way: an argument by its path, or, without one, a constant of the program."""

    path: str | None

    @property
    def constant(self) -> bool:
        """Whether the program itself wrote it."""
        return self.path is None


@dataclasses.dataclass(frozen=True, eq=False)
class Event:
    """An equation with a bad output."""

    order: int  # when it was evaluated
    causes: tuple[Cause, ...]  # of its bad inputs, those of the output's bad numbers
    constant: bool  # whether all that it does is to pass an infinity on that the program wrote
    finding: Finding | None  # what to tell of it; None where an earlier event caused it

    @property
    def rank(self) -> tuple[int, int]:
        """Whom to blame first."""
        given = any(isinstance(cause, Given) for cause in self.causes)
        return (2 if self.constant else 1 if given else 0), self.order


Cause = Event | Given


class Value(NamedTuple):
    """An array and what caused its bad numbers; no causes where there are none."""

    array: Any
    causes: tuple[Cause, ...] = ()

    @property
    def constant(self) -> bool:
        """Whether the program itself wrote its bad numbers."""
        return all(cause.constant for cause in self.causes)


class Scope(NamedTuple):
    """Where an equation stands; loops and backward as in a `Finding`."""

    clock: Iterator[int]  # counts the events
    function: tuple[str, int] | None = None  # file and first line of the function whose jaxpr is evaluated
    lines: tuple[Line, ...] = ()  # from which it is called
    loops: tuple[str, ...] = ()
    backward: bool = False
    seen: list[Any] | None = None  # where every value is kept, if anywhere

    def inside(self, eqn: Any, program: Any) -> Scope:
        """The scope of the equations of a program that `eqn` calls."""
        info = getattr(program, "jaxpr", program).debug_info
        function = (info.func_filename, info.func_lineno)
        return self._replace(function=function, lines=self.written(eqn), backward=self.transposed(eqn))

    def turn(self, loop: str) -> Scope:
        """The scope of one iteration, or of one branch."""
        return self._replace(loops=(*self.loops, loop))

    def written(self, eqn: Any) -> tuple[Line, ...]:
        """The lines of an equation, innermost first.

        JAX traces a function once and keeps the lines of its first caller; so what lies outside of the function is
        taken from the call that is being evaluated.
        """
        frames = eqn.source_info.traceback.frames if eqn.source_info.traceback else []
        starts = [(frame.file_name, frame.function_start_line) for frame in frames]
        inside = starts.index(self.function) + 1 if self.function in starts else None
        outermost = next((n for n, frame in enumerate(frames) if between(frame.file_name)), None)
        users = [f for f in frames[: inside or outermost] if not _of_a_library(f.file_name)]
        lines = tuple(Line(f.file_name, f.line_num, f.function_name) for f in users)
        return lines if inside is None and lines else lines + self.lines

    def transposed(self, eqn: Any) -> bool:
        """Whether an equation belongs to the transposed half of a gradient."""
        return self.backward or "transpose(" in str(eqn.source_info.name_stack)


def apply(eqn: Any, inputs: Sequence[Value], scope: Scope) -> list[Value]:
    """The outputs of an equation, each with the event of its bad numbers."""
    with eqn.ctx.manager:
        parameters = eqn.primitive.get_bind_params(eqn.params)
        out = eqn.primitive.bind(*(value.array for value in inputs), **parameters)
    outputs = out if eqn.primitive.multiple_results else [out]
    if scope.seen is not None:
        scope.seen.extend(outputs)
    bad = [not finite(x) for x in outputs]
    causes = (_event(eqn, inputs, outputs, scope),) if any(bad) else ()
    return [Value(x, causes if is_bad else ()) for x, is_bad in zip(outputs, bad, strict=True)]


def _event(eqn: Any, inputs: Sequence[Value], outputs: Sequence[Any], scope: Scope) -> Event:
    suspects = _suspects(eqn.primitive.name, inputs, outputs)
    found = dict.fromkeys(cause for value in suspects for cause in value.causes)
    causes = tuple(cause for cause in found if not cause.constant) or tuple(found)
    constant = bool(causes) and causes[0].constant
    if any(isinstance(cause, Event) for cause in causes) and not constant:
        return Event(next(scope.clock), causes, constant, None)
    finding = Finding(
        primitive=eqn.primitive.name,
        lines=scope.written(eqn),
        loops=scope.loops,
        backward=scope.transposed(eqn),
        inputs=tuple(Summary.of(value.array) for value in inputs),
        outputs=tuple(Summary.of(x) for x in outputs),
        given=tuple(cause.path for cause in causes if isinstance(cause, Given) and cause.path is not None),
        constant=constant,
    )
    return Event(next(scope.clock), causes, constant, finding)


def _suspects(primitive: str, inputs: Sequence[Value], outputs: Sequence[Any]) -> list[Value]:
    """The inputs whose bad numbers caused the outputs'; none where the equation made its own."""
    suspects = [value for value in inputs if value.causes]
    if primitive in ELEMENTWISE:
        suspects = [value for value in suspects if (_bad(value.array) & _bad(outputs[0])).any()]
    elif primitive == "select_n":
        which, *cases = inputs
        chosen = [_bad(case.array) & (np.asarray(which.array) == n) for n, case in enumerate(cases)]
        suspects = [case for case, used in zip(cases, chosen, strict=True) if used.any()]
    if any(_has_nan(x) for x in outputs):
        sources = [value for value in suspects if _has_nan(value.array)]
        if not sources and all(value.constant for value in suspects):
            return []  # NaN of infinities that the program wrote: this equation's own
        suspects = sources or suspects
    return [value for value in suspects if not value.constant] or suspects


def _bad(x: Any) -> np.ndarray:
    return ~np.isfinite(numbers(x))


def _has_nan(x: Any) -> bool:
    return not finite(x) and bool(np.isnan(numbers(x)).any())


def _of_a_library(file: str) -> bool:
    """Whether a file is JAX's or Python's: nobody looks there for the cause of a bad number."""
    return file.startswith(JAX) or (file.startswith(_STANDARD) and not file.startswith(_INSTALLED))
