"""Safetensors: arrays by name, in a format that holds no code.

    offset 0    the length of the header, uint64, little-endian
    offset 8    JSON: {name: {"dtype": "F32", "shape": [3, 4], "data_offsets": [begin, end]}, ...}
    then        the arrays' bytes, which fill the rest without gaps and without overlaps

Laws: the whole header is checked before any array is made; arrays are views of the file, so that
nothing is read before it is used. Any sequence of bytes gives either the arrays that it encodes or a
ValueError that names the file.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jnn.data.sources._extents import check_extents
from jnn.data.sources._root import PathLike
from jnn.data.sources._safetensors_index import INDEX, distinct, file_of, shards_of

_LONGEST = 100_000_000  # bytes of a header: the format's own bound
DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F8_E4M3": jnp.float8_e4m3fn,
    "F8_E5M2": jnp.float8_e5m2,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
    "C64": np.complex64,
}


def read_safetensors(path: PathLike) -> dict[str, np.ndarray]:
    """Safetensors: the arrays of a file, or of a folder of them, by name.

    `jnn.load` takes them once their names are the spec's paths.

    See "Safetensors", Hugging Face, 2022 (github.com/huggingface/safetensors).

    Args:
      path: the file; the index of several, such as `model.safetensors.index.json`; or a folder with either. Files must
        not be cut short while their arrays are in use: they are views of them.

    Returns:
      Name -> array, read-only, in the header's or the index' order. Nothing is read before it is used.

    Raises:
      ValueError: a header that is too long, not JSON, or inconsistent with itself or with the file; an index whose
        files are not there, or do not hold the arrays that it says.

    >>> import tempfile
    >>> header = b'{"w": {"dtype": "I16", "shape": [1, 2], "data_offsets": [0, 4]}}'
    >>> with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
    ...     _ = file.write(len(header).to_bytes(8, "little") + header + bytes([1, 0, 2, 0]))
    ...     file.flush()
    ...     read_safetensors(file.name)["w"].tolist()
    [[1, 2]]
    """
    path = file_of(Path(path))
    return _read_shards(path) if path.name.endswith(INDEX) else _read_file(path)


def _read_shards(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the files that an index names, each where it says."""
    found: dict[str, np.ndarray] = {}
    for file, names in shards_of(path).items():
        shard = _read_file(path.with_name(file))
        if missing := [name for name in names if name not in shard]:
            raise ValueError(f"{path.name}: {len(missing)} of its arrays are not in {file[:60]}: {_few(missing)}.")
        if extra := [*shard.keys() - {*names}]:
            raise ValueError(f"{path.name}: does not name {len(extra)} arrays of {file[:60]}: {_few(sorted(extra))}.")
        found |= shard
    return found


def _few(names: list[str]) -> str:
    return ", ".join(repr(name[:60]) for name in names[:10])


def _read_file(path: Path) -> dict[str, np.ndarray]:
    name, size = path.name, path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        start = 8 + length
        if size < 8 or not 2 <= length <= min(size - 8, _LONGEST):
            raise ValueError(f"{name}: offset 0: a header of {length} bytes does not fit into a file of {size}.")
        entries = _entries(name, file.read(length))
    check_extents(name, ((key, *entry["data_offsets"]) for key, entry in entries.items()), size - start)
    data = np.memmap(path, np.uint8, "r")
    return {key: _view(f"{name}: {key[:60]!r}", data, start, entry) for key, entry in entries.items()}


def _entries(name: str, header: bytes) -> dict[str, dict[str, Any]]:
    """The header without its remarks, each entry in itself consistent."""
    try:
        entries = json.loads(header.decode(), object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: offset 8: not a header in JSON ({error}).") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{name}: offset 8: expected an object in JSON, found {header[:60]!r}.")
    entries.pop("__metadata__", None)
    for key, entry in entries.items():
        if problem := _problem(entry):
            raise ValueError(f"{name}: {key[:60]!r}: {problem}; found {str(entry)[:200]}.")
    return entries


def _problem(entry: Any) -> str | None:
    """What is wrong with an entry, if anything."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "expected dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return f"expected a dtype among {', '.join(DTYPES)}"
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            return "expected lists of integers"
    if len(shape) > 32 or any(n >= 2**48 for n in shape):  # NumPy's own bounds are near; an empty array may claim them
        return "expected a shape that an array can have"
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        return "expected offsets as far apart as the shape and the dtype need"
    return None


def _view(where: str, data: np.ndarray, start: int, entry: dict[str, Any]) -> np.ndarray:
    begin, end = entry["data_offsets"]
    content = np.asarray(data[start + begin : start + end])
    if entry["dtype"] == "BOOL" and (content > 1).any():
        raise ValueError(f"{where}: a boolean is neither 0 nor 1.")
    # a view of bytes, since an array need not begin where its dtype would like it to
    return content.view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
