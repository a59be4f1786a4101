"""Every command line of an experiment in the documentation could run: its options exist, and its numbers divide.

By arithmetic alone: nothing is trained, and no devices are asked for.
"""

import importlib
import math
import re
import shlex
from pathlib import Path

import pytest
import tyro

from experiments.options import Common
from jnn.parallel import ACTIVATIONS
from jnn.preflight import CHIPS

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"-m experiments\.(\w+)(?![.\w])([^#&|;`)\n]*)")
LAUNCHED = re.compile(r"-n (\d+) --devices (\d+) ")


def commands(text):
    """(experiment, its options, the devices that a launcher gives it) of every command in a text.

    Also of those that are lists, as in YAML and in Python; those of benchmarks are no experiments.
    """
    for line in text.replace("\\\n", " ").splitlines():
        plain = re.sub(r"[\[\]\"]|,(?= )", "", line)
        launched = LAUNCHED.search(plain)
        for name, options in COMMAND.findall(plain):
            if name != "benchmarks":
                yield name, tuple(shlex.split(options)), math.prod(map(int, launched.groups())) if launched else None


def documented():
    """Those of the documentation, and where each stands."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for name, options, launched in commands(path.read_text()):
            yield pytest.param(name, options, launched, id=f"{path.name}: {name} {' '.join(options)}")


def machine(name):
    """How many devices a pre-flight's machine has."""
    slices, chip, shape = re.fullmatch(r"(?:(\d+)\*)?(\w+):([\dx]+)", name).groups()
    return int(slices or 1) * CHIPS[chip].cores * math.prod(map(int, shape.split("x")))


def problems(name, options, launched):
    """What stands in the way of a command line; [] for nothing."""
    config = tyro.cli(importlib.import_module(f"experiments.{name}").Config, args=options)
    if not isinstance(config, Common):  # it trains nothing
        return []
    sizes = {axis: int(size) for axis, size in (part.split("=") for part in config.mesh.split(","))}
    known = math.prod(size for size in sizes.values() if size > 0)
    devices = machine(config.preflight.machine) if config.preflight.machine else launched
    if -1 in sizes.values():  # of devices that nobody names there is one at least
        sizes = {axis: (devices or known) // known if size == -1 else size for axis, size in sizes.items()}
    shared = math.prod(size for axis, size in sizes.items() if axis in ACTIVATIONS["batch"])
    rows, width = getattr(config, "batch_size", None), getattr(config, "embed", None)
    cuts = {"lanes": (config.lanes, shared), "batch_size over the devices": (rows, shared)}
    cuts |= {"batch_size over the lanes": (rows, config.lanes or 1), "embed over fsdp": (width, sizes.get("fsdp", 1))}
    cuts |= {"heads over tensor": (getattr(config, "heads", None), sizes.get("tensor", 1))}
    found = [what for what, (number, parts) in cuts.items() if number is not None and number % parts]
    return found + ["devices"] * (devices is not None and math.prod(sizes.values()) != devices)


def test_every_experiment_is_in_the_gallery():
    gallery = (ROOT / "docs" / "gallery.md").read_text()
    table = re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "experiments.md").read_text(), re.MULTILINE)
    assert set(table) - {name for name, _, _ in commands(gallery)} == set()
    pictures = set(re.findall(r"\(images/gallery/(\S+)\)", gallery))
    assert pictures == {path.name for path in (ROOT / "docs" / "images" / "gallery").iterdir()}
    for entry in re.split(r"^### ", gallery.split("## Without a picture")[0], flags=re.MULTILINE)[1:]:
        name, _, _ = next(commands(entry))
        said = int(re.search(r"(\d+)\s+lines", entry)[1])
        assert said == pytest.approx((ROOT / "experiments" / f"{name}.py").read_text().count("\n"), rel=0.1), name


@pytest.mark.parametrize(("name", "options", "launched"), list(documented()))
def test_a_documented_command_could_run(name, options, launched):
    assert problems(name, options, launched) == []


def test_commands_are_found_wherever_they_stand():
    text = """
python -m experiments.digits        # a comment --seed 1
as `python -m experiments.gpt --lanes 8` does, and python -m experiments.benchmarks --json
"cd jnn && python -m experiments.gpt --mesh fsdp=16 \\
  --workdir /mnt"
command: [python, -m, experiments.gpt, --mesh, "data=2,fsdp=8"]
python -m jnn.launch -n 4 --devices 2 -- python -m experiments.gpt
"""
    assert list(commands(text)) == [
        ("digits", (), None),
        ("gpt", ("--lanes", "8"), None),
        ("gpt", ("--mesh", "fsdp=16", "--workdir", "/mnt"), None),
        ("gpt", ("--mesh", "data=2,fsdp=8"), None),
        ("gpt", (), 8),
    ]
    assert {"launch.md", "parallel.md", "preflight.md", "README.md"} <= {row.id.split(":")[0] for row in documented()}


@pytest.mark.parametrize(
    ("options", "launched", "found"),
    [
        (["--mesh", "data=2,fsdp=4"], None, ["batch_size over the devices"]),
        (["--preflight", "v5e:16x16", "--mesh", "fsdp=256", "--batch-size", "256"], None, ["embed over fsdp"]),
        (["--preflight", "v5e:4x4", "--mesh", "fsdp=4"], None, ["devices"]),
        (["--lanes", "8"], None, ["batch_size over the lanes"]),
        ([], 8, ["batch_size over the devices"]),
        (["--mesh", "tensor=8,data=-1"], 8, ["heads over tensor"]),
        (["--mesh", "data=4", "--lanes", "6"], None, ["lanes"]),
        (["--mesh", "data=4"], 4, []),
    ],
)
def test_what_could_not_run_is_found(options, launched, found):
    assert problems("gpt", options, launched) == found
