"""A run as one self-contained page: what it was, its numbers, its curves and its pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jnn.train.history import History

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2430; background: #fff; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin-bottom: 1rem } h2 { font-size: 1.1rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .2rem 1.4rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e3e6eb }
th { font-weight: 500; color: #5a6473; white-space: nowrap } td { overflow-wrap: anywhere }
pre { background: #f5f6f8; padding: .8rem; overflow-x: auto; font-size: .78rem; white-space: pre-wrap }
div { display: flex; flex-wrap: wrap; gap: 0 2rem } figure { margin: 1.4rem 0 } img { max-width: 100%; height: auto }
figcaption { color: #5a6473; font-size: .9rem; margin-top: .2rem }
@media (prefers-color-scheme: dark) { :root { color-scheme: dark } body { color: #e6e9ef; background: #12151b }
  td, th { border-color: #2b313c } th, figcaption { color: #9aa4b4 } pre { background: #191d25 }
  img { border-radius: .4rem } }
"""
TRAINING, VALIDATION = "#2f6fde", "#e0632f"


def curves(history: History) -> Figure | None:
    """One panel a metric, training and validation in the same panel; None for a history without rows."""
    names = list(dict.fromkeys(key.split("/", 1)[1] for row in history for key in row if "/" in key))
    if not names:
        return None
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.3 * columns + 0.2, 2.7 * rows), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        _draw_metric(axes, history, name)
    return figure


def _draw_metric(axes: Axes, history: History, name: str) -> None:
    """Both curves of one metric; on a logarithmic axis where it falls or grows a hundredfold."""
    values: list[float] = []
    for part, label, colour in (("train", "training", TRAINING), ("val", "validation", VALIDATION)):
        points = [(row["step"], row[f"{part}/{name}"]) for row in history if f"{part}/{name}" in row]
        if points:
            steps, numbers = zip(*points, strict=True)
            axes.plot(steps, numbers, color=colour, label=label, linewidth=1.6, marker="o" if len(points) == 1 else "")
            values += numbers
    if min(values) > 0 and max(values) > 100 * min(values):
        axes.set_yscale("log")
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


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
        f"<div>{''.join(_figure(caption, figure) for caption, figure in pictures.items())}</div>",
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
    shown = {name: f"{value:.5g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    rows = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in shown.items())
    return f"<table>{''.join(rows)}</table>"


def _figure(caption: str, figure: Figure) -> str:
    """The picture inside the page, at twice the density it is shown at."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    data, text = base64.b64encode(buffer.getvalue()).decode(), html.escape(caption)
    width = round(100 * figure.get_figwidth())
    image = f'<img alt="{text}" width="{width}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
