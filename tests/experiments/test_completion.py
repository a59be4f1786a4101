"""Completion of Python: a small run from end to end, which lines are completed, and how they are judged."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jnn
from experiments import completion
from experiments.harness import launch
from experiments.programs import END, programs
from jnn.models import transformer_spec

SMALL = ["--steps", "4", "--warmup", "1", "--vocab", "512", "--layers", "1", "--heads", "2", "--embed", "8"]
SMALL += ["--context", "32", "--batch-size", "8", "--lines", "5", "--tokens", "8"]
FILE = '''"""Module {i}."""
import os

def function_{i}(x):
    # a comment of some words
    value = os.path.join(x, "a", "b")
    return value + str({i} + len(value))
'''


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Sixty files, of which some are held out, and some that are none of ours."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("test", "package"):
        (folder / name).mkdir()
    for i in range(60):
        (folder / "package" / f"module_{i}.py").write_text(FILE.format(i=i))
    (folder / "test" / "module.py").write_text("assert 'a test'\n")
    (folder / "not_ascii.py").write_text("'é'\n")
    return folder


def test_a_small_run_goes_from_sources_to_shares(sources, tmp_path, capsys):
    options = [*SMALL, "--sources", str(sources), "--workdir", str(tmp_path / "run")]
    launch(completion.experiment, completion.Config, options)
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    shares = {"lines_right", "characters_right", "first_characters_right", "parses", "parses_if_nothing_is_added"}
    assert shares | {"python", "files_held_out", "bits_per_character", "piece_accuracy"} <= result.keys()
    assert all(0 <= result[name] <= 1 for name in shares)
    assert result["lines"] == 5
    assert 0 < result["bits_per_character"] < 10
    assert "Held-out lines" in (tmp_path / "run" / "report.html").read_text()


def test_files_are_held_out_by_their_paths(sources):
    found = programs(str(sources), 512)
    assert 0 < len(found.held_out) < 30
    assert (found.ids == END).sum() == 60 - len(found.held_out)
    text = found.tokenizer.decode(found.ids)
    for name, held in found.held_out.items():
        assert held not in text
        assert found.tokenizer.decode(found.pieces(held)) == held
        assert name.startswith("package/")
    assert "a test" not in text
    assert "é" not in text
    ends = np.array([found.tokenizer.decode([i]).count("\n") for i in range(len(found.tokenizer))])
    assert ends.max() == 1  # no piece is of two lines


def test_lines_to_complete_are_those_up_to_which_a_file_parses(sources):
    data = programs(str(sources), 512)
    found = completion.places(data, 1000)
    assert {place.given + place.rest for place in found} >= {'    value = os.path.join(x, "a", "b")', "import os"}
    for place in found:
        line = place.given + place.rest
        assert "comment" not in line
        assert not line.endswith(":")
        assert completion.parses(f"{place.before}{line}\n")
        assert any(text.startswith(f"{place.before}{line}\n") for text in data.held_out.values())
        assert data.tokenizer.decode(place.pieces) == place.given


def test_judged_by_characters_and_by_what_parses():
    place = lambda given, rest: completion.Place("x = 1\n", np.array([1]), given, rest)
    chosen = [place("y = ", "x + 1"), place("y = f", "(x)"), place("z = [", "x]"), place("del ", "x")]
    found = completion.judged(chosen, ["x + 1", "oo", "x", "y"])
    assert found["lines_right"] == 0.25
    assert found["characters_right"] == (5 + 0 + 1 + 0) / (5 + 3 + 2 + 1)
    assert found["first_characters_right"] == 0.5
    assert found["parses"] == 0.75
    assert found["parses_if_nothing_is_added"] == 0.25


def test_what_is_drawn_is_a_line(sources):
    data, config = programs(str(sources), 512), completion.Config(vocab=512, context=32, tokens=8)
    spec = transformer_spec(512, None, layers=1, heads=2, embed=8, bias=False)
    chosen = completion.places(data, 3)
    texts = completion.complete(jnn.init(spec, jax.random.key(0)), chosen, data, config)
    assert len(texts) == 3
    assert not any("\n" in text for text in texts)


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--warmup", "4"], 2, "--warmup: expected fewer than the 4 steps, found 4."),
        (["--tokens", "32"], 2, "--tokens: expected fewer than the context's 32, found 32."),
        (["--sources", "/nowhere"], 1, "--sources: expected Python files to train on and to hold out, found 0 below"),
    ],
)
def test_what_cannot_be_is_one_line(options, exit_code, message, sources, tmp_path, capsys):
    given = ["--sources", str(sources), "--workdir", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as end:
        launch(completion.experiment, completion.Config, [*SMALL, *given, *options])
    assert end.value.code == exit_code
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert len(err.splitlines()) == 1


def test_no_experiment_has_the_name_of_a_standard_module():
    """Begun by its path, it would stand before it: Python 3.13's debugger imports `code`, for one."""
    names = {path.stem for path in Path(completion.__file__).parent.glob("*.py")}
    assert names & sys.stdlib_module_names == set()
