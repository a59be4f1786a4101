"""A table as text."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Text table: columns as wide as they need to be; numbers to the right, with commas.

    >>> print(format_table(["what", "bytes"], [["weights", 4096], ["bias", 12]]))
    what     bytes
    weights  4,096
    bias        12
    """
    text = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    right = [bool(rows) and all(isinstance(row[i], int) for row in rows) for i in range(len(header))]
    widths = [max(map(len, column)) for column in zip(header, *text, strict=True)]
    line = "  ".join(f"{{:{'>' if r else '<'}{width}}}" for r, width in zip(right, widths, strict=True))
    return "\n".join(line.format(*row).rstrip() for row in [header, *text])


def format_bytes(size: float, unit: str = "B") -> str:
    """A quantity in thousands, millions, ... of its unit.

    >>> format_bytes(1_234_000), format_bytes(12, "FLOP")
    ('1.23 MB', '12 FLOP')
    """
    power = min(6, (len(str(int(abs(size)))) - 1) // 3)
    return f"{size / 1000**power:.3g} {('', 'k', 'M', 'G', 'T', 'P', 'E')[power]}{unit}"
