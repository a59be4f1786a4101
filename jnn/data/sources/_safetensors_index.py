"""The index of arrays that lie in several safetensors files of one folder, as the Hub keeps large models.

model.safetensors.index.json    {"metadata": {...}, "weight_map": {name of an array: name of a file, ...}}

file_of(path) -> path           of a folder, its index or its only file
shards_of(path) -> {file: [name, ...]}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

INDEX = ".index.json"
_NAME = "model.safetensors"


def file_of(path: Path) -> Path:
    """The path itself, or what a folder is read by.

    Raises:
      ValueError: the folder has neither an index nor a file of the usual name, or both.
    """
    if not path.is_dir():
        return path
    found = [file for file in (path / _NAME, path / f"{_NAME}{INDEX}") if file.is_file()]
    if len(found) != 1:
        both = "both: give the path of the one that is meant" if found else "neither"
        raise ValueError(f"{path.name}: expected {_NAME} or {_NAME}{INDEX} in this folder, found {both}.")
    return found[0]


def shards_of(path: Path) -> dict[str, list[str]]:
    """The arrays of each file that an index names, all of which must be there.

    Raises:
      ValueError: no such index, or one of files that are not beside it.
    """
    try:
        index = json.loads(path.read_bytes().decode(), object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: not an index in JSON ({error}).") from error
    weights = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weights, dict) or not weights:
        raise ValueError(f"{path.name}: expected a weight_map from arrays to files, found {str(index)[:60]!r}.")
    shards: dict[str, list[str]] = {}
    for name, file in weights.items():
        if not isinstance(file, str) or file in ("", ".", "..") or {*"/\\\0"} & {*file}:
            raise ValueError(f"{path.name}: {name[:60]!r}: expected a file of this folder, found {str(file)[:60]!r}.")
        shards.setdefault(file, []).append(name)
    if missing := [file for file in shards if not _is_file(path.with_name(file))]:
        few = ", ".join(file[:60] for file in missing[:10])
        raise ValueError(f"{path.name}: {len(missing)} of its {len(shards)} files are not beside it: {few}.")
    return shards


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names are all different, which JSON itself does not ask for."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError("it holds a name twice")
    return entries


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
