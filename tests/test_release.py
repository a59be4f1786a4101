"""What a release promises: one number of its version, every public name in the reference, what it takes and draws."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path
from types import ModuleType

import jax
import pytest

import jnn

ROOT = Path(jnn.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGES = "\n".join(path.read_text() for path in (ROOT / "docs" / "api").glob("*.md"))
REFERENCE = re.findall(r"^::: (jnn[\w.]*)", PAGES, re.MULTILINE)
# what backends run instead of a layer, and what raises the errors of one: the layer is what is public
WITHIN = {"jnn.layers.kernels", "jnn.checks"}
DOORS = sorted({".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "jnn").rglob("__init__.py")} - WITHIN)


def public(name):
    """Name -> what it is, of a module's public functions, classes and constants."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None) or [one for one in vars(module) if not one.startswith("_")]
    return {one: getattr(module, one) for one in names if not isinstance(getattr(module, one), ModuleType)}


SHOWN = {id(value) for module in REFERENCE for value in public(module).values()}


def test_the_version_is_one_number():
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert cited == re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == jnn.__version__
    assert PROJECT["project"]["dynamic"] == ["version"]  # the wheel takes it from where it stands
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "jnn/__init__.py"


@pytest.mark.parametrize("door", DOORS)
def test_every_public_name_is_in_the_reference_and_says_what_it_is(door):
    names = public(door)
    assert [name for name, value in names.items() if id(value) not in SHOWN] == []
    functions = {name: value for name, value in names.items() if inspect.isroutine(value) or inspect.isclass(value)}
    assert [name for name, value in functions.items() if not inspect.getdoc(value)] == []


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"^ +- (?:.+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    docs = ROOT / "docs"
    assert sorted({path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} ^ listed) == []


def test_the_versions_that_are_supported_are_those_that_install():
    page = (ROOT / "docs" / "stability.md").read_text()
    low, high = re.search(r"\| Python \| 3\.(\d+) to 3\.(\d+)", page).groups()
    assert PROJECT["project"]["requires-python"] == f">=3.{low},<3.{int(high) + 1}"
    low, high = re.search(r"\| JAX \| 0\.(\d+) to 0\.(\d+)", page).groups()
    assert f"jax>=0.{low},<0.{int(high) + 1}" in PROJECT["project"]["dependencies"]


def test_a_seed_draws_what_it_drew():
    """A constant of ours on purpose: who changes it changes every run of everybody, and says so in the changelog."""
    key = jnn.path_key(jax.random.key(0), "blocks/attention/q/w")
    assert jax.random.key_data(key).tolist() == [3037935876, 4102743284]


@pytest.mark.parametrize("door", DOORS)
def test_patterns_of_paths_are_given_by_name(door):
    """A `where` that has a default is patterns of paths, or a mask; without one it is a mesh or a layout."""
    taken = {name: _parameters(value).get("where") for name, value in public(door).items() if inspect.isroutine(value)}
    where = {name: one for name, one in taken.items() if one is not None and one.default is not one.empty}
    assert [name for name, one in where.items() if one.kind is not one.KEYWORD_ONLY] == []
    if door == "jnn.compression":
        assert {"magnitude_scores", "low_rank_spec", "gradual_pruning"} <= where.keys()


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except ValueError:  # of a function in C
        return {}
