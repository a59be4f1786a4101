"""Bodies of loops as functions of their own, as a LiteRT file has them, which litert-converter leaves in their place.

outline(module)          in place
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any


def outline(module: Any) -> None:
    """Puts the test and the body of each loop into functions; what they read from without is carried, too."""
    for function in [*module.body.operations]:
        for op in [*_walk(function.operation)][::-1]:  # the innermost first
            if op.name == "tfl.while":
                _outlined(module, op)


def _mlir() -> Iterator[Any]:
    return (importlib.import_module(f"litert_converter.mlir.{name}") for name in ("ir", "dialects.func"))


def _walk(op: Any) -> Iterator[Any]:
    """An operation and all within it."""
    yield op
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield from _walk(inner.operation)


def _outlined(module: Any, op: Any) -> None:
    ir, func = _mlir()
    read = [*dict.fromkeys(value for region in op.regions for value in _read(region.blocks[0]))]
    constants = [value for value in read if hasattr(value.owner, "operands") and not len(value.owner.operands)]
    kept = [value for value in read if value not in constants]
    operands, attributes = [*op.operands, *kept], {name: op.attributes[name] for name in op.attributes}
    types = [value.type for value in operands]
    with ir.InsertionPoint(op):
        loop = ir.Operation.create(op.name, types, operands, attributes, regions=2)
    for region, empty, more in zip(op.regions, loop.regions, ([], kept), strict=True):
        function = _function(module, region.blocks[0], constants, kept, more)
        block = empty.blocks.append(*types, arg_locs=[op.location] * len(types))
        with ir.InsertionPoint(block):
            ir.Operation.create("tfl.yield", [], [*func.CallOp(function, [*block.arguments]).results])
    for old, new in zip(op.results, loop.results, strict=False):
        old.replace_all_uses_with(new)
    op.erase()


def _read(block: Any) -> Iterator[Any]:
    """Values from without a block that are read in it."""
    ops = [inner for op in block.operations for inner in _walk(op.operation)]
    own = {*block.arguments, *(value for op in ops for value in op.results)}
    own |= {value for op in ops for region in op.regions for inner in region.blocks for value in inner.arguments}
    return (value for op in ops for value in op.operands if value not in own)


def _function(module: Any, body: Any, constants: Sequence[Any], kept: Sequence[Any], more: Sequence[Any]) -> Any:
    """A function of what a loop carries, `kept` included, that returns what the body does, and `more` of it."""
    ir, func = _mlir()
    *ops, end = (op.operation for op in body.operations)
    given, made = [*body.arguments, *kept], [*end.operands, *more]
    kind = ir.FunctionType.get(*([value.type for value in values] for values in (given, made)))
    with ir.InsertionPoint(module.body):
        function = func.FuncOp(f"loop_{len(module.body.operations)}", kind, visibility="private")
    block = function.add_entry_block()
    names = dict(zip(given, block.arguments, strict=True))
    with ir.InsertionPoint(block):
        for op in [*(value.owner for value in constants), *ops]:
            copy = op.clone()
            for old, new in zip(_walk(op), _walk(copy), strict=True):
                for i, value in enumerate(old.operands):
                    new.operands[i] = names.get(value, new.operands[i])
            names |= zip(op.results, copy.results, strict=True)
        func.ReturnOp([names[value] for value in made])
    return function
