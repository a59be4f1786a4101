"""Expressions as they are in a file of their own: what is known of them is worked out.

What is known: formulations that a backend chooses; layouts, overrides and compute dtypes, none of which is in force;
calls of functions that then only hand an argument on; and names of parameters that no spec declares.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from typing import Any

from jnn import backend
from jnn.eject._source import INLINED, Symbol

Meaning = tuple[str, Any]  # ("argument", its name) or ("constant", its value): what each call of a function gives

# where nothing of jnn is in force, a call gives this argument, by its place ...
HANDED_ON = {
    Symbol("jnn.axes", "constrain"): 0,
    Symbol("jnn.axes", "gather"): 0,
    Symbol("jnn.axes", "gathered"): 0,
    Symbol("jnn.axes", "shard_mapped"): 0,
    Symbol("jnn.precision", "narrow"): 0,
    Symbol("jnn.overrides", "overridden"): 1,
}
# ... or this value: there is no layout, and no weight is of integers, or a product
CONSTANT: dict[Symbol, Any] = {
    Symbol("jnn.axes", "free_axes"): (),
    Symbol("jnn.axes", "in_force"): None,
    Symbol("jnn.checks._weights", "is_factored"): False,
    Symbol("jnn.checks._weights", "is_quantized"): False,
}
CHOOSE, PLATFORM = Symbol("jnn.backend", "choose"), Symbol("jnn.backend", "platform")


class ExpressionFolder(ast.NodeTransformer):
    """Folds the expressions of a linked definition.

    Args:
      symbol: what it defines.
      platform: the backend that it is for.
      define: the linked statement that defines a symbol, or None.
      meaning: what every call of a function of jnn gives, where that is known.
      declared: names of parameters that specs declare; None where no spec is known.
    """

    def __init__(
        self,
        symbol: Symbol,
        platform: str,
        define: Callable[[Symbol], ast.stmt | None],
        meaning: Callable[[Symbol], Meaning | None],
        declared: frozenset[str] | None,
    ) -> None:
        self.ours = is_ours(symbol)
        self.platform, self.define, self.meaning, self.declared = platform, define, meaning, declared
        self.tables: dict[str, ast.Dict] = {}  # dicts that local names are bound to

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        symbol = Symbol.of(node.func)
        if symbol is None:
            return node
        if symbol == CHOOSE:
            return self._chosen(node)
        if symbol == PLATFORM:
            return ast.Constant(self.platform)
        if symbol in CONSTANT:
            return ast.Constant(CONSTANT[symbol])
        if symbol in HANDED_ON and len(node.args) > HANDED_ON[symbol]:
            return node.args[HANDED_ON[symbol]]
        match self.meaning(symbol):
            case ("constant", value):
                return ast.Constant(value)
            case ("argument", name):
                return self._argument(node, symbol, name) or node
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        left, op, right = node.left, node.ops[0], node.comparators[0]
        if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            match op:
                case ast.Eq() | ast.Is():
                    return ast.Constant(left.value == right.value)
                case ast.NotEq() | ast.IsNot():
                    return ast.Constant(left.value != right.value)
        if isinstance(op, ast.In | ast.NotIn) and self._is_undeclared(left, right):
            return ast.Constant(isinstance(op, ast.NotIn))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        decides = isinstance(node.op, ast.Or)
        values: list[ast.expr] = []
        for value in node.values:
            truth = bool(value.value) if isinstance(value, ast.Constant) else None
            if truth in (None, decides) or value is node.values[-1]:
                values.append(value)
            if truth == decides:
                break
        if len(values) > 1 and all(isinstance(v, ast.Compare) for v in values[:-1]):
            # of comparisons a last bool that decides nothing is the result of none
            values = [v for v in values if not (isinstance(v, ast.Constant) and v.value is (not decides))]
        return values[0] if len(values) == 1 else ast.BoolOp(node.op, values)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.test, ast.Constant):
            return node.body if node.test.value else node.orelse
        return node.body if ast.dump(node.body) == ast.dump(node.orelse) else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """The entry of a table that is written at the top of a module."""
        self.generic_visit(node)
        symbol = Symbol.of(node.value)
        table = getattr(self.define(symbol), "value", None) if symbol and symbol.module.startswith("jnn.") else None
        if not isinstance(table, ast.Dict):
            return node
        match node.slice:
            case ast.Constant(value=key):
                return _entry(table, key) or node
            case ast.IfExp(test=test, body=ast.Constant(value=one), orelse=ast.Constant(value=other)):
                if (first := _entry(table, one)) and (second := _entry(table, other)):
                    return ast.IfExp(test, first, second)
        return node

    def _chosen(self, call: ast.Call) -> ast.AST:
        """The formulation, or what asks whether it can run; of a row known later, a call of the inlined `choose`."""
        name, *rest = call.args
        if not isinstance(name, ast.Constant):
            return ast.Call(ast.Name(str(Symbol(INLINED, "choose")), ast.Load()), call.args, call.keywords)
        row = backend.TABLE[str(name.value)]
        own = row.on(self.platform)
        refusals = self.tables.get(rest[0].id) if rest and isinstance(rest[0], ast.Name) else next(iter(rest), None)
        refuse = _entry(refusals, own) if isinstance(refusals, ast.Dict) else None
        if refuse is None:
            return ast.Constant(own)
        asked = copy.deepcopy(refuse.body) if isinstance(refuse, ast.Lambda) else ast.Call(refuse, [], [])
        return ast.IfExp(asked, ast.Constant(row.other), ast.Constant(own))

    def _argument(self, call: ast.Call, symbol: Symbol, name: str) -> ast.expr | None:
        """The argument of a call that is bound to a parameter, where that is plain to see."""
        args = getattr(self.define(symbol), "args", None)
        for keyword in call.keywords:
            if keyword.arg == name:
                return keyword.value
        names = [argument.arg for argument in (*args.posonlyargs, *args.args)] if args else []
        at = names.index(name) if name in names else len(call.args)
        before = call.args[: at + 1]
        return before[at] if at < len(before) and not any(isinstance(a, ast.Starred) for a in before) else None

    def _is_undeclared(self, name: ast.expr, where: ast.expr) -> bool:
        """Whether a name is asked for in parameters, while no spec declares it."""
        while isinstance(where, ast.Subscript):
            where = where.value
        in_params = isinstance(where, ast.Name) and where.id == "p"
        return (
            in_params
            and self.declared is not None
            and isinstance(name, ast.Constant)
            and name.value not in self.declared
        )


def is_ours(symbol: Symbol) -> bool:
    """Whether a definition is jnn's, whose conventions are known."""
    return symbol.module.split(".")[0] == "jnn"


def _entry(table: ast.Dict, key: Any) -> ast.expr | None:
    pairs = zip(table.keys, table.values, strict=True)
    return next((value for k, value in pairs if isinstance(k, ast.Constant) and k.value == key), None)
