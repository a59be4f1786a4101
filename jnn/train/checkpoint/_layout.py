"""Old layouts: a table of rules that bring arrays by path to where the code of today looks for them.

rules = [
    rename("encoder/*", "blocks/*"),                  * is any text, the same on both sides
    stack("layer_{i}/w", "layers/w"),                 layer_0/w, layer_1/w, ... along a new leading axis
    unstack("heads/*", "head_{i}/*"),                 the reverse
]
relayout(arrays, rules) -> arrays                     in order; every misfit named at once
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from jnn import checks

Arrays = Mapping[str, Any]
INDEX = "{i}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Migration rule: `rename`, `stack` or `unstack`, from paths that match `old` to `new`."""

    kind: Literal["rename", "stack", "unstack"]
    old: str
    new: str

    def __str__(self) -> str:
        return f'{self.kind}("{self.old}", "{self.new}")'


def rename(old: str, new: str) -> Rule:
    """Migration rule: moves arrays; each `*` stands for any text.

    Raises:
      ValueError: the two patterns do not have the same number of `*`, or they have an index.

    >>> relayout({"a/w": np.zeros(2)}, [rename("a/*", "b/*")])
    {'b/w': array([0., 0.])}
    """
    return _checked(Rule("rename", old, new), 0, 0)


def stack(old: str, new: str) -> Rule:
    """Migration rule: stacks arrays `{i}` = 0, 1, ... of one shape and dtype along a new leading axis.

    Raises:
      ValueError: the old pattern does not have one `{i}`, the new one has some, or their numbers of `*` differ.

    >>> arrays = {"layer_0/b": np.zeros(2), "layer_1/b": np.ones(2)}
    >>> relayout(arrays, [stack("layer_{i}/*", "layers/*")])["layers/b"].shape
    (2, 2)
    """
    return _checked(Rule("stack", old, new), 1, 0)


def unstack(old: str, new: str) -> Rule:
    """Migration rule: takes arrays apart along their leading axis, into `{i}` = 0, 1, ...

    Raises:
      ValueError: the new pattern does not have one `{i}`, the old one has some, or their numbers of `*` differ.

    >>> sorted(relayout({"layers/b": np.zeros((2, 3))}, [unstack("layers/*", "layer_{i}/*")]))
    ['layer_0/b', 'layer_1/b']
    """
    return _checked(Rule("unstack", old, new), 0, 1)


def relayout(arrays: Arrays, rules: Sequence[Rule]) -> dict[str, Any]:
    """Checkpoint migration: the arrays after every rule in turn.

    Args:
      arrays: by path, such as `read(folder).state` or `jnn.flatten(params)`.
      rules: from `rename`, `stack` and `unstack`.

    Raises:
      ValueError: lists every rule that matches nothing, that would overwrite an array, or whose arrays cannot be
        stacked (a missing index, unequal shapes or dtypes) or unstacked (no axis).
    """
    arrays, problems = dict(arrays), []
    for rule in rules:
        found = {path: match for path in arrays if (match := _regex(rule.old).fullmatch(path))}
        if not found:
            problems.append(f"{rule}: no path matches")
            continue
        moved, misfits = APPLY[rule.kind](rule, {path: (arrays[path], match) for path, match in found.items()})
        problems += [f"{rule}: {misfit}" for misfit in misfits]
        rest = {path: x for path, x in arrays.items() if path not in found}
        problems += [f"{rule}: {path} is there already" for path in moved if path in rest]
        arrays = rest | moved
    if problems:
        raise ValueError("relayout: these rules do not fit the arrays:\n  " + "\n  ".join(problems))
    return arrays


Found = Mapping[str, tuple[Any, re.Match[str]]]  # path -> the array there, and how the path matched
Moved = tuple[dict[str, Any], list[str]]  # the arrays at their new paths, and what did not fit


def _rename(rule: Rule, found: Found) -> Moved:
    return _all_apart([(_fill(rule.new, match), x) for x, match in found.values()])


def _stack(rule: Rule, found: Found) -> Moved:
    pieces: dict[str, list[tuple[int, Any]]] = {}
    for x, match in found.values():
        pieces.setdefault(_fill(rule.new, match), []).append((int(match["i"]), x))
    moved, misfits = {}, []
    for new, parts in pieces.items():
        indices, whole = zip(*sorted(parts, key=lambda part: part[0]), strict=True)
        kinds = sorted({checks.describe(x) for x in whole})
        if indices != tuple(range(len(parts))):
            misfits.append(f"{new} needs the indices 0, 1, ..., found {list(indices)}")
        elif len(kinds) > 1:
            misfits.append(f"{new} needs equal shapes and dtypes, found {', '.join(kinds)}")
        else:
            moved[new] = np.stack(whole) if isinstance(whole[0], np.ndarray) else jnp.stack(whole)
    return moved, misfits


def _unstack(rule: Rule, found: Found) -> Moved:
    misfits = [f"{path} has no axis to unstack" for path, (x, _) in found.items() if x.ndim == 0]
    pieces = [(_fill(rule.new, match, i), x[i]) for x, match in found.values() if x.ndim for i in range(len(x))]
    moved, clashes = _all_apart(pieces)
    return moved, misfits + clashes


def _all_apart(pieces: Sequence[tuple[str, Any]]) -> Moved:
    """The pieces by path, if no two have the same."""
    moved = dict(pieces)
    paths = [path for path, _ in pieces]
    return moved, [f"{path} is where several would go" for path in moved if paths.count(path) > 1]


APPLY: dict[str, Callable[[Rule, Found], Moved]] = {"rename": _rename, "stack": _stack, "unstack": _unstack}


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", "(.*)").replace(re.escape(INDEX), r"(?P<i>0|[1-9][0-9]*)"))


def _fill(pattern: str, match: re.Match[str], index: int | None = None) -> str:
    """The pattern with what each `*` matched, in order, and the index."""
    named = match.re.groupindex.get("i")
    texts = iter([text for i, text in enumerate(match.groups(), 1) if i != named])
    filled = re.sub(r"\*", lambda _: next(texts), pattern)
    return filled.replace(INDEX, str(index))


def _checked(rule: Rule, old: int, new: int) -> Rule:
    found = rule.old.count(INDEX), rule.new.count(INDEX)
    if found != (old, new) or rule.old.count("*") != rule.new.count("*"):
        raise ValueError(
            f"{rule}: expected as many * in both patterns, and {old} and {new} times {INDEX}, found "
            f"{rule.old.count('*')} and {rule.new.count('*')} times *, {found[0]} and {found[1]} times {INDEX}."
        )
    return rule
