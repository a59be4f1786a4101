"""The manifest of a checkpoint: what its arrays are and sum to, and the run's records, sealed by a SHA-256.

    of_arrays(flat) -> {path: {"shape": ..., "dtype": ..., "sum": ...}}
    body_of(step, flat, records, metrics) -> body
    seal(body) -> sealed,  unseal(sealed) -> body
    read_body(step_folder) -> body                 what was sealed, or `CorruptCheckpoint`, or `OtherFormat`
    wanted_by(body) -> {path: abstract array}      everything that it names, on the host
    check_fit(body, wanted), verify(arrays, body)  whether its arrays are those that are wanted; that were saved

Law: a manifest with any byte changed either does not unseal or says the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jnn.param import misfits
from jnn.strict_json import dumps, loads
from jnn.train.checkpoint._digest import checksums
from jnn.train.checkpoint._stored import key_dtypes

FORMAT = 1
Body = dict[str, Any]
Records = dict[str, Any]  # name -> JSON value: the history, the settings, the state of an iterator


class CorruptCheckpoint(Exception):
    """Corrupt checkpoint: one that does not hold what was saved; the message says what is wrong, in one line."""


class OtherFormat(ValueError):
    """Checkpoint of another format: whole, and written by another version of jnn; it is left where it lies."""


def of_arrays(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the manifest says of each array.

    >>> import jax.numpy as jnp
    >>> sorted(of_arrays({"w": jnp.ones((2, 3))})["w"].items())
    [('dtype', 'float32'), ('shape', [2, 3]), ('sum', '...')]
    """
    sums = checksums(flat)
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
      CorruptCheckpoint: the two do not belong together.
    """
    if not isinstance(sealed, dict) or sealed.keys() != {"body", "sha256"}:
        raise CorruptCheckpoint("its manifest is not one")
    if _sha256(sealed["body"]) != sealed["sha256"]:
        raise CorruptCheckpoint("its manifest does not match its own SHA-256")
    return sealed["body"]


def read_body(folder: Path) -> Body:
    """The body of a checkpoint's manifest.

    Raises:
      CorruptCheckpoint: it is missing, torn or changed.
      OtherFormat: another version of jnn wrote it.
    """
    path = folder / "manifest" / "metadata"
    if not any(folder.iterdir()):
        raise CorruptCheckpoint("its folder is empty")
    try:
        body = unseal(loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CorruptCheckpoint("its manifest is missing") from None
    except ValueError as error:  # no UTF-8, no JSON
        raise CorruptCheckpoint(f"its manifest cannot be read: {error}") from error
    if body.get("format") != FORMAT:
        raise OtherFormat(
            f"it has format {body.get('format')}, and this version of jnn reads format {FORMAT}; it is left as it is. "
            "Go on with the version that wrote it, or choose another folder."
        )
    return body


def metrics(folder: Path) -> dict[str, float]:
    """The metrics of a checkpoint; none of one that is damaged or of another format."""
    try:
        return read_body(folder)["metrics"]
    except (CorruptCheckpoint, OtherFormat):
        return {}


def wanted_by(body: Body) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays as the manifest describes them, wanted on the host."""
    host = jax.sharding.SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    dtype = lambda name: key_dtypes()[name][1] if name in key_dtypes() else jnp.dtype(name)
    return {
        path: jax.ShapeDtypeStruct(tuple(entry["shape"]), dtype(entry["dtype"]), sharding=host)
        for path, entry in body["arrays"].items()
    }


def verify(arrays: Mapping[str, jax.Array], body: Body) -> None:
    """Raises unless every array sums to what the manifest says.

    Raises:
      CorruptCheckpoint: names the arrays that do not.
    """
    found = checksums(arrays)
    if wrong := sorted(path for path, entry in body["arrays"].items() if found[path] != entry["sum"]):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CorruptCheckpoint(f"the checksum of {', '.join(wrong[:3])}{more} is not the one that was saved")


def check_fit(where: str, body: Body, wanted: Mapping[str, Any]) -> None:
    """Raises unless the saved arrays have the paths, shapes and dtypes that are wanted.

    Raises:
      ValueError: lists every path that is missing, extra or different.
    """
    if problems := misfits(wanted_by(body), wanted):
        own = "The optimizer is another one. " if all(": opt_state" in problem for problem in problems) else ""
        raise ValueError(
            f"{where} does not fit the state that was asked for:\n  "
            + "\n  ".join(problems)
            + f"\n{own}Build the state as the run did that saved it; begin anew from its parameters, "
            '`read(folder, below="params")`; or bring the arrays into the new layout: `read` gives them by path, '
            "`relayout` renames, stacks and unstacks them."
        )


def _sha256(body: Any) -> str:
    return hashlib.sha256(dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
