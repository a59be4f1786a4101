"""The text of a compiled program, read: computations of instructions.

    parse(compiled or text) -> Module                     everything in it, by name
    array_types(type), type_bytes(type), held_bytes(type), bits(dtype)      what the types say

Law: every line that defines an instruction gives one.

The text is XLA's (`compiled.as_text()`), after optimization: what it says is what runs.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator

import jax

from jnn.inspect._source import Line, Place

_NOTES = re.compile(r"\{\n\".*?\n\}(?=\})", re.DOTALL)  # a Pallas kernel's own, over several lines of its instruction
_HEADER = re.compile(r"^(ENTRY )?%?([^\s(]+) \(.*\) -> .*\{")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([^\s=]+) = (\(.*?\)|\S+) ([\w\-]+)\(")
_PARENTHESIS = re.compile(r"[()]")
_NAME = re.compile(r"%([\w.\-]+)")
_ARRAY = re.compile(r"\b([a-z]\w*)\[([^\]]*)\]")
_CALLED = re.compile(r"\b(calls|to_apply|body|condition|\w*computations?)=(\{[^}]*\}|%[\w.\-]+)")
_ELSEWHERE = re.compile(r"\w+\[[^\]]*\]\{[^}]*S\(\d+\)[^}]*\}")
_ROW = re.compile(r"^(\d+) (.*)$")
DTYPES = {"bfloat": "bf", "float": "f", "uint": "u", "int": "s", "complex": "c"}  # less their bits
_BITS = {"pred": 8, "token": 0, "opaque": 0}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """`%name = type opcode(operands), attributes, metadata={...}, backend_config={...}`."""

    name: str
    type: str  # a shape with its layout, or a tuple of them
    opcode: str
    arguments: str  # what stands between the parentheses
    attributes: str
    config: str  # the backend's
    scope: str  # metadata's op_name: the path of transformations and named scopes
    place: Place
    root: bool

    @property
    def operands(self) -> list[str]:
        """The names of its operands."""
        return _NAME.findall(self.arguments)

    def attribute(self, name: str) -> str | None:
        """The value of one attribute, balanced: `attribute("dim_labels")` is "bf_io->bf"."""
        found = re.search(rf"(?:^|, ){name}=", self.attributes)
        if found is None:
            return None
        depth, start = 0, found.end()
        for i, character in enumerate(self.attributes[start:], start):
            depth += (character in "{[(") - (character in "}])")
            if character == "," and depth == 0:
                return self.attributes[start:i]
        return self.attributes[start:]

    def called(self) -> list[tuple[str, str]]:
        """The computations that it calls, as (role, name); a role is "body", "calls", ..."""
        return [(role, name) for role, names in _CALLED.findall(self.attributes) for name in _NAME.findall(names)]


@dataclasses.dataclass(frozen=True)
class Module:
    """A program: its computations by name, the entry's name, and the line that opens it."""

    header: str
    computations: dict[str, dict[str, Instruction]]
    entry: str

    def root(self, computation: str) -> Instruction:
        """What a computation returns."""
        return next(i for i in self.computations[computation].values() if i.root)


def parse(program: jax.stages.Compiled | str) -> Module:
    """HLO: reads a compiled program, or the text of one.

    Raises:
      ValueError: the text is not an HLO module with an entry computation.

    >>> module = parse("HloModule m\\n\\nENTRY %main (x: f32[2]) -> f32[2] {\\n  ROOT %x = f32[2]{0} parameter(0)\\n}")
    >>> module.root(module.entry).opcode
    'parameter'
    """
    text = program if isinstance(program, str) else program.as_text()
    lines = _NOTES.sub("{}", text or "").splitlines()
    places = _places(lines)
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", ""
    for line in lines:
        if header := _HEADER.match(line):
            current = header[2]
            computations[current] = {}
            entry = current if header[1] else entry
        elif current and (found := _INSTRUCTION.match(line)):
            computations[current][found[2]] = _instruction(line, found, places)
    if not entry or not lines[0].startswith("HloModule"):
        raise ValueError(
            f"inspect: expected the text of a compiled program (HloModule ... ENTRY), found {lines[:1]}. "
            "Give what compiled.as_text() returns."
        )
    return Module(lines[0], computations, entry)


