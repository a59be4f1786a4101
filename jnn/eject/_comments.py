"""Comments in trees: Python's parser forgets them; here each is a statement, a string that begins with a mark."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator

MARK = "\0"
WIDTH = 100  # of a file
_FOR_OTHERS = re.compile(r"#\s*(type:|noqa|fmt:|pragma|mypy)|.*\bjnn\.")  # for tools, and of what is left behind


def with_comments(tree: ast.Module, text: str) -> ast.Module:
    """The tree of a text, with a statement for each comment before what it is about.

    >>> text = "x = 1  # one"
    >>> print(without_marks(ast.unparse(with_comments(ast.parse(text), text))))
    # one
    x = 1
    """
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT and not _FOR_OTHERS.match(token.string)]
    lines = {token.start[0]: token.string for token in comments}
    for node in [*ast.walk(tree)]:
        for part in ("body", "orelse", "finalbody"):
            if isinstance(found := getattr(node, part, None), list):
                setattr(node, part, _marked(found, getattr(node, "lineno", 0), lines))
    return tree


def commented(statements: list[ast.stmt]) -> Iterator[tuple[list[ast.stmt], ast.stmt]]:
    """Each statement, behind the comments on it."""
    comments: list[ast.stmt] = []
    for statement in statements:
        if is_comment(statement):
            comments.append(statement)
        else:
            yield comments, statement
            comments = []


def is_comment(statement: ast.stmt) -> bool:
    """Whether a statement is a comment."""
    return (_text(statement) or "").startswith(MARK)


def is_text(statement: ast.stmt) -> bool:
    """Whether a statement is a string: a docstring, or a comment."""
    return _text(statement) is not None


def _text(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return text
    return None


def without_marks(text: str) -> str:
    """Source text whose comments are comments again."""
    return "\n".join(map(_unmarked, text.split("\n")))


def _unmarked(line: str) -> str:
    string = line.lstrip()
    if not re.match(r"(\"\"\"|'|\")\\x00#", string):
        return line
    indent = line[: len(line) - len(string)]
    comment = str(ast.literal_eval(string))[1:].lstrip("#").strip()
    return textwrap.fill(comment, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _marked(body: list[ast.stmt], last: int, lines: dict[int, str]) -> list[ast.stmt]:
    """A body with its comments: those behind the line `last`, up to a statement's own or the head of a longer one."""
    marked: list[ast.stmt] = []
    for statement in body:
        end = statement.lineno if hasattr(statement, "body") else statement.end_lineno or statement.lineno
        for line in range(last + 1, end + 1):
            if line in lines and not is_text(statement):
                marked.append(ast.copy_location(ast.Expr(ast.Constant(MARK + lines.pop(line))), statement))
        marked.append(statement)
        last = statement.end_lineno or end
    return marked
