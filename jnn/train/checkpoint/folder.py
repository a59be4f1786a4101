"""A folder of checkpoints as it is on the disk, where nobody has to trust it.

steps(folder) -> [10, 20, ...]          whole ones, by name
read_body(step_folder) -> body          the manifest, or `Damaged`
metrics(step_folder) -> metrics         of the manifest, none of a damaged one
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jnn.train.checkpoint.manifest import FORMAT, Body, Damaged, unseal
from jnn.train.strict_json import loads


def steps(folder: Path) -> list[int]:
    """The steps in a folder, oldest first: by number, whatever the clock said."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def read_body(folder: Path) -> Body:
    """The body of a checkpoint's manifest.

    Raises:
      Damaged: it is missing, torn, changed, or of another version.
    """
    path = folder / "manifest" / "metadata"
    if not any(folder.iterdir()):
        raise Damaged("its folder is empty")
    try:
        body = unseal(loads(path.read_text()))
    except FileNotFoundError:
        raise Damaged("its manifest is missing") from None
    except ValueError as error:  # no UTF-8, no JSON
        raise Damaged(f"its manifest cannot be read: {error}") from error
    if body.get("format") != FORMAT:
        raise Damaged(f"its manifest has format {body.get('format')}, this version of jnn reads {FORMAT}")
    return body


def metrics(folder: Path) -> dict[str, float]:
    """The metrics of a checkpoint; none of a damaged one."""
    try:
        return read_body(folder)["metrics"]
    except Damaged:
        return {}


def is_there(folder: Path, held: Sequence[int], body: Body) -> bool:
    """Whether this very checkpoint is in the folder.

    Args:
      folder: of the checkpoints.
      held: their steps, oldest first.
      body: of the manifest of the one that is to be saved.

    Raises:
      ValueError: the folder holds something else that would be in its way.
    """
    step = body["step"]
    if step in held:
        try:
            if read_body(folder / str(step)) == body:
                return True
        except Damaged as damage:
            raise ValueError(
                f"Checkpoints.save: {folder} holds a damaged step {step} ({damage}). Restore first, which sets it "
                "aside, or choose another folder."
            ) from damage
    if held and held[-1] >= step:
        raise ValueError(
            f"Checkpoints.save: expected a step after {held[-1]}, the newest in {folder}, found step {step}. "
            "Restore first and go on from there, or choose another folder."
        )
    return False
