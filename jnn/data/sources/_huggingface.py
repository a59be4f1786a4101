"""Hugging Face `datasets` as a source: whatever has a length and gives a dict for an index.

Law: this room needs nothing of that package; `pip install 'jnn[huggingface]'` brings it for those who
load data by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from jnn.data.sources._damage import Skipped, refuse
from jnn.data.sources._images import picture


class Dataset(Protocol):
    """What a `datasets.Dataset` is to this adapter."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Mapping[str, Any]: ...


class HuggingFace:
    """Hugging Face data set: an indexed source of chosen fields, renamed, as NumPy values.

    See "Datasets: A Community Library for Natural Language Processing", Lhoest et al., 2021.

    Args:
      dataset: a `datasets.Dataset`, or anything alike.
      fields: the name in an example -> the name in the dataset, such as {"x": "image", "y": "label"}.
      skipped: counts damaged records, and gives None for them; None stops at the first.

    Raises:
      TypeError: a dataset without a length or an index, such as a streamed one.
      ValueError: no fields, or no records.

    >>> class Duck(list): ...
    >>> source = HuggingFace(Duck([{"image": [[0, 255]], "label": 1}]), {"x": "image", "y": "label"})
    >>> len(source), source[0]["x"].shape, source[0]["y"].item()
    (1, (1, 2), 1)
    """

    def __init__(self, dataset: Dataset, fields: Mapping[str, str], *, skipped: Skipped | None = None) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise TypeError(
                f"HuggingFace: expected a dataset with len and [i], found {type(dataset).__name__}. "
                "A streamed one has neither: load it with streaming=False."
            )
        if not fields or not len(dataset):
            raise ValueError(f"HuggingFace: expected fields and records, found {dict(fields)} and {len(dataset)}.")
        self.dataset, self.fields, self.skipped = dataset, dict(fields), skipped

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> dict[str, Any] | None:
        """`{name: array, number or string}`, or None for a record that was skipped.

        Raises:
          IndexError: outside 0..len-1.
          ValueError: a record that cannot be decoded or lacks a field, by number.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"HuggingFace: expected an index in 0..{len(self) - 1}, found {i}.")
        try:
            return self._example(int(i))
        except ValueError as error:
            refuse(f"record {i}", error, self.skipped)
            return None

    def _example(self, i: int) -> dict[str, Any]:
        try:
            record = self.dataset[i]
            lacking = [name for name in self.fields.values() if name not in record]
            found = {} if lacking else {name: _value(record[source]) for name, source in self.fields.items()}
        except Exception as error:  # a record is decoded here, by whatever package knows its kind
            raise ValueError(f"HuggingFace: record {i} cannot be decoded ({error}).") from error
        if lacking:
            raise ValueError(f"HuggingFace: record {i}: expected fields {lacking}, found {sorted(record)}.")
        return found


def _value(value: Any) -> Any:
    """Text stays text; an integer is int32, a float the nearest float32, as far as those hold it; the rest an array.

    An image is what a viewer shows of it, as in `ImageFolder`, with its own channels and bits.
    """
    if isinstance(value, str | bytes):
        return value
    if hasattr(value, "getexif"):  # an image of Pillow's
        return picture(value)
    array = np.asarray(value)
    if array.dtype == object:
        raise ValueError(f"{type(value).__name__} is no array")
    narrow = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}
    if isinstance(value, np.ndarray) or array.dtype not in narrow:
        return array
    with np.errstate(over="ignore"):
        found = array.astype(narrow[array.dtype])
    changed = (found != array) & (array == np.rint(array))  # a fraction becomes the nearest, a whole number stays
    if changed.any():
        kind = "integers" if array.dtype == np.int64 else "floats"
        raise ValueError(f"expected {kind} that fit 32 bits, found {array[changed][0]}")
    return found
