"""JSON that every reader of JSON reads, and that gives back what was written: numbers that are not finite included.

    dumps(value) -> text      RFC 8259, which has no NaN: "NaN", "Infinity" and "-Infinity" stand for them, as text
    loads(text) -> value      and the numbers again

Laws: `loads(dumps(x))` is x for every JSON value, whatever numbers are in it; a text that reads like one of the three
gets a backslash before it, and loses it again. JavaScript's `Number` and Python's `float` read all three, and
Protocol Buffers write the same.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MISTAKEN = re.compile(r"\\*(NaN|-?Infinity)")  # texts that would be taken for such a number, or for one with a mark


def dumps(value: Any, **options: Any) -> str:
    """The JSON text of a value.

    Args:
      value: dicts, lists and tuples of texts, numbers, booleans and None.
      options: such as `indent`, as `json.dumps` takes them.

    Raises:
      TypeError: something in it is no JSON value.

    >>> dumps({"loss": math.nan, "best": [0.5, -math.inf], "note": "NaN"})
    '{"loss": "NaN", "best": [0.5, "-Infinity"], "note": "\\\\\\\\NaN"}'
    """
    try:
        text = json.dumps(value, allow_nan=False, **options)
        if not _may_hold(text):
            return text
    except ValueError:  # a number that JSON lacks
        pass
    return json.dumps(_written(value), allow_nan=False, **options)


def loads(text: str | bytes) -> Any:
    """The value that `dumps` wrote.

    Raises:
      ValueError: the text is no JSON, is nested too deeply, or is no UTF-8.

    >>> loads('["NaN", "-Infinity", "none"]')
    [nan, -inf, 'none']
    """
    text = text if isinstance(text, str) else text.decode()
    try:
        value = json.loads(text)
        return _read(value) if _may_hold(text) else value
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _may_hold(text: str) -> bool:
    """Whether there can be anything to replace: looked for in the text, since going through a long history is slow."""
    return 'NaN"' in text or 'Infinity"' in text


def _written(value: Any) -> Any:
    """The value with numbers that JSON lacks as texts."""
    if isinstance(value, dict):
        return {_written(key) if isinstance(key, float) else key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(float(value)).replace("nan", "NaN").replace("inf", "Infinity")
    if isinstance(value, str):
        return f"\\{value}" if _MISTAKEN.fullmatch(value) else value
    return value


def _read(value: Any) -> Any:
    """What `_written` was given."""
    if isinstance(value, dict):
        return {key: _read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_read(item) for item in value]
    if isinstance(value, str):
        return NUMBERS[value] if value in NUMBERS else value[1:] if _MISTAKEN.fullmatch(value) else value
    return value
