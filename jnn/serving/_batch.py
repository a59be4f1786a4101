"""Requests as the arrays that go to the device with a call; rows of nobody's draw nothing and write nowhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import DTypeLike

from jnn.generation import Sampling
from jnn.serving._programs import NEUTRAL, Rows
from jnn.serving._request import Request

NUMBERS = tuple(field.name for field in dataclasses.fields(Sampling) if field.name != "top_k")


def chunks_of(requests: Sequence[Request], rows: int, size: int, width: int) -> tuple[np.ndarray, ...]:
    """The next tokens of each request, up to `size`, as `prefill` reads them: tokens, lengths, at, table."""
    tokens, lengths, at = np.zeros((rows, size), np.int32), np.zeros(rows, np.int32), np.zeros(rows, np.int32)
    for row, request in enumerate(requests):
        at[row], lengths[row] = request.read, min(request.unread, size)
        tokens[row, : lengths[row]] = request.tokens[request.read : request.read + lengths[row]]
    return tokens, lengths, at, _table(requests, rows, width)


def key_data(seed: int) -> np.ndarray:
    """Of a PRNG key."""
    return np.asarray(jax.random.key_data(jax.random.key(seed)))


def rows_of(requests: Sequence[Request], rows: int, width: int, page: int, nobody: np.ndarray) -> Rows:
    """As many rows as a program has, the requests in the first ones; the others have nobody's key."""
    tokens, keys = np.zeros((rows, width * page), np.int32), np.stack([nobody] * rows)
    for row, request in enumerate(requests):
        tokens[row, : len(request.tokens)] = request.tokens
        keys[row] = request.key

    def column(values: Iterable[float], fill: float, dtype: DTypeLike = np.int32) -> np.ndarray:
        given = np.array([*values], dtype)
        return np.concatenate([given, np.full(rows - len(given), fill, dtype)])

    numbers: dict[str, Any] = {
        name: column((_number(request.ask.sampling, name) for request in requests), _number(NEUTRAL, name), np.float32)
        for name in NUMBERS
    }
    return Rows(
        tokens=tokens,
        prompt=column((len(request.ask.prompt) for request in requests), 1),
        lengths=column((len(request.tokens) for request in requests), 1),
        left=column((request.left for request in requests), 0),
        table=_table(requests, rows, width),
        keys=keys,
        sampling=Sampling(**numbers),
    )


def _number(sampling: Sampling, name: str) -> float:
    value = getattr(sampling, name)
    return float(getattr(NEUTRAL, name) if value is None else value)


def _table(requests: Sequence[Request], rows: int, width: int) -> np.ndarray:
    table = np.full((rows, width), -1, np.int32)
    for row, request in enumerate(requests):
        table[row, : len(request.pages)] = request.pages
    return table
