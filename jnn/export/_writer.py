"""Equations as statements: names for values, and one call of a rule for each equation.

Writer(rules, ...).block(body) -> statements      RULES[primitive](Call) -> an expression, or one for each output
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from jnn.export._literals import UNSIGNED, Unsupported, dtype, number
from jnn.export._program import Body, Equation, Value
from jnn.export._statements import Assign, Statement
from jnn.inspect import Place

WRAPPING = {
    *("add", "add_any", "sub", "mul", "neg", "not", "square", "integer_pow", "pow", "shift_left", "dot_general"),
    *("convert_element_type", "bitcast_convert_type", "scatter-add", "scatter-mul"),
    *("reduce_sum", "reduce_prod", "cumsum", "cumprod", "reduce_window_sum"),
}
Rule = Callable[["Call"], str | list[str] | None]


class Writer:
    """What is known of the values of a program, and the rules."""

    def __init__(self, rules: dict[str, Rule], elementwise: frozenset[str], comment: Callable[[Place], str]) -> None:
        self.rules, self.elementwise, self.comment = rules, elementwise, comment
        self.names: dict[Value, str] = {}
        self.thin: set[Value] = set()  # written without the axes that broadcasting gives them
        self.live: set[Value] = set()
        self.filled: dict[Value, int] = {}  # of equal integers, which an index may be
        self.columns: dict[Value, str] = {}  # with one more axis of size 1, and what they are without it
        self._numbers, self._turns = itertools.count(1), itertools.count(1)

    def fresh(self) -> str:
        """A name that nothing has."""
        return f"_{next(self._numbers)}"

    def turn(self) -> str:
        """A name for the counter of a loop."""
        return f"i{next(self._turns)}"

    def name(self, value: Value) -> str:
        """A name for a value that has none yet."""
        self.names[value] = self.fresh()
        return self.names[value]

    def text(self, value: Value) -> str:
        """How a value is written where it is read."""
        if not value.is_number and value not in self.names:
            raise Unsupported("a key of random numbers is used otherwise than to draw. Give the function none.")
        return number(value.number, value.dtype) if value.is_number else self.names[value]

    def as_tensor(self, value: Value) -> str:
        """How it is written where only a tensor can stand."""
        text = self.text(value)
        return f"torch.tensor({text}, dtype={dtype(value.dtype)})" if value.is_number else text

    def block(self, body: Body) -> list[Statement]:
        """The statements of a body, whose inputs have names."""
        self.thin |= thin_broadcasts(body, self.elementwise)
        statements: list[Statement] = []
        for equation in body.equations:
            statements += self.statements(equation)
        return statements

    def statements(self, equation: Equation) -> list[Statement]:
        call = Call(self, equation)
        rule = self.rules.get(equation.name)
        if rule is None:
            raise Unsupported(f"no torch code for the primitive {equation.name!r}, {call.where}.")
        found = rule(call)
        if found is not None:
            texts = [found] if isinstance(found, str) else found
            if equation.name in WRAPPING and equation.outputs[0].dtype in UNSIGNED:
                texts = [f"({text}) & {np.iinfo(equation.outputs[0].dtype).max}" for text in texts]
            for value, text in zip(equation.outputs, texts, strict=True):
                if text in call.args:  # the operand itself
                    self.names[value] = text
                else:
                    call.made.append(Assign.of([self.name(value)], text, call.comment))
        return call.made


class Call:
    """An equation as a rule sees it: operands as text, in the place where it stands."""

    def __init__(self, writer: Writer, equation: Equation) -> None:
        self.writer, self.equation, self.params = writer, equation, equation.params
        self.inputs, self.outputs, self.out = equation.inputs, equation.outputs, equation.outputs[0]
        self.comment = writer.comment(equation.place)
        self.made: list[Statement] = []  # before the expressions that a rule returns

    @property
    def where(self) -> str:
        return f"at {self.equation.called}"

    @property
    def args(self) -> list[str]:
        return [self.writer.text(value) for value in self.inputs]

    @property
    def x(self) -> str:
        """The first operand."""
        return self.tensor(0)

    def __getitem__(self, i: int) -> str:
        return self.writer.text(self.inputs[i])

    def tensor(self, i: int) -> str:
        """An operand that has to be a tensor."""
        return self.writer.as_tensor(self.inputs[i])

    @property
    def own_dtype(self) -> str:
        """The option by which torch sums integers in their own dtype, which it would widen."""
        return f", dtype={dtype(self.out.dtype)}" if self.out.dtype.kind in "biu" else ""

    def refuse(self, what: str) -> Unsupported:
        return Unsupported(f"no torch code for {what} of the primitive {self.equation.name!r}, {self.where}.")

    def let(self, text: str, *, fixed: bool = False) -> str:
        """The name of a result on the way."""
        name = self.writer.fresh()
        self.made.append(Assign.of([name], text, self.comment, fixed=fixed))
        return name


def thin_broadcasts(body: Body, elementwise: frozenset[str]) -> set[Value]:
    """Broadcast values that are only read beside one of the whole shape, to which torch broadcasts them itself."""
    made = {e.outputs[0]: e for e in body.equations if _only_adds_axes(e)}
    readers: dict[Value, list[Equation]] = {value: [] for value in made}
    for equation in body.equations:
        for value in {*equation.inputs, *itertools.chain(*map(_read_within, equation.bodies))} & made.keys():
            readers[value].append(equation)
    whole = lambda e: any(v.shape == e.outputs[0].shape and v not in made for v in e.inputs)
    apart = {*made} - {*body.outputs}
    return {value for value in apart if all(e.name in elementwise and whole(e) for e in readers[value])}


def _only_adds_axes(equation: Equation) -> bool:
    """Whether torch would broadcast the operand as this equation does, or a reshape to more axes in front."""
    before, after = equation.inputs[0].shape if equation.inputs else (), equation.outputs[0].shape
    more = len(after) - len(before)
    ahead = equation.name == "reshape" and more > 0 and after == (1,) * more + before
    return ahead or equation.name == "broadcast_in_dim"


def _read_within(body: Body) -> Iterable[Value]:
    yield from body.outputs
    for equation in body.equations:
        yield from equation.inputs
        for inner in equation.bodies:
            yield from _read_within(inner)
