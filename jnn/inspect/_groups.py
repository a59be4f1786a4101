"""Groups of devices, in each of the forms in which XLA writes them: listed, counted through, or along a mesh.

parse_groups(text) -> ((0, 1), (2, 3))           of replica_groups
parse_list(text) -> ((0, 1), (1, 0))             of source_target_pairs
"""

from __future__ import annotations

import math
import re

import numpy as np

Groups = tuple[tuple[int, ...], ...]

_AXIS = re.compile(r"'([^']*)'(?::\((\d+)\)(\d+))?")


def parse_groups(text: str | None) -> Groups:
    """Replica groups in any of the three forms that XLA writes.

    >>> parse_groups("{{0,1},{2,3}}") == parse_groups("[2,2]<=[4]") == parse_groups("mesh['a'=2,'b'=2] {'b'}")
    True
    >>> parse_groups("mesh['a'=2,'b'=2], device_ids=([2,2]T(1,0)) {'a'}")
    ((0, 1), (2, 3))
    >>> parse_groups("[2,4]<=[4,2]T(1,0)")
    ((0, 2, 4, 6), (1, 3, 5, 7))
    """
    if not text or text == "{}":
        return ()
    if text.startswith("mesh["):
        return _along_mesh(text)
    if text.startswith("["):
        return _iota(text)
    return parse_list(text)


def parse_list(text: str | None) -> Groups:
    """{{0,1},{2,3}}: the groups themselves."""
    return tuple(tuple(map(int, group.split(","))) for group in re.findall(r"\{([\d,]+)\}", text or ""))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _iota(text: str) -> Groups:
    """[groups,devices]<=[shape]T(permutation): counting through a transposed array."""
    found = re.fullmatch(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", text)
    if found is None:
        raise ValueError(f"collectives: expected replica groups such as [2,4]<=[8]T(1,0), found {text!r}.")
    shape, reshaped = _numbers(found[1]), _numbers(found[2])
    ids = np.arange(math.prod(reshaped)).reshape(reshaped)
    ids = ids.transpose(_numbers(found[3])) if found[3] else ids
    return _rows(ids, shape[-1])


def _along_mesh(text: str) -> Groups:
    """mesh['a'=2,'b'=4] {'b'}: a mesh, and the axes that take part; 'b':(1)2 is a part of one."""
    found = re.fullmatch(r"mesh\[([^\]]*)\](?:, device_ids=\((.*)\))? \{(.*)\}", text)
    if found is None:
        raise ValueError(f"collectives: expected replica groups such as mesh['a'=2,'b'=4] {{'b'}}, found {text!r}.")
    parts = {name: (int(before or 1), int(count or 0)) for name, before, count in _AXIS.findall(found[3])}
    shape: list[int] = []
    taken: list[int] = []
    for name, size_ in re.findall(r"'([^']*)'=(\d+)", found[1]):
        whole = int(size_)
        before, count = parts.get(name, (whole, 1))
        shape += [before, count or whole, whole // (before * (count or whole))]
        taken += [len(shape) - 2] if name in parts else []
    kept = [axis for axis in range(len(shape)) if axis not in taken]
    ids = np.array(_order(found[2]) if found[2] else range(math.prod(shape))).reshape(shape)
    return _rows(ids.transpose([*kept, *taken]), math.prod(shape[axis] for axis in taken))


def _order(text: str) -> list[int]:
    """The devices of a mesh that is not in its usual order: 0,2,1,3 or [2,2]T(1,0)."""
    shape, _, permutation = text.partition("T")
    if not shape.startswith("["):
        return _numbers(text)
    ids = np.arange(math.prod(_numbers(shape))).reshape(_numbers(shape))
    return [int(i) for i in ids.transpose(_numbers(permutation) if permutation else None).ravel()]


def _rows(ids: np.ndarray, width: int) -> Groups:
    return tuple(tuple(map(int, group)) for group in ids.reshape(-1, width))
