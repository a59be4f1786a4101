"""The table of what exports to what, at the end of its page: the law table as `tests.export.formats` found it."""

import json
from pathlib import Path
from typing import Any

EXPORTS = Path(__file__).parent / "exports.json"  # row of the law table -> format -> "yes", or why not
FORMATS = {"stablehlo": "StableHLO", "torch": "torch", "onnx": "ONNX", "litert": "LiteRT"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page before it is rendered."""
    return markdown + table() if page.file.src_path == "export.md" else markdown


def table() -> str:
    """How many rows each format takes; those that one does not take, and why; and the names of all others."""
    rows = json.loads(EXPORTS.read_text())
    counts = ", ".join(
        f"{title} {sum(found[form] == 'yes' for found in rows.values())}" for form, title in FORMATS.items()
    )
    everywhere = [name for name, found in rows.items() if all(found[form] in ("yes", "") for form in FORMATS)]
    head = f"| | {' | '.join(FORMATS.values())} |\n|---|{'---|' * len(FORMATS)}\n"
    lines = [
        f"| `{name}` | {' | '.join(found[form] for form in FORMATS)} |"
        for name, found in rows.items()
        if name not in everywhere
    ]
    return (
        f"\n\nOf the {len(rows)} rows of the law table: {counts}.\n\n{head}" + "\n".join(lines) + "\n\n"
        f"And to all of them: {', '.join(f'`{name}`' for name in everywhere)}.\n"
    )


if __name__ == "__main__":
    print(table())
