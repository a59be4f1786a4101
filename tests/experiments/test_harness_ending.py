"""The end of a run: the result first, and nothing that shows it may lose it."""

import json
import os
import shlex
import subprocess
import sys

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments import harness
from tests.experiments.launches import ROOT, quick, run


def of(folder):
    """The result on the disk."""
    return json.loads((folder / "result.json").read_text())


def test_the_result_is_on_the_disk_before_anything_is_drawn(tmp_path, capsys):
    seen = []

    def draw():
        seen.append(of(tmp_path))
        raise RuntimeError("no colours")

    _, err, result = run(capsys, tmp_path, experiment=quick(figures={"A picture.": draw}))
    assert seen == [result]
    assert "the report: A picture: cannot be drawn, RuntimeError: no colours" in err.splitlines()
    assert "A picture: cannot be drawn" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("part", ["write_report", "_parameters", "_print_table", "Table"])
def test_a_report_or_a_table_that_fails_is_one_line(tmp_path, capsys, monkeypatch, part):
    def failing(*args, **kwargs):
        raise ZeroDivisionError("of\ntwo lines")

    monkeypatch.setattr(harness, part, failing)
    _, err, result = run(capsys, tmp_path, experiment=quick())
    assert result == of(tmp_path)
    (line,) = err.splitlines()
    assert line.endswith(" failed: ZeroDivisionError: of two lines")


def test_a_report_that_is_missing_is_made_by_the_same_command(tmp_path, capsys, monkeypatch):
    """Of the result that was there: a run may be killed between the two."""
    with monkeypatch.context() as patch:
        patch.setattr(harness, "write_report", lambda *args, **kwargs: 1 / 0)
        out, _, first = run(capsys, tmp_path, experiment=quick({"loss": 0.5}))
        assert "report: " not in out
        assert not (tmp_path / "report.html").exists()
    _, err, again = run(capsys, tmp_path, experiment=quick({"loss": 0.75}))
    assert again == first == of(tmp_path)
    assert "This run is finished" not in err
    assert "0.5" in (tmp_path / "report.html").read_text()
    _, err, _ = run(capsys, tmp_path, experiment=quick(before=lambda: 1 / 0))
    assert "This run is finished" in err


def test_parameters_that_are_numbers_are_in_the_report():
    table = harness._parameters({"threshold": 0.5, "w": np.zeros((2, 3), np.float32), "key": jax.random.key(0)})
    assert table.splitlines()[:2] == ["key    key<fry>", "threshold    float64"]


def test_metrics_of_any_kind_are_json(tmp_path, capsys):
    metrics = {"a": np.float32(0.1), "b": jax.numpy.float32(np.nan), "c": [np.int64(3), -float("inf")], "d": Figure()}
    metrics |= {"e": None, "f": {"g": (1, 2)}, "h": np.arange(2), "NaN": "NaN"}
    out, _, result = run(capsys, tmp_path, experiment=quick(metrics))
    json.loads(out.splitlines()[-1], parse_constant=lambda name: 1 / 0)
    assert result["a"] == 0.1
    assert (result["b"], result["c"]) == ("NaN", [3, "-Infinity"])  # as a reader of JSON sees them
    assert result["d"].startswith("Figure(")
    assert (result["e"], result["f"], result["h"]) == (None, {"g": [1, 2]}, [0, 1])
    again = run(capsys, tmp_path, experiment=quick(metrics))[0]
    assert again.splitlines()[-1] == out.splitlines()[-1]


ENDING = """
from tests.experiments.launches import *
launch(quick({"größe∞": 0.5}, [{"step": 1, "train/verlust∞": 0.5}], {"∞": Figure}), Config)
"""


def ended(folder, redirection="", program=ENDING, **environ):
    """A run in a shell, without JAX's devices; its streams as bytes."""
    command = shlex.join([sys.executable, "-c", program, "--workdir", str(folder)])
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {redirection}"],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "environ"),
    [
        ("| true", {}),
        (">/dev/full", {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}),
        ("2>&1 | true", {"NO_COLOR": "1", "TERM": "dumb"}),
        ("2>&- <&-", {"COLUMNS": "1"}),
    ],
)
def test_output_that_goes_nowhere_loses_no_result(tmp_path, redirection, environ):
    done = ended(tmp_path / "run", redirection, **environ)
    assert of(tmp_path / "run")["größe∞"] == 0.5
    assert (tmp_path / "run" / "report.html").exists()
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    if redirection in ("| true", ">/dev/full"):
        assert done.stderr.decode().splitlines()[-1].startswith("standard output cannot be written; the result is in ")


def test_a_terminal_of_few_characters_shows_what_it_can(tmp_path):
    done = ended(tmp_path, PYTHONIOENCODING="latin-1", COLUMNS="20")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.splitlines()[-1])["größe∞"] == 0.5
    assert b"\\u221e" in done.stdout  # in the table


FULL = """
import resource, signal
from tests.experiments.launches import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def full(config):
    resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, resource.RLIM_INFINITY))
    return {what}(config)

launch(full, Config)
"""


@pytest.mark.parametrize(("what", "size"), [("experiment", 500), ("quick()", 20)])
def test_a_full_disk_is_the_last_line(tmp_path, what, size):
    """Of a training, and of a result, which is then printed at least."""
    done = ended(tmp_path, program=FULL.format(bytes=size, what=what))
    assert done.returncode == 1
    *_, last = done.stderr.decode().splitlines()
    assert last.startswith("error: ")
    assert str(tmp_path) in last
    assert "File too large. Make room" in last
    if what == "quick()":
        assert json.loads(done.stdout)["loss"] == 0.5
        assert done.stderr.count(b"\n") == 1
    assert not list(tmp_path.glob("*.part"))
