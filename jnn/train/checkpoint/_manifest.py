"""The manifest of a checkpoint: what its arrays are and sum to, and the run's records, sealed by a SHA-256.

    of_arrays(flat) -> {path: {"shape": ..., "dtype": ..., "sum": ...}}
    body_of(step, flat, records, metrics) -> body
    seal(body) -> sealed,  unseal(sealed) -> body
    check_fit(saved, wanted)                       every path that differs, in one error

Law: a manifest with any byte changed either does not unseal or says the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.strict_json import dumps, loads
from jnn.train.checkpoint._checksum import checksums_of
from jnn.train.checkpoint._stored import key_dtypes

FORMAT = 1
Body = dict[str, Any]
Records = dict[str, Any]  # name -> JSON value: the history, the settings, the state of an iterator


class CorruptCheckpoint(Exception):
    """Corrupt checkpoint: one that does not hold what was saved; the message says what is wrong, in one line."""


def in_one_line(error: Exception) -> str:
    """What an error says, in one line; of a long one the beginning and the end, where TensorStore has the cause.

    >>> in_one_line(ValueError("no room\\nat all"))
    'no room'
    """
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= 240 else f"{line[:80]} ... {line[-150:]}"


def by_path(where: str, tree: Any) -> dict[str, Any]:
    """The leaves of a tree by path.

    Raises:
      ValueError: two leaves share a path, as those of {"a/b": x, "a": {"b": x}} do.
      TypeError: leaves that are no arrays of numbers or typed keys.

    >>> by_path("example", {"fc": {"w": jnp.ones(2)}})
    {'fc/w': Array([1., 1.], dtype=float32)}
    """
    pairs = [(jax.tree_util.keystr(p, simple=True, separator="/"), x) for p, x in jax.tree.leaves_with_path(tree)]
    flat = dict(pairs)
    if len(flat) < len(pairs):
        twice = sorted({path for path, _ in pairs if [p for p, _ in pairs].count(path) > 1})
        raise ValueError(f"{where}: expected one leaf for each path, found several for {twice}. Rename their keys.")
    if strange := [f"{path} ({found})" for path, x in pairs if (found := _no_array(x)) is not None]:
        raise TypeError(
            f"{where}: expected arrays of JAX's dtypes, found {', '.join(strange)}. Convert numbers, jnp.asarray(x); "
            "what is none belongs in the records, or in a static field."
        )
    return flat


def _no_array(x: Any) -> str | None:
    """What this is, if it is nothing that JAX could hold as an array."""
    kinds = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)
    if not isinstance(x, kinds) or isinstance(x, np.ma.MaskedArray):
        return type(x).__name__
    return None if str(x.dtype) in key_dtypes() or _is_numeric(x.dtype) else str(x.dtype)


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    """Whether JAX has numbers of this NumPy dtype: not of another byte order, nor long doubles."""
    is_number = any(jnp.issubdtype(dtype, kind) for kind in (np.number, np.bool_))
    return is_number and dtype.isnative and dtype.type not in (np.longdouble, np.clongdouble)


def of_arrays(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the manifest says of each array.

    >>> import jax.numpy as jnp
    >>> sorted(of_arrays({"w": jnp.ones((2, 3))})["w"].items())
    [('dtype', 'float32'), ('shape', [2, 3]), ('sum', '...')]
    """
    sums = checksums_of(flat)
    return {path: {"shape": list(x.shape), "dtype": str(x.dtype), "sum": sums[path]} for path, x in flat.items()}


def body_of(step: int, flat: Mapping[str, Any], records: Records, metrics: Mapping[str, float]) -> Body:
    """All that the manifest says of one checkpoint, as it will be read.

    Raises:
      TypeError: the records are no JSON.

    >>> import jax.numpy as jnp
    >>> body_of(3, {"w": jnp.ones(2)}, {"seed": (1, 2)}, {"loss": jnp.ones(())})["records"]
    {'seed': [1, 2]}
    """
    if not isinstance(records, dict):
        raise TypeError(f"Checkpoints.save: records must be a dict of JSON values, found {type(records).__name__}.")
    numbers = {name: float(value) for name, value in metrics.items()}
    body = {"format": FORMAT, "step": step, "arrays": of_arrays(flat), "records": records, "metrics": numbers}
    try:
        return loads(dumps(body))
    except (TypeError, ValueError) as error:
        raise TypeError(f"Checkpoints.save: records must hold JSON values: {error}.") from error


def seal(body: Body) -> dict[str, Any]:
    """The body and the SHA-256 of it, as JSON that any writer of JSON may write.

    >>> unseal(seal({"step": 3}))
    {'step': 3}
    """
    return {"body": json.loads(dumps(body)), "sha256": _sha256(body)}


def unseal(sealed: Any) -> Body:
    """The body of what `seal` gave.

    Raises:
      Damaged: the two do not belong together.
    """
    if not isinstance(sealed, dict) or sealed.keys() != {"body", "sha256"}:
        raise CorruptCheckpoint("its manifest is not one")
    if _sha256(sealed["body"]) != sealed["sha256"]:
        raise CorruptCheckpoint("its manifest does not match its own SHA-256")
    return sealed["body"]


def check_fit(where: str, saved: Mapping[str, dict[str, Any]], wanted: Mapping[str, Any]) -> None:
    """Raises unless the saved arrays have the paths, shapes and dtypes that are wanted.

    Raises:
      ValueError: lists every path that is missing, extra or different.
    """
    have = {path: f"{entry['dtype']}[{','.join(map(str, entry['shape']))}]" for path, entry in saved.items()}
    want = {path: checks.describe(x) for path, x in wanted.items()}
    problems = [f"missing: {path} {want[path]} is wanted" for path in want if path not in have]
    problems += [f"extra: {path} {have[path]} is saved" for path in have if path not in want]
    both = sorted(want.keys() & have.keys())
    problems += [
        f"different: {path} is saved as {have[path]}, {want[path]} is wanted"
        for path in both
        if have[path] != want[path]
    ]
    if problems:
        own = "The optimizer is another one. " if all(": opt_state" in problem for problem in problems) else ""
        raise ValueError(
            f"{where} does not fit the state that was asked for:\n  "
            + "\n  ".join(sorted(problems))
            + f"\n{own}Build the state as the run did that saved it; begin anew from its parameters, "
            '`read(folder, below="params")`; or bring the arrays into the new layout: `read` gives them by path, '
            "`relayout` renames, stacks and unstacks them."
        )


def _sha256(body: Any) -> str:
    return hashlib.sha256(dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
