"""Safetensors written: one file, or several with an index, array by array."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jnn.data.sources._root import PathLike
from jnn.data.sources._safetensors import DTYPES
from jnn.data.sources._safetensors_index import INDEX
from jnn.files import write_whole, writing

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


def write_safetensors(path: PathLike, arrays: Mapping[str, Any], *, max_shard_bytes: int = 5 * 10**9) -> Path:
    """Safetensors: writes arrays by name, into several files with an index where they are too large for one.

    See "Safetensors", Hugging Face, 2022 (github.com/huggingface/safetensors). Files say that they are of torch
    (`{"format": "pt"}`), without which the Hub's `transformers` refuses them.

    Args:
      path: such as `folder/model.safetensors`; several are `folder/model-00001-of-00003.safetensors`, ... and
        `folder/model.safetensors.index.json`. A file is there once it is whole, files with an index once all are.
      arrays: name -> whatever `np.asarray` makes an array of, such as `jnn.flatten(params)`. One at a time is on the
        host.
      max_shard_bytes: how much a file may hold; one array is never divided.

    Returns:
      The path of the file or of the index, which `read_safetensors` takes.

    Raises:
      ValueError: arrays of dtypes that the format has not, or of the name that it needs itself.
      FileExistsError: an index is there, or a file where an index shall be: which of them counts would be unclear.
      OSError: names the file that could not be written, or the folder that is in its place.

    >>> import tempfile
    >>> from jnn.data import read_safetensors
    >>> path = write_safetensors(tempfile.mkdtemp() + "/model.safetensors", {"w": np.ones(2), "b": np.zeros(3)},
    ...                          max_shard_bytes=30)
    >>> path.name, sorted(file.name for file in path.parent.glob("*.safetensors"))
    ('model.safetensors.index.json', ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'])
    >>> read_safetensors(path)["w"].tolist()
    [1.0, 1.0]
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder. Give the path of a file in it: {path / 'model.safetensors'}.")
    types = _types(path.name, arrays)
    shards = _shards(types, max_shard_bytes)
    index = path.with_name(path.name + INDEX)
    for other in (index,) if len(shards) == 1 else (index, path):
        if other.exists():
            raise FileExistsError(f"{other}: is there already. Remove it with its files, or give another path.")
    if len(shards) == 1:
        _write(path, arrays, types)
        return path
    files = [f"{path.stem}-{i:05}-of-{len(shards):05}{path.suffix}" for i in range(1, len(shards) + 1)]
    for file, names in zip(files, shards, strict=True):
        _write(path.with_name(file), arrays, {name: types[name] for name in names})
    weights = {name: file for file, names in zip(files, shards, strict=True) for name in names}
    total = sum(one.size for one in types.values())
    write_whole(index, json.dumps({"metadata": {"total_size": total}, "weight_map": weights}, indent=2) + "\n")
    return index


class _Type(NamedTuple):
    """Of an array in the file's order of bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _types(file: str, arrays: Mapping[str, Any]) -> dict[str, _Type]:
    """Shapes and dtypes; what says them itself is not read for it."""

    def of(x: Any) -> _Type:
        x = x if isinstance(getattr(x, "dtype", None), np.dtype) else np.asarray(x)
        return _Type(tuple(x.shape), x.dtype.newbyteorder("<"))

    types = {name: of(arrays[name]) for name in arrays}
    if unknown := [f"{name} {dtype}" for name, (_, dtype) in types.items() if dtype not in _NAMES]:
        flat = " Of nested params: jnn.flatten(params)." if any(isinstance(x, Mapping) for x in arrays.values()) else ""
        raise ValueError(f"{file}: expected dtypes among {', '.join(DTYPES)}, found {', '.join(unknown)}.{flat}")
    if "__metadata__" in types:
        raise ValueError(f"{file}: '__metadata__' is no array's name: the format has it for its remarks.")
    return types


def _shards(types: Mapping[str, _Type], most: int) -> list[list[str]]:
    """The names of each file, in order: as many as there is room for."""
    shards: list[list[str]] = [[]]
    room = most
    for name, one in types.items():
        if one.size > room and shards[-1]:
            shards.append([])
            room = most
        shards[-1].append(name)
        room -= one.size
    return shards


def _write(path: Path, arrays: Mapping[str, Any], types: Mapping[str, _Type]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    order, at = sorted(types, key=lambda name: -types[name].dtype.itemsize), 0  # each begins where its dtype likes
    for name in order:
        one, begin = types[name], at
        at += one.size
        header[name] = {"dtype": _NAMES[one.dtype], "shape": list(one.shape), "data_offsets": [begin, at]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with writing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            content = np.ascontiguousarray(np.asarray(arrays[name]), types[name].dtype)
            file.write(content.reshape(-1).view(np.uint8).data)
