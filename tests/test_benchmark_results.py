"""Results by processor: what is recorded, the tables and the plot made of it, those that the documentation shows."""

from __future__ import annotations

import json

import pytest

from experiments.benchmarks import machine, results
from experiments.benchmarks.machine import Machine
from experiments.benchmarks.plot import speed, write_svg
from experiments.benchmarks.results import BEGIN, END, TABLES, between, cell, documented, markdown, read, record
from experiments.benchmarks.table import summarize

FIRST, SECOND = Machine("Intel Xeon (family 6, model 143)", 2), Machine("AMD EPYC (family 26, model 2)", 4)


def rows(**steps):
    """Rows of a table in which jnn takes 1 ms and others what is said."""
    costs = lambda ms: {"step_ms": ms, "median_ms": ms, "first_step_s": 1.0, "peak_mb": 100.0, "parameters": 1}
    one = lambda name, ms: {"workload": "mlp", "framework": name, "round": 0, **costs(ms)}
    return summarize([one(name, ms) for name, ms in {"jnn": 1.0, **steps}.items()])


@pytest.fixture
def kept(tmp_path):
    """A file of two processors."""
    path = tmp_path / "results.json"
    record(path, FIRST, rows(jax=2.0, torch=12.0), {"jax": "0.10.2", "torch": "2.13.0"})
    record(path, SECOND, rows(torch=0.5), {"jax": "0.10.2", "torch": "2.13.0"}, {"ratio": 1.04})
    return path


def test_every_machine_adds_its_column(kept):
    found = read(kept)
    assert [*found] == [str(SECOND), str(FIRST)]
    assert cell(found, "mlp", "torch") == "0.50 / 12"
    assert cell(found, "mlp", "jax") == "- / 2.00"
    assert cell(found, "mlp", "keras") == cell(found, "gpt", "torch") == ""


def test_what_is_measured_again_is_replaced_and_the_rest_stays(kept):
    record(kept, FIRST, rows(jax=3.0), {"jax": "0.10.2"})
    found = read(kept)[str(FIRST)]
    assert found["versions"] == {"jax": "0.10.2", "torch": "2.13.0"}
    assert found["workloads"]["mlp"]["jax"]["ratio"] == [3.0, 3.0, 3.0]
    assert found["workloads"]["mlp"]["torch"]["ratio"][0] == 12.0


def test_what_another_version_did_is_forgotten(kept):
    record(kept, FIRST, rows(jax=3.0), {"jax": "0.11.0"})
    found = read(kept)
    assert found[str(FIRST)]["versions"] == {"jax": "0.11.0"}
    assert "torch" not in found[str(FIRST)]["workloads"]["mlp"]
    assert "torch" in found[str(SECOND)]["workloads"]["mlp"]


def test_what_was_not_measured_beside_jnn_has_no_ratio(tmp_path):
    alone = [row for row in rows(jax=2.0) if row["framework"] == "jax"]
    record(tmp_path / "a.json", FIRST, [row | {"step_ms / jnn": None} for row in alone], {})
    assert "ratio" not in json.loads((tmp_path / "a.json").read_text())[str(FIRST)]["workloads"]["mlp"]["jax"]


def test_a_table_names_the_processors_and_leaves_empty_columns_out(kept):
    *places, empty, header, line, row = markdown(read(kept), *TABLES["README.md"]).splitlines()
    assert [place[: place.index(",")] for place in places] == ["- AMD EPYC (family 26", "- Intel Xeon (family 6"]
    assert "4 cores" in places[0]
    assert places[0].endswith("jax 0.10.2, torch 2.13.0, `import jnn` takes 1.04 times `import jax`")
    assert (empty, header, line) == ("", "| | plain JAX | PyTorch |", "|---|---|---|")
    assert row == "| MLP | - / 2.00 | 0.50 / 12 |"


def test_a_table_takes_the_place_of_the_one_before():
    text = f"before\n{BEGIN}\nold\n\n{END}after\n"
    assert between(text, "new") == f"before\n{BEGIN}\nnew\n\n{END}after\n"
    assert between(between(text, "new"), "new") == between(text, "new")
    with pytest.raises(ValueError, match="Expected one table between"):
        between("before\nafter\n", "new")


@pytest.mark.parametrize("name", TABLES)
def test_the_documentation_shows_what_was_recorded(name):
    text = (results.ROOT / name).read_text()
    assert BEGIN in text
    if not (found := read()):
        pytest.skip("nothing is recorded")
    assert documented(text, found, name) == text
    assert results.PLOT.exists()


@pytest.mark.parametrize(("name", "plot"), [("README.md", "docs/images"), ("docs/performance.md", "images")])
def test_a_table_and_the_plot_come_into_the_documentation(name, plot, kept):
    text = documented((results.ROOT / name).read_text(), read(kept), name)
    assert "| MLP | " in text
    assert f"![The same as a plot]({plot}/speed.svg)\n\n{END}" in text
    assert documented(text, read(kept), name) == text


def test_a_plot_has_a_panel_a_processor_and_is_the_same_twice(kept, tmp_path):
    figure = speed(read(kept))
    assert [axes.get_title() for axes in figure.axes] == [str(SECOND), str(FIRST)]
    paths = [tmp_path / name / "speed.svg" for name in "ab"]
    for path in paths:
        write_svg(speed(read(kept)), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_processor_has_a_name(monkeypatch, tmp_path):
    assert machine.machine().cores >= 1
    monkeypatch.setattr(machine, "INFO", tmp_path / "cpuinfo")
    machine.INFO.write_text("processor\t: 0\nmodel name\t: Some CPU\n\nprocessor\t: 1\nmodel name\t: Other\n")
    assert machine.processor() == "Some CPU"
    assert str(Machine("Some CPU", 1)) == "Some CPU, 1 core"
