"""What was found: one equation of a program, where it is written, and what it was given.

    Finding    the first equation that made a bad number; `str(finding)` is a report
    Summary    an array in one line

A *bad* number is one that is not finite: NaN, inf or -inf.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from jnn.checks import describe
from jnn.inspect._source import Line


@dataclasses.dataclass(frozen=True)
class Summary:
    """An array in one line; low, high and norm are of its finite numbers, 0 where there are none.

    >>> print(Summary.of(jnp.array([3.0, -4.0, jnp.inf])))
    float32[3]  min -4  max 3  norm 5  bad 1 of 3, first at [2]
    """

    type: str  # as JAX prints it, float32[8,128]
    size: int
    bad: int  # how many of its numbers are
    first: tuple[int, ...] | None  # the index of the first bad one
    low: float
    high: float
    norm: float

    @classmethod
    def of(cls, x: Any) -> Self:
        """The summary of an array; keys and other opaque types count as no numbers at all."""
        kind = describe(x)
        if not (jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool):
            return cls(kind, x.size, 0, None, 0.0, 0.0, 0.0)
        array = numbers(x)
        bad = ~np.isfinite(array)
        rest = np.abs(array[~bad]) if np.iscomplexobj(array) else array[~bad]
        first = tuple(map(int, np.unravel_index(np.argmax(bad), bad.shape))) if bad.any() else None
        low, high = (float(rest.min()), float(rest.max())) if rest.size else (0.0, 0.0)
        return cls(kind, x.size, int(bad.sum()), first, low, high, float(np.linalg.norm(rest.astype(np.float64))))

    def __str__(self) -> str:
        text = f"{self.type}  min {self.low:.6g}  max {self.high:.6g}  norm {self.norm:.6g}"
        if self.first is None:
            return text
        known = self.type if self.bad == self.size else text
        return f"{known}  bad {self.bad} of {self.size}, first at {list(self.first)}"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The equation that made the first bad number of those that reached a result.

    Attributes:
      primitive: its name, such as `log` or `dot_general`.
      lines: where it is written, innermost first, down from the function that was examined. An equation of a
        gradient has the lines of the forward code that it belongs to.
      loops: the loops and branches around it, outermost first; iterations count from 0.
      backward: whether it belongs to the transposed half of a gradient.
      inputs, outputs: what it was given and what it made.
      given: the arguments, by path, whose bad numbers it was given; empty where it made its own.
      constant: whether an infinity or NaN that is written in the program is all that was bad.
    """

    primitive: str
    lines: tuple[Line, ...]
    loops: tuple[str, ...]
    backward: bool
    inputs: tuple[Summary, ...]
    outputs: tuple[Summary, ...]
    given: tuple[str, ...] = ()
    constant: bool = False

    def __str__(self) -> str:
        worst = next(s for s in self.outputs if s.bad)
        text = [f"{self.primitive} made {worst.bad} of {worst.size} numbers bad: {self.cause}."]
        where = [*self.loops, *(["the backward pass"] if self.backward else [])]
        written = [f"{line}\n      {line.code}" for line in self.lines]
        text += [f"  in {line}" for line in written[:1]]
        text += [f"  within {', '.join(where)}"] if where else []
        text += [f"  input   {summary}" for summary in self.inputs]
        text += [f"  output  {summary}" for summary in self.outputs]
        text += [f"  called from {line}" for line in written[1:]]
        return "\n".join(text)

    @property
    def cause(self) -> str:
        """Why it made them, in words."""
        if self.given:
            return f"it is the first to use {', '.join(self.given)}, which came with bad numbers"
        if self.constant:
            return "it uses an infinity or NaN that is written in the program"
        return "its inputs were finite" if not any(s.bad for s in self.inputs) else "NaN, out of infinities"


def numbers(x: Any) -> np.ndarray:
    """An array on the host, in a dtype that NumPy itself knows: bfloat16 and smaller floats become float32."""
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype.isbuiltin == 2 else array


def finite(x: Any) -> bool:
    """Whether an array holds no bad number; so does everything that is not floating point.

    >>> finite(jnp.ones(3)), finite(jnp.log(jnp.zeros(3))), finite(jnp.arange(3))
    (True, False, True)
    """
    return not jnp.issubdtype(getattr(x, "dtype", np.int32), jnp.inexact) or bool(np.isfinite(numbers(x)).all())
