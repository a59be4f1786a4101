"""The page of all blocks, made from the rooms' doors: what each is, its paper, its parameters, who else has it."""

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

ROOMS = {
    "Layers": "layers",
    "Graphs": "graphs",
    "Activations": "activations",
    "Losses": "losses",
    "Metrics": "metrics",
    "Models": "models",
    "Generation": "generation",
    "Diffusion": "diffusion",
    "Decoding": "decoding",
    "Audio": "audio",
    "Boxes": "boxes",
    "Initial values": "initializers",
    "Augmentation": "data.augment",
}
MATH = re.compile(r":math:`(?:\\mathrm\{)?(\w+)\}?`")  # in docstrings that are not the house's
PAPER = re.compile(r'"([^"]{8,}?)",?\s+([^;]*?,?\s*(?:1[6-9]|20)\d\d)')
BAR = re.compile(r"(`[^`]*`)|\|")  # what ends a cell, but in code
Peers = dict[str, dict[str, list[str]]]  # ours -> library -> its names
CENSUS = Path(__file__).parent / "census.json"  # peer -> its name -> ours, or why there is none


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page before it is rendered."""
    if page.file.src_path != "blocks.md":
        return markdown
    return markdown + tables()


def tables() -> str:
    """All of them."""
    census = json.loads(CENSUS.read_text())
    peers = peers_of(census)
    return "".join(table(title, room, peers) for title, room in ROOMS.items()) + absent(census)


def table(title: str, room: str, peers: Peers) -> str:
    """A room's functions, one a row; a declaration where no function has its name."""
    functions = functions_of(room)
    specs = {name.removesuffix("_spec"): f for name, f in functions.items() if name.endswith("_spec")}
    beside = {f"{name}_spec" for name in functions}
    lines = [row(room, name, f, specs.get(name), peers) for name, f in functions.items() if name not in beside]
    head = "| | what it is, its paper, its parameters | also in |\n|---|---|---|\n"
    return f"\n\n## {title}\n\n{head}" + "\n".join(lines)


def functions_of(room: str) -> dict[str, Any]:
    """The functions of a door, those with derivatives of their own included; no types, no tables."""
    door = importlib.import_module(f"jnn.{room}")
    found = {name: getattr(door, name) for name in door.__all__}
    return {name: f for name, f in found.items() if inspect.isroutine(f) or hasattr(f, "__wrapped__")}


def row(room: str, name: str, function: Any, spec: Any, peers: Peers) -> str:
    """One line of a table; it links to the reference, which describes what is the house's own."""
    text = inspect.getdoc(function) or ""
    page = room.split(".")[0]
    anchor = f"#jnn.{page}.{function.__name__}" if function.__module__.startswith("jnn.") else ""
    declared = parameters(inspect.getdoc(spec) or "") if spec else ""
    about = [sentence(text), f"*{found}*" if (found := paper(text)) else "", f"`{declared}`" if declared else ""]
    cells = [
        f"[`{name}`](api/{page}.md{anchor})",
        "<br>".join(filter(None, about)),
        "<br>".join(f"{library}: {', '.join(names)}" for library, names in peers.get(f"{room}.{name}", {}).items()),
    ]
    return "| " + " | ".join(BAR.sub(lambda bar: bar[1] or "\\|", cell.replace("\n", " ")) for cell in cells) + " |"


def sentence(text: str) -> str:
    """The first sentence of a docstring."""
    first = MATH.sub(r"\1", " ".join(text.split("\n\n")[0].split()))
    return re.split(r"(?<=[^.].)\.(?:\s|$)", first)[0]


def parameters(text: str) -> str:
    """What a spec returns, in its own words: {"w": (in, out), "b": (out,)}."""
    found = re.search(r"\{(?:[^{}]|\{[^{}]*\})*\}", text)  # one within another, and no deeper
    return " ".join(found[0].replace("`", "").split()) if found else ""


def paper(text: str) -> str:
    """The first title that a docstring gives, with its authors and year."""
    found = PAPER.search(" ".join(text.split()))
    return f"{found[1]}, {found[2]}" if found else ""


def peers_of(census: dict[str, dict[str, str]]) -> Peers:
    """Ours -> the libraries that have it, and what they call it."""
    found: Peers = {}
    for peer, names in census.items():
        for theirs, ours in names.items():
            if ours.startswith("jnn."):
                libraries = found.setdefault(ours.removeprefix("jnn."), {})
                known = libraries.setdefault(peer.split(".")[0], [])
                known += [theirs] if theirs not in known else []
    return found


def absent(census: dict[str, dict[str, str]]) -> str:
    """The table of what others have and jnn has not, by peer, with the reasons; first what is missing yet."""
    lines = []
    for peer, names in census.items():
        reasons: dict[str, list[str]] = {}
        for theirs, ours in names.items():
            if not ours.startswith("jnn."):
                reasons.setdefault(ours, []).append(theirs)
        for why in sorted(reasons, key=lambda why: not why.startswith("not yet")):
            lines.append(f"| {peer} | {', '.join(reasons[why])} | {why} |")
    head = "| of | what | why |\n|---|---|---|\n"
    return f"\n\n## What others have and jnn has not\n\n{head}" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(tables())
