"""The census of what others have: it names what is there, and is whole; the page that is made of it is well-formed."""

import importlib.metadata
import inspect
import json
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from docs.blocks_tables import CENSUS, absent, functions_of, on_page_markdown, peers_of, row, sentence
from tests.census import MADE_OF, PEERS

ALL = json.loads(CENSUS.read_text())
OURS = {ours for names in ALL.values() for ours in names.values() if ours.startswith("jnn.")}
REASONS = {why for names in ALL.values() for why in names.values()} - OURS
DOORS = pytest.mark.parametrize(
    "room", ["layers", "losses", "metrics", "activations", "models", "generation", "diffusion", "decoding"]
)


def test_every_peer_is_there():
    assert list(ALL) == list(PEERS)
    assert {peer.split(".")[0] for peer in PEERS} == set(MADE_OF)


def test_every_name_of_ours_is_there():
    assert [ours for ours in sorted(OURS) if pydoc.locate(ours) is None] == []


def test_reasons_are_short():
    assert [why for why in sorted(REASONS) if not re.fullmatch(r"[^|\n]{1,100}", why)] == []


@DOORS
def test_functions_have_a_sentence_a_signature_and_a_row(room):
    peers = peers_of(ALL)
    for name, function in functions_of(room).items():
        assert sentence(inspect.getdoc(function) or ""), f"jnn.{room}.{name} has no docstring"
        assert inspect.signature(function).parameters, f"jnn.{room}.{name} takes nothing"
        line = row(room, name, function, None, peers)
        ends = re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", line))  # in code a bar ends no cell
        assert len(ends) == 4, line
        assert "\n" not in line


@DOORS
def test_a_declaration_stands_beside_its_function(room):
    functions = functions_of(room)
    assert [
        name for name in functions if name.endswith("_spec") and "Declares" not in inspect.getdoc(functions[name])
    ] == []


def test_the_page_has_every_name():
    page = on_page_markdown("", page=SimpleNamespace(file=SimpleNamespace(src_path="blocks.md")))
    lacks = absent(ALL)
    assert page.endswith(lacks)
    for peer, names in ALL.items():
        missing = [theirs for theirs, ours in names.items() if ours in REASONS and theirs not in lacks]
        assert missing == [], peer


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_every_name_of_a_peer_is_in_the_census(peer):
    """And no other, where it is the version that the census was made of."""
    distribution, made_of = MADE_OF[peer.split(".")[0]]
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed")
    command = [sys.executable, "-W", "ignore", "-m", "tests.census", peer]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = set(json.loads(run.stdout.splitlines()[-1]))
    assert sorted(found - ALL[peer].keys()) == [], f"new in {peer} of {distribution} {version}"
    if version.split("+")[0] == made_of:
        assert sorted(ALL[peer].keys() - found) == [], f"not in {peer} of {distribution} {version}"
