"""How often a loop runs that counts from one number to another.

    trips(start, limit, by, test, dtype) -> n        None where it does not end, or that would take long to find out

Integers are exact, and so are floats: a counter of 0.1s is added up as the machine does, rounding included.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

_MOST = 2**20  # steps of a float counter that are added up

TESTS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "ne": operator.ne}
MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "ne": "ne"}  # with the operands exchanged


def trips(start: Any, limit: Any, by: Any, test: str, dtype: Any) -> int | None:
    """How often `test(counter, limit)` holds, from `start` on by steps of `by`, None where that is not known.

    >>> trips(0, 7, 2, "lt", "int32"), trips(5, 3, 1, "lt", "int32"), trips(4, 0, -1, "ge", "int32")
    (4, 0, 5)
    >>> trips(0.0, 1.0, 0.1, "lt", "float32"), trips(0.0, 2.5, 1.0, "lt", "float32"), trips(0, 7, -1, "lt", "int32")
    (10, 3, None)
    """
    if not TESTS[test](start, limit):
        return 0
    if by is None or by == 0:
        return None
    count = _of_integers if np.issubdtype(dtype, np.integer) else _of_floats
    return count(start, limit, by, test, dtype)


def _of_integers(start: Any, limit: Any, by: Any, test: str, dtype: Any) -> int | None:
    """By arithmetic; a counter that would wrap around is none that ends."""
    start, limit, by = int(start), int(limit), int(by)
    way = 1 if by > 0 else -1
    far = (limit - start) * way
    if test == "ne":
        count = None if far < 0 or far % abs(by) else far // abs(by)
    elif (test in ("lt", "le")) != (by > 0):
        count = None
    else:
        count = -(-(far + (test in ("le", "ge"))) // abs(by))
    fits = np.iinfo(dtype)
    return count if count is not None and fits.min <= start + count * by <= fits.max else None


def _of_floats(start: Any, limit: Any, by: Any, test: str, dtype: Any) -> int | None:
    """By adding up; where a step is lost in rounding, the loop does not end."""
    about = abs((float(limit) - float(start)) / float(by))
    if not about <= _MOST:
        return None
    steps = np.full(int(1.2 * about) + 10, by, dtype)
    steps[0] = start
    ended = ~TESTS[test](np.add.accumulate(steps), np.asarray(limit, dtype))
    return int(np.argmax(ended)) if ended.any() else None
