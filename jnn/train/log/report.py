"""A run as one self-contained page: what it was, its numbers, its curves and its pictures.

Laws: what cannot be drawn is one line in its place, and the page is whole; its size is bounded, whatever the number of
metrics, rows and pixels, and what is left out is said.
"""

from __future__ import annotations

import base64
import html
import io
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jnn.files import write_whole
from jnn.terminal import in_one_line
from jnn.train._history import History
from jnn.train.log._curve import Curve, Point

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
PARTS = {"train": ("training", "#2f6fde"), "val": ("validation", "#e0632f"), "": ("", "#2f6fde")}
PANELS, LINES = 30, 500  # metrics that are drawn, and further ones that are told in a table
DENSITY, PIXELS, SIDE = 200, 8e6, 16_000  # of a picture: an inch, in all and along a side, at most
Names = Mapping[str, Mapping[str, str]]  # metric -> part -> the name in a row


def by_metric(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Metric -> part -> the name in a row, those with short names first.

    "train/loss" and "val/loss" are two parts of "loss"; any other name is a metric of its own, as on the live page.
    """
    metrics: dict[str, dict[str, str]] = {}
    for name in names:
        metric, part = _split(name)
        metrics.setdefault(metric, {})[part] = name
    return {metric: metrics[metric] for metric in sorted(metrics, key=lambda metric: metric.count("/"))}


def _split(name: str) -> tuple[str, str]:
    part, _, metric = name.partition("/")
    return (metric, part) if part in PARTS and metric else (name, "")


def curves(history: History, metrics: Names) -> Figure:
    """One panel a metric, training and validation in the same panel."""
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(3.3 * columns + 0.2, 2.7 * rows), layout="constrained")
    for i, (metric, parts) in enumerate(metrics.items()):
        drawn = {part: _points(history, parts[part]) for part in PARTS if part in parts}
        _draw_metric(figure.add_subplot(rows, columns, i + 1), metric, drawn)
    return figure


def _points(history: History, name: str) -> list[Point]:
    """Where the values are finite; thinned, for more than a plot has pixels take long to draw."""
    curve = Curve()
    for row in history:
        if name in row and math.isfinite(row[name]):
            curve.add(row["step"], row[name])
    return curve.points


def _draw_metric(axes: Axes, name: str, drawn: Mapping[str, list[Point]]) -> None:
    """The curves of one metric; on a logarithmic axis where it falls or grows a hundredfold."""
    values = [value for points in drawn.values() for _, value in points]
    logarithmic = bool(values) and min(values) > 0 and max(values) / 100 > min(values)
    shown, unit = _drawable(values, logarithmic)
    for part, points in drawn.items():
        if points:
            steps, heights = zip(*((step, shown(value)) for step, value in points), strict=True)
            label, colour = PARTS[part]
            marker = "o" if len(points) == 1 else ""
            axes.plot(steps, heights, color=colour, label=label, linewidth=1.6, marker=marker)
    if logarithmic and not unit:
        axes.set_yscale("log")
    if not values:
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", fontsize=9)
    axes.set_title(f"{_short(name)}{unit}", fontsize=10, parse_math=False)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if any(PARTS[part][0] for part, points in drawn.items() if points):
        axes.legend(frameon=False, fontsize=8)


def _drawable(values: list[float], logarithmic: bool) -> tuple[Callable[[float], float], str]:
    """How values are drawn, and what the title says of it: Matplotlib's arithmetic overflows near a float's ends."""
    sizes = [abs(value) for value in values if value]
    if not sizes or (max(sizes) < 1e100 and (min(sizes) if logarithmic else max(sizes)) > 1e-100):
        return lambda value: value, ""
    if logarithmic:
        return math.log10, ", log10"
    exponent = math.floor(math.log10(max(sizes)))
    return lambda value: value / 10.0**exponent if exponent > -300 else value * 1e300, (f", in 1e{max(exponent, -300)}")


def _short(name: str, most: int = 44) -> str:
    """A name that fits above a panel."""
    name = " ".join(_printable(name).replace("_", " ").split())
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-most // 2 :]}"


def write_report(
    path: str | Path,
    *,
    title: str,
    notes: str,
    metrics: Mapping[str, Any],
    config: Mapping[str, Any],
    history: History,
    figures: Mapping[str, Callable[[], Figure]],
    parameters: str,
) -> list[str]:
    """Writes the page; it loads nothing from anywhere else.

    Args:
      path: the HTML file.
      title: its heading.
      notes: plain text, what was done and why.
      metrics: final numbers by name.
      config: every setting by name.
      history: rows for the curves.
      figures: caption -> what draws the picture.
      parameters: a table of the parameters, from `jnn.summary`.

    Returns:
      A line for each picture that could not be drawn.
    """
    last = {name: value for row in history for name, value in row.items() if name != "step"}
    drawn = dict([*by_metric(last).items()][:PANELS])
    pictures = {"Training and validation, over steps.": lambda: curves(history, drawn)} if drawn else {}
    parts, problems = [], []
    for caption, draw in (pictures | dict(figures)).items():
        try:
            parts.append(_figure(caption, draw()))
        except Exception as error:  # whatever a picture dies of, the numbers are told
            problems.append(f"{caption.rstrip('.')}: cannot be drawn, {type(error).__name__}: {in_one_line(error)}")
            parts.append(f"<figure><figcaption>{html.escape(problems[-1])}</figcaption></figure>")
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f"<pre>{html.escape(notes.strip())}</pre>" if notes.strip() else "",
        "<h2>Result</h2>" + _table(metrics),
        f"<div>{''.join(parts)}</div>",
        _others({name: value for name, value in last.items() if _split(name)[0] not in drawn}),
        "<h2>Settings</h2>" + _table(config),
        f"<h2>Parameters</h2><pre>{html.escape(parameters)}</pre>",
    ]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    page = (
        f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(body)}</body></html>'
    )
    write_whole(Path(path), _printable(page))
    return problems


def _printable(text: str) -> str:
    """Without what is no Unicode, as a file's name may hold it."""
    return text.encode(errors="replace").decode()


def _others(last: dict[str, float]) -> str:
    """The metrics that have no panel; "" for none."""
    if not last:
        return ""
    told = dict([*last.items()][:LINES])
    more = f"<p>and {len(last) - LINES:,} more.</p>" if len(last) > LINES else ""
    return f"<h2>{len(last):,} further metrics, their last values</h2>{_table(told)}{more}"


def _table(values: Mapping[str, Any]) -> str:
    shown = {name: f"{value:.5g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    rows = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in shown.items())
    return f"<table>{''.join(rows)}</table>"


def _figure(caption: str, figure: Figure) -> str:
    """The picture inside the page, at twice the density it is shown at, unless it is very large."""
    buffer, (width, height) = io.BytesIO(), figure.get_size_inches()
    density = min(DENSITY, math.sqrt(PIXELS / (width * height)), SIDE / max(width, height))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # drawn as a box
        figure.savefig(buffer, format="png", dpi=density)
    data, text = base64.b64encode(buffer.getvalue()).decode(), html.escape(caption)
    image = f'<img alt="{text}" width="{round(100 * width)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
