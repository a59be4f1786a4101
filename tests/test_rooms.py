"""Rooms have one door: files behind it are private, others come in by the door, and arrows run downward."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jnn

ROOT = Path(jnn.__file__).parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for room in ("jnn", "experiments")
    for path in (ROOT / room).rglob("*.py")
}
DOORS_OF_THEIR_OWN = {
    *(f"jnn.train.log.{name}" for name in ("live", "progress", "report", "rows", "tensorboard")),
    "jnn.sweep.report",
}
TEXT = ["generation", "serving"]  # known to no other room, and to each other from left to right
# a room knows those of them that stand before it
OUTERMOST = ["compression", "explain", "interop", "laws", "parity", "eject", "export"]
# a room, and which others it may not know
BELOW = {
    "param": "activations checks data finetune graphs initializers inspect launch layers losses metrics models "
    "parallel train",
    "boxes": "activations data graphs inspect launch layers losses metrics models parallel preflight train",
    "image_similarity": "activations data graphs inspect launch layers losses metrics models parallel preflight train",
    "audio": "activations data graphs inspect launch layers losses metrics models parallel preflight train",
    "input_sums": "activations data graphs inspect launch layers losses metrics models parallel preflight train",
    "vectors": "activations data graphs inspect launch layers losses metrics models parallel preflight train",
    "metrics": "data graphs inspect launch layers losses models parallel preflight train",
    "layers": "finetune data graphs inspect launch losses models parallel preflight train",
    "losses": "finetune data graphs inspect launch layers models parallel preflight train",
    "graphs": "finetune data inspect launch losses models parallel preflight train",
    "models": "finetune data inspect launch losses parallel preflight train",
    "decoding": "data finetune generation graphs inspect launch layers losses metrics models parallel preflight train",
    "diffusion": "data finetune graphs inspect launch layers models parallel preflight train",
    "environments": "activations data finetune graphs inspect launch layers losses metrics models parallel preflight"
    " train",
    "generation": "finetune data graphs inspect launch losses models parallel preflight train",
    "cached_model": "activations data finetune graphs inspect launch layers losses metrics models parallel preflight"
    " train",
    "data": "finetune graphs inspect launch layers losses models parallel preflight train",
    "inspect": "finetune data graphs launch layers losses models parallel preflight train",
    "train": "finetune data graphs launch layers losses models parallel preflight",
    "parallel": "finetune data graphs launch losses models preflight",
    "sweep": "finetune graphs inspect launch layers losses models parallel preflight",
    "launch": "finetune data graphs layers losses models parallel preflight",
    "preflight": "finetune data graphs launch losses models",
    "maximal_update": "activations data finetune graphs inspect launch layers losses metrics models parallel preflight"
    " train",
    "quantization": "data finetune generation graphs inspect launch losses models parallel preflight train",
    "finetune": "data generation graphs inspect launch losses models parallel preflight train",
    "compression": "activations data finetune graphs inspect launch losses metrics models parallel preflight train",
    "explain": "activations data finetune graphs inspect launch layers losses models parallel preflight train",
    "serving": "activations data finetune graphs inspect launch layers losses metrics models parallel preflight train",
    "eject": "activations data finetune graphs initializers inspect launch layers losses metrics models parallel "
    "preflight train",
    "export": "activations finetune graphs initializers launch layers losses metrics models parallel preflight",
    "laws": "data inspect launch layers losses models preflight",
    "interop": "activations data inspect launch layers losses metrics models parallel preflight train",
    "parity": "activations data launch layers losses metrics models parallel preflight train",
}
# who may not know what is done to trained weights, may not know what is done to their bits
BELOW = {
    name: f"{others} quantization" if "finetune" in others.split() and name != "quantization" else others
    for name, others in BELOW.items()
}


def imports(name):
    """What a module imports, by full names."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    """The room just below jnn that a module is in."""
    return ".".join(name.split(".")[:2])


def test_files_behind_a_door_are_private():
    doors = {name for name, path in MODULES.items() if path.name == "__init__.py"} | DOORS_OF_THEIR_OWN
    behind = {name for name in MODULES.keys() - doors if name.startswith("jnn.") and name.count(".") > 1}
    assert {name for name in behind if not name.rpartition(".")[2].startswith("_")} == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_others_come_in_by_the_door(name):
    private = [
        found
        for found in imports(name)
        if found.startswith("jnn.") and "._" in found and "__" not in found and room(found) != room(name)
    ]
    assert private == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_arrows_run_downward(name):
    here = room(name).removeprefix("jnn.")
    outer = OUTERMOST[OUTERMOST.index(here) + 1 :] if here in OUTERMOST else OUTERMOST
    above = [] if name == "jnn" or name.startswith("experiments") else [*BELOW.get(here, "").split(), *outer]
    if here != "jnn" and not name.startswith("experiments"):
        above += TEXT[TEXT.index(here) + 1 :] if here in TEXT else TEXT
    assert [found for found in imports(name) if room(found) in {f"jnn.{one}" for one in above}] == []
    assert name.startswith("experiments") or not any(found.startswith("experiments") for found in imports(name))


def test_documents_come_in_by_the_door():
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    assert [found for page in pages for found in re.findall(r"jnn(?:\.\w+)*\._[a-z]\w*", page.read_text())] == []


def test_no_function_shadows_its_module():
    code = "import jnn, jnn.data, jnn.inspect, jnn.launch, jnn.parallel, jnn.preflight, jnn.train.log.report"
    subprocess.run([sys.executable, "-c", code], check=True)
    for name, path in MODULES.items():
        if path.name != "__init__.py" or not name.startswith("jnn."):
            continue
        door = importlib.import_module(name)
        files = {module.name for module in pkgutil.iter_modules([str(path.parent)])}
        assert files & {one for one in dir(door) if callable(getattr(door, one))} == set()
        assert all(hasattr(door, one) for one in getattr(door, "__all__", ()))