def _instruction(line: str, found: re.Match[str], places: dict[int, Place]) -> Instruction:
    depth, end = 1, found.end()
    for mark in _PARENTHESIS.finditer(line, found.end()):
        depth += 1 if mark[0] == "(" else -1
        if depth == 0:
            end = mark.start()
            break
    rest = line[end + 1 :].removeprefix(", ")
    rest, _, config = rest.partition("backend_config=")
    attributes, _, metadata = rest.partition("metadata={")
    scope = re.search(r'op_name="((?:[^"\\]|\\.)*)"', metadata)
    return Instruction(
        name=found[2],
        type=found[3],
        opcode=found[4],
        arguments=line[found.end() : end],
        attributes=attributes.rstrip(", "),
        config=config,
        scope=scope[1] if scope else "",
        place=_place(metadata, places),
        root=bool(found[1]),
    )


def _place(metadata: str, places: dict[int, Place]) -> Place:
    """From a frame of the module's tables, or from the file and line that stand in the metadata themselves."""
    if frame := re.search(r"stack_frame_id=(\d+)", metadata):
        return places.get(int(frame[1]), Place())
    file, line = re.search(r'source_file="([^"]*)"', metadata), re.search(r"source_line=(\d+)", metadata)
    return Place((Line(file[1], int(line[1]) if line else 0, ""),)) if file else Place()


def _places(lines: list[str]) -> dict[int, Place]:
    """The stack frames of a module, by their number: four tables between its first line and its computations."""
    tables: dict[str, dict[int, str]] = {}
    current: dict[int, str] = {}
    for line in lines:
        if line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
            current = tables.setdefault(line, {})
        elif row := _ROW.match(line):
            current[int(row[1])] = row[2]
        elif _HEADER.match(line):
            break
    fields = lambda table: {i: dict(re.findall(r"(\w+)=(\d+)", row)) for i, row in tables.get(table, {}).items()}
    locations, frames = fields("FileLocations"), fields("StackFrames")
    name = lambda table, i: tables.get(table, {}).get(int(i), "").strip('"')

    def chain(frame: int) -> Iterator[tuple[str, int, str]]:
        while frame in frames:
            at = locations[int(frames[frame]["file_location_id"])]
            file, function = name("FileNames", at["file_name_id"]), name("FunctionNames", at["function_name_id"])
            yield file, int(at["line"]), function
            frame = int(frames[frame].get("parent_frame_id", 1)) - 1  # written with one added: 1 is none

    return {i: Place.of(chain(i)) for i in frames}


def array_types(type_: str) -> list[tuple[str, tuple[int, ...]]]:
    """The dtypes and shapes in a type.

    >>> array_types("(f32[8,4]{1,0:T(8,128)}, pred[])")
    [('f32', (8, 4)), ('pred', ())]
    """
    shape = lambda sizes: tuple(int(size.strip("<= ")) for size in sizes.split(",") if size)
    return [(dtype, shape(sizes)) for dtype, sizes in _ARRAY.findall(re.sub(r"/\*.*?\*/", "", type_))]


def type_bytes(type_: str) -> int:
    """Bytes of a type, without what a layout pads.

    >>> type_bytes("(f32[8,4]{1,0}, bf16[3], s4[6])")
    137
    """
    return sum(-(-math.prod(shape) * bits(dtype) // 8) for dtype, shape in array_types(type_))


def held_bytes(type_: str) -> int:
    """Bytes of a type in the main memory: arrays whose layout names another (a TPU's on-chip, the host's) are none."""
    return type_bytes(_ELSEWHERE.sub("", type_))


def hlo_dtype(dtype: str) -> str:
    """HLO's name of a dtype.

    >>> [hlo_dtype(name) for name in ("float32", "bfloat16", "uint8", "int8", "float8_e4m3fn", "complex64", "bool")]
    ['f32', 'bf16', 'u8', 's8', 'f8e4m3fn', 'c64', 'pred']
    """
    long = next((long for long in DTYPES if dtype.startswith(long)), "")
    return DTYPES[long] + dtype.removeprefix(long).replace("_", "") if long else {"bool": "pred"}.get(dtype, dtype)


def bits(dtype: str) -> int:
    """How many bits an element of an HLO dtype takes: `bits("f8e4m3fn")` is 8."""
    if dtype in _BITS:
        return _BITS[dtype]
    digits = re.search(r"\d+", dtype)
    if digits is None:
        raise ValueError(f"inspect: expected a dtype of HLO such as f32 or pred, found {dtype!r}.")
    return int(digits[0])
