"""Where arrays lie in the data of a file: they fill it, whatever the format."""

from __future__ import annotations

from collections.abc import Iterable


def check_extents(where: str, extents: Iterable[tuple[str, int, int]], size: int, *, alignment: int = 1) -> None:
    """Raises unless arrays fill their data: no overlap, no gap but to the next multiple of the alignment.

    Args:
      where: the file's name, for errors.
      extents: of each array, its name, where it begins, and where it ends.
      size: of the data.
      alignment: of what each array is to begin at a multiple.

    >>> check_extents("a.safetensors", [("x", 0, 8), ("y", 12, 16)], 16)
    Traceback (most recent call last):
    ValueError: a.safetensors: 'y' begins at 12 of the data, the one before it ends at 8.
    """
    align = lambda at: -(-at // alignment) * alignment
    end = 0
    for name, begin, after in sorted(extents, key=lambda extent: extent[1:]):
        if begin != align(end):
            steps = f"; the alignment is {alignment}" if alignment > 1 else ""
            raise ValueError(
                f"{where}: {name[:60]!r} begins at {begin} of the data, the one before it ends at {end}{steps}."
            )
        end = after
    if not end <= size <= align(end):
        raise ValueError(f"{where}: its arrays end at {end} of the data, the file at {size}.")
