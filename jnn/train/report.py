"""A run as one self-contained page: what it was, its numbers, its curves and its pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jnn.train.checkpoint import History

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2430; background: #fff; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem 1.2rem .2rem 0; text-align: left; vertical-align: top;
       border-bottom: 1px solid #e3e6eb } td.n { font-variant-numeric: tabular-nums; text-align: right }
pre { background: #f5f6f8; padding: .8rem; overflow-x: auto; font-size: .85rem; white-space: pre-wrap }
figure { margin: 1rem 0 } img { max-width: 100% } figcaption { color: #5a6473; font-size: .9rem }
"""


def curves(history: History) -> Figure | None:
    """One panel a metric, training and validation in the same panel; None for a history without rows."""
    names = list(dict.fromkeys(key.split("/", 1)[1] for row in history for key in row if "/" in key))
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        for part, colour in (("train", "#2f6fde"), ("val", "#e0632f")):
            points = [(row["step"], row[f"{part}/{name}"]) for row in history if f"{part}/{name}" in row]
            if points:
                label = {"train": "training", "val": "validation"}[part]
                marker = "o" if len(points) == 1 else ""
                axes.plot(*zip(*points, strict=True), color=colour, label=label, linewidth=1.6, marker=marker)
        axes.set(title=name.replace("_", " "), xlabel="step")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def write_report(
    path: str | Path,
    *,
    title: str,
    notes: str,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    history: History,
    figures: Mapping[str, Figure],
    parameters: str,
) -> None:
    """Writes the page; it loads nothing from anywhere else.

    Args:
      path: the HTML file.
      title: its heading.
      notes: plain text, what was done and why.
      metrics: final numbers by name.
      config: every setting by name.
      history: rows for the curves.
      figures: caption -> picture.
      parameters: a table of the parameters, from `jnn.summary`.
    """
    pictures = dict(figures)
    if (drawn := curves(history)) is not None:
        pictures = {"Training and validation, over steps.": drawn, **pictures}
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f"<pre>{html.escape(notes.strip())}</pre>",
        "<h2>Result</h2>" + _table(metrics),
        *(_figure(caption, figure) for caption, figure in pictures.items()),
        "<h2>Settings</h2>" + _table(config),
        f"<h2>Parameters</h2><pre>{html.escape(parameters)}</pre>",
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    page = (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(body)}</body></html>'
    )
    Path(path).write_text(page, encoding="utf-8")


def _table(values: Mapping[str, Any]) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f'<td class="n">{value:.5g}</td>'
        return f"<td>{html.escape(str(value))}</td>"

    return "<table>" + "".join(f"<tr><th>{html.escape(k)}</th>{cell(v)}</tr>" for k, v in values.items()) + "</table>"


def _figure(caption: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
