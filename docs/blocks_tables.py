"""The page of all blocks, made from the rooms' doors: what each is, its paper, its parameters, who else has it."""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import jnn

ROOMS = {
    "Layers": "layers",
    "Graphs": "graphs",
    "Activations": "activations",
    "Losses": "losses",
    "Metrics": "metrics",
    "Models": "models",
    "Initial values": "initializers",
    "Augmentation": "data.augment",
}
PAPER = re.compile(r'"([^"]{8,}?)",?\s+([^;]*?,?\s*(?:1[6-9]|20)\d\d)')
CENSUS = Path(__file__).parent / "census.json"  # peer -> its name -> ours, or why there is none


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page before it is rendered."""
    if page.file.src_path != "blocks.md":
        return markdown
    peers = peers_of(json.loads(CENSUS.read_text()) if CENSUS.exists() else {})
    return markdown + "".join(table(title, room, peers) for title, room in ROOMS.items())


def table(title: str, room: str, peers: dict[str, list[str]]) -> str:
    """A room's functions, one a row."""
    module: Any = jnn
    for name in room.split("."):
        module = getattr(module, name, None)
    if module is None:
        return ""
    functions = {name: f for name in module.__all__ if inspect.isroutine(f := getattr(module, name))}
    specs = {name.removesuffix("_spec"): f for name, f in functions.items() if name.endswith("_spec")}
    lines = [row(room, name, f, specs.get(name), peers) for name, f in functions.items() if not name.endswith("_spec")]
    head = "| | what it is, its paper, its parameters | also in |\n|---|---|---|\n"
    return f"\n\n## {title}\n\n{head}" + "\n".join(lines)


def row(room: str, name: str, function: Any, spec: Any, peers: dict[str, list[str]]) -> str:
    """One line of a table; it links to the reference."""
    text = inspect.getdoc(function) or ""
    page = room.split(".")[0]
    declared = parameters(inspect.getdoc(spec) or "") if spec else ""
    about = [sentence(text), f"*{found}*" if (found := paper(text)) else "", f"`{declared}`" if declared else ""]
    cells = [
        f"[`{name}`](api/{page}.md#jnn.{room}.{name})",
        "<br>".join(filter(None, about)),
        ", ".join(peers.get(f"{room}.{name}", [])),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def sentence(text: str) -> str:
    """The first sentence of a docstring."""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[^.].)\.(?:\s|$)", first)[0]


def parameters(text: str) -> str:
    """What a spec returns, in its own words: {"w": (in, out), "b": (out,)}."""
    found = re.search(r"\{(?:[^{}]|\{[^{}]*\})*\}", text)  # one within another, and no deeper
    return " ".join(found[0].split()) if found else ""


def paper(text: str) -> str:
    """The first title that a docstring gives, with its authors and year."""
    found = PAPER.search(" ".join(text.split()))
    return f"{found[1]}, {found[2]}" if found else ""


def peers_of(census: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """Ours -> the peers that have it."""
    found: dict[str, list[str]] = {}
    for peer, names in census.items():
        for ours in names.values():
            if ours.startswith("jnn."):
                known = found.setdefault(ours.removeprefix("jnn."), [])
                known += [peer.split(".")[0]] if peer.split(".")[0] not in known else []
    return found
