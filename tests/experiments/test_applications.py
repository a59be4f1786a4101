"""The applications, shortened: each learns, is killed and goes on bit for bit, compiles nothing twice, flies ahead.

A row says what an experiment needs, by which options it is short, and what of its result shows that it has learned; a
second row of options makes two steps of toy widths of it, which are taken in the default suite.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib
import inspect
import logging
import math
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import pytest
import tyro

import jnn
from jnn.data import data_root, in_order
from jnn.strict_json import loads
from jnn.train import create_state, make_step
from tests.experiments.test_kills import check
from tests.programs import ALONE

ROOT = Path(__file__).parents[2]
ROWS_HELD_OUT = 16
COMPILING = re.compile(r"Compiling jit\((step|sharded|evaluate)\) with (.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Row:
    """An experiment.

    module: in `experiments`.
    needs: folders of the data root.
    short: options of a run of seconds.
    toy: of two steps.
    learned: metrics of the short run -> whether it has learned.
    often: whether it is killed in the default suite too.
    """

    module: str
    needs: tuple[str, ...]
    short: str
    toy: str
    learned: Callable[[Mapping[str, Any]], bool]
    often: bool = False


ROWS = [
    Row(
        "capsules",
        ("mnist",),
        "--steps 100 --width 8 --maps 2",
        "--steps 2 --width 2 --maps 1 --batch-size 8",
        lambda m: m["capsules_accuracy"] > 0.5 and m["cnn_accuracy"] > 0.8,
    ),
]


def rows(slow: Callable[[Row], bool]) -> list[Any]:
    return [pytest.param(r, id=r.module, marks=[pytest.mark.slow] if slow(r) else []) for r in ROWS]


def ready(row: Row) -> None:
    for name in row.needs:
        if not (data_root() / name).exists():
            pytest.skip(f"{name} is not in {data_root()}; set JNN_DATA to where it is.")


def cut(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets it validate and test on the first rows alone."""
    if hasattr(module, "in_order"):
        first = lambda arrays, size: in_order({name: array[:ROWS_HELD_OUT] for name, array in arrays.items()}, size)
        monkeypatch.setattr(module, "in_order", first)


def compiled(caplog) -> collections.Counter:
    """How often each step and each evaluation was compiled, by its name and what it takes."""
    found = (COMPILING.search(record.getMessage()) for record in caplog.records)
    return collections.Counter(match.groups() for match in found if match)


def one_step(config, spec, loss, optimizer, batches, *, start=None, memory=None, name="", **options):
    """In place of `experiments.training.train`: a single update on one device, and its metrics as the history."""
    key = jax.random.key(config.seed)
    params = jnn.init(spec, key) if start is None else start
    state = create_state(params, optimizer, memory=None if memory is None else memory(params))
    kept = {name: options[name] for name in inspect.signature(make_step).parameters if name in options}
    kept.pop("steps_per_call", None)
    state, metrics = make_step(loss, optimizer, key, **kept)(state, batches[0])
    return state, [{"step": 1, **{f"train/{name}": float(value.value()) for name, value in metrics.items()}}]


@pytest.mark.parametrize("row", rows(slow=lambda row: False))
def test_one_step_of_toy_widths(row, tmp_path, monkeypatch):
    """Its result is finite, and its pictures are drawn."""
    ready(row)
    module = importlib.import_module(f"experiments.{row.module}")
    cut(module, monkeypatch)
    monkeypatch.setattr(module, "train", one_step)
    outcome = module.experiment(tyro.cli(module.Config, args=[*row.toy.split(), "--workdir", str(tmp_path)]))
    assert outcome.metrics
    assert all(math.isfinite(value) for value in outcome.metrics.values() if isinstance(value, float))
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("row", rows(slow=lambda row: True))
def test_no_program_is_compiled_twice(row, tmp_path, caplog, monkeypatch):
    ready(row)
    module = importlib.import_module(f"experiments.{row.module}")
    cut(module, monkeypatch)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        module.experiment(tyro.cli(module.Config, args=[*row.toy.split(), "--workdir", str(tmp_path)]))
    programs = compiled(caplog)
    assert programs
    assert set(programs.values()) == {1}, programs


@pytest.mark.parametrize("row", rows(slow=lambda row: not row.often))
def test_a_short_run_learns_and_is_killed_and_goes_on(row, tmp_path):
    ready(row)
    came, _ = check(("save", "final"), 1, f"experiments.{row.module}", tmp_path, row.short.split())
    assert came == ["save", "final"]
    assert row.learned(loads((tmp_path / "killed" / "result.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("row", rows(slow=lambda row: True))
def test_a_preflight_reports(row, tmp_path):
    ready(row)
    command = [sys.executable, "-m", f"experiments.{row.module}", *row.toy.split(), "--workdir", str(tmp_path / "run")]
    command += ["--preflight", "cpu:8", "--mesh", "data=8"]
    done = subprocess.run(command, cwd=ROOT, env=ALONE, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "data=8" in done.stdout
    assert not (tmp_path / "run").exists()
