"""No code of jnn can be made to run what a file says: no pickle, no eval, in no disguise."""

import ast
from pathlib import Path

import pytest

import jnn

FILES = sorted(Path(jnn.__file__).parent.rglob("*.py"))
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}
SENDS = {"ForkingPickler", "cloudpickle"}  # what the processes of one run send each other, in one file; it reads none
SENDER = "_failure.py"
METHODS = {("torch", "load"), ("pd", "read_pickle"), ("pandas", "read_pickle"), ("np", "loads"), ("numpy", "loads")}


def suspects(source):
    """What in a file's syntax could run what it reads: (line, what)."""
    for node in ast.walk(ast.parse(source)):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        yield from ((node.lineno, name) for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            yield from ((node.lineno, what) for what in call(node))


def call(node):
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    allowed = keywords.get("allow_pickle", ast.Constant(False))
    if not (isinstance(allowed, ast.Constant) and allowed.value is False):
        yield "allow_pickle"
    if isinstance(node.func, ast.Name) and node.func.id in CALLS:
        yield node.func.id
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        name = (node.func.value.id, node.func.attr)
        if name in METHODS or (name in {("np", "load"), ("numpy", "load")} and "allow_pickle" not in keywords):
            yield ".".join(name)


def test_objects_are_sent_between_the_processes_of_a_run_in_one_file_that_reads_none():
    senders = [path for path in FILES if any(word in path.read_text() for word in SENDS)]
    assert [path.name for path in senders] == [SENDER]
    called = {
        node.func.id
        for node in ast.walk(ast.parse(senders[0].read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "Path"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(FILES[0].parent).as_posix())
def test_nothing_is_unpickled(path):
    assert not list(suspects(path.read_text()))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import os, dill as d",
        "from pickle import loads",
        "from joblib.externals import x",
        "np.load(f)",
        "np.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)",
        "format.read_array(f, allow_pickle=True)",
        "torch.load(f, weights_only=True)",
        "pandas.read_pickle(f)",
        "eval('1')",
        "exec(code)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert list(suspects(source))


def test_the_search_leaves_the_harmless_alone():
    assert not list(suspects("np.load(f, allow_pickle=False); ast.literal_eval(x); jnn.load(a, b); re.compile(x)"))
