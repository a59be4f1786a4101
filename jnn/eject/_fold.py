"""Definitions as they are in a file of their own: for one backend, on one device, without what only jnn asks.

In definitions of jnn itself checks are left out, and what is computed for their messages alone (`_unused`).
"""

from __future__ import annotations

import ast

from jnn.eject._comments import commented, is_text
from jnn.eject._expressions import ExpressionFolder, is_ours
from jnn.eject._source import Symbol

SAY_NOTHING = ("jnn.flop_marks", "jnn.precision")  # context managers of these modules


class Folder(ExpressionFolder):
    """Folds the statements of a linked definition, and their expressions."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, old in ast.iter_fields(node):
            if isinstance(old, list):
                statements = bool(old) and isinstance(old[0], ast.stmt)
                setattr(
                    node,
                    field,
                    self.block(old) if statements else [self.visit(x) if isinstance(x, ast.AST) else x for x in old],
                )
            elif isinstance(old, ast.AST):
                setattr(node, field, self.visit(old))
        return node

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements, without those that are left out, and their comments."""
        kept: list[ast.stmt] = []
        for comments, statement in commented(statements):
            if found := self.statement(statement):
                kept += [*comments, *found]
            if kept and isinstance(kept[-1], ast.Return | ast.Raise | ast.Continue | ast.Break):
                break
        return kept

    def statement(self, statement: ast.stmt) -> list[ast.stmt]:
        """What stands in for a statement."""
        if self.ours and _is_check(statement):
            return self.block(_beside_check(statement))
        if isinstance(statement, ast.Try) and self.ours and all(_raises(h.body) for h in statement.handlers):
            return self.block([*statement.body, *statement.orelse, *statement.finalbody])
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            self.tables |= {t.id: statement.value for t in statement.targets if isinstance(t, ast.Name)}
        return self._simplified(self.visit(statement))

    def _simplified(self, node: ast.stmt) -> list[ast.stmt]:
        """What is left of a statement whose parts are folded."""
        match node:
            case ast.Try():
                for handler in node.handlers:
                    handler.body = handler.body or [ast.Pass()]
            case ast.Expr(value=ast.Call() as call) if self.ours and self._only_checks(call):
                return []
            case ast.Expr(value=ast.Name() | ast.Constant(value=bool() | None)):
                return []
            case ast.FunctionDef(name="__post_init__") if self.ours and all(map(is_text, node.body)):
                return []
            case ast.If(test=ast.Constant(value=value)):
                return list(node.body if value else node.orelse)
            case ast.If(body=[], orelse=[]) if self.ours:
                return []
            case ast.If(body=[]):
                return [ast.If(negated(node.test), node.orelse, [])] if node.orelse else []
            case ast.For(body=[]) | ast.While(body=[]) if self.ours:
                return []
            case ast.With():
                node.items = [item for item in node.items if not _says_nothing(item)]
                return [node] if node.items else node.body
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=same)) if name == same:
                return []
            case ast.Assign(targets=[ast.Tuple()], value=ast.Tuple()):
                return _without_same(node)
        return [node]

    def _only_checks(self, call: ast.Call) -> bool:
        symbol = Symbol.of(call.func)
        if symbol is None or not is_ours(symbol):
            return False
        returns = getattr(self.define(symbol), "returns", None)
        return symbol.module.startswith("jnn.checks.") or (isinstance(returns, ast.Constant) and returns.value is None)


def negated(test: ast.expr) -> ast.expr:
    """The contrary."""
    return (
        test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(ast.Not(), test)
    )


def _is_check(statement: ast.stmt) -> bool:
    """Whether a statement does nothing but raise where something is wrong."""
    if isinstance(statement, ast.If):
        return _raises(statement.body)
    return isinstance(statement, ast.Assert)


def _beside_check(statement: ast.stmt) -> list[ast.stmt]:
    """What a check does beside raising: it binds names, and goes on where nothing is wrong."""
    if not isinstance(statement, ast.If):
        return []
    named = [node for node in ast.walk(statement.test) if isinstance(node, ast.NamedExpr)]
    bound: list[ast.stmt] = [ast.Assign([node.target], node.value, lineno=statement.lineno) for node in named]
    return [*bound, *statement.orelse]


def _raises(body: list[ast.stmt]) -> bool:
    plain = all(isinstance(s, ast.Assign | ast.AnnAssign | ast.Expr | ast.Raise) for s in body)
    return plain and isinstance(body[-1], ast.Raise) and body[-1].exc is not None


def _says_nothing(item: ast.withitem) -> bool:
    symbol = Symbol.of(item.context_expr.func) if isinstance(item.context_expr, ast.Call) else None
    return symbol is not None and symbol.module in SAY_NOTHING


def _without_same(node: ast.Assign) -> list[ast.stmt]:
    """`a, b = a, f(b)` without what stays as it is."""
    assert isinstance(node.targets[0], ast.Tuple)
    assert isinstance(node.value, ast.Tuple)
    if any(isinstance(x, ast.Starred) for x in (*node.targets[0].elts, *node.value.elts)):
        return [node]
    pairs = [*zip(node.targets[0].elts, node.value.elts, strict=True)]
    same = lambda a, b: isinstance(a, ast.Name) and isinstance(b, ast.Name) and a.id == b.id
    left = [(a, b) for a, b in pairs if not same(a, b)]
    if not left or len(left) == len(pairs):
        return [] if not left else [node]
    if len(left) == 1:
        return [ast.Assign([left[0][0]], left[0][1], lineno=node.lineno)]
    targets, values = zip(*left, strict=True)
    return [ast.Assign([ast.Tuple([*targets], ast.Store())], ast.Tuple([*values], ast.Load()), lineno=node.lineno)]
