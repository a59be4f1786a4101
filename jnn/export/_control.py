"""Rules of loops and choices: `scan`, `while` and `cond` as Python's own."""

from __future__ import annotations

from jnn.export._literals import dtype, size, sizes
from jnn.export._program import Value
from jnn.export._statements import BREAK, Assign, Compound, Statement, expression
from jnn.export._writer import Call, Rule
from jnn.inspect import scan_sizes


def scan(c: Call) -> None:
    """A loop over the leading axis: what is carried is assigned anew, rows are appended."""
    p, (body,) = c.params, c.equation.bodies
    kept, carried = scan_sizes(p)
    ends = kept + carried
    names = _carried(c, c.inputs[kept:ends], body.inputs[kept:ends])
    i, read = c.writer.turn(), []
    for value, rows in zip(body.inputs[ends:], c.inputs[ends:], strict=True):
        read.append(Assign.of([c.writer.name(value)], f"{c.writer.text(rows)}[{i}]", c.comment))
    inner = [*read, *c.writer.block(body)]
    columns = []
    for made, row in zip(c.outputs[carried:], body.outputs[carried:], strict=True):
        if made in c.writer.live:
            column = c.let("[]", fixed=True)
            inner.append(Assign.of([], f"{column}.append({c.writer.as_tensor(row)})", c.comment))
            columns.append((made, column))
    inner += _again(c, names, body.outputs[:carried])
    turns = f"range({size(p['length'])})"
    header = f"for {i} in {f'reversed({turns})' if p['reverse'] else turns}:"
    c.made.append(Compound([(None, header, inner)], c.comment))
    c.writer.names |= dict(zip(c.outputs[:carried], names, strict=True))
    for made, column in columns:
        text = f"torch.stack({column}[::-1])" if p["reverse"] else f"torch.stack({column})"
        if not isinstance(p["length"], int) or not p["length"]:
            text = f"{text} if {column} else torch.empty({sizes((0, *made.shape[1:]))}, dtype={dtype(made.dtype)})"
        c.made.append(Assign.of([c.writer.name(made)], text, c.comment))


def loop(c: Call) -> None:
    """A loop for as long as its condition holds."""
    test, body = c.equation.bodies
    asked, kept = c.params["cond_nconsts"], c.params["body_nconsts"]
    names = _carried(c, c.inputs[asked + kept :], body.inputs[kept:])
    c.writer.names |= dict(zip(test.inputs[asked:], names, strict=True))
    inner = c.writer.block(test)
    (on,), going = test.outputs, c.writer.text(test.outputs[0])
    if on.shape:  # of a batch, by `vmap`
        going = c.writer.fresh()
        inner.append(Assign.of([going], c.writer.text(on), c.comment))
    inner.append(Compound([(expression(f"{going}.any()" if on.shape else going), "if not {}:", [BREAK])]))
    inner += c.writer.block(body)
    inner += _again(c, names, body.outputs, where=(going, len(on.shape)) if on.shape else None)
    c.made.append(Compound([(None, "while True:", inner)], c.comment))
    c.writer.names |= dict(zip(c.outputs, names, strict=True))


def choice(c: Call) -> None:
    """The branch of an index, which is brought into its range."""
    names = [c.writer.name(value) for value in c.outputs]
    parts = []
    for i, branch in enumerate(c.equation.bodies):
        test = f"{c[0]} <= {i}" if i + 1 < len(c.equation.bodies) else None
        header = "else:" if test is None else ("elif {}:" if i else "if {}:")
        block = [*c.writer.block(branch), *_again(c, names, branch.outputs)]
        parts.append((None if test is None else expression(test), header, block))
    c.made.append(Compound(parts, c.comment))


def _carried(c: Call, before: list[Value], within: list[Value]) -> list[str]:
    """Names of what a loop carries, which begin with what is there before."""
    names = [c.writer.name(value) for value in within]
    for name, value in zip(names, before, strict=True):
        c.made.append(Assign.of([name], c.writer.as_tensor(value), c.comment, fixed=True))
    return names


def _again(c: Call, names: list[str], values: list[Value], where: tuple[str, int] | None = None) -> list[Statement]:
    """One assignment of all: what is read in it is of the turn before, and stays but `where` (its name, its axes)."""
    changed = [(name, v) for name, v in zip(names, values, strict=True) if c.writer.text(v) != name]
    if not changed:
        return []
    targets, texts = [name for name, _ in changed], [c.writer.as_tensor(v) for _, v in changed]
    if where:
        masks = [f"{where[0]}[{', '.join(['...'] + ['None'] * (len(v.shape) - where[1]))}]" for _, v in changed]
        texts = [f"torch.where({m}, {text}, {name})" for m, text, name in zip(masks, texts, targets, strict=True)]
    return [Assign.of(targets, ", ".join(texts), c.comment, fixed=True)]


RULES: dict[str, Rule] = {"scan": scan, "while": loop, "cond": choice}
