"""The benchmarks' own arithmetic, equal networks everywhere, and one measurement from end to end."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from experiments import tune, tuned
from experiments.benchmarks import decoders, gpt2, sklearn_search, sweeps, tuners
from experiments.benchmarks.__main__ import arguments
from experiments.benchmarks.frameworks import FRAMEWORKS
from experiments.benchmarks.measure import Built, measure
from experiments.benchmarks.problems import LEAVES
from experiments.benchmarks.table import check_parameters, ratio, summarize, table
from experiments.benchmarks.worker import check_device
from jnn.sweep import Structure
from tests.needed_data import needs

ROOT = Path(__file__).parents[1]


def record(framework, number, step_ms, *, workload="mlp", parameters=7):
    """A record with costs in fixed proportion to step_ms."""
    costs = {"step_ms": step_ms, "median_ms": step_ms + 1, "first_step_s": 2 * step_ms, "peak_mb": 100 * step_ms}
    return {"workload": workload, "framework": framework, "round": number, "parameters": parameters, **costs}


RECORDS = [
    *(record("jnn", 0, 2.0), record("jnn x16", 0, 1.0), record("jax", 0, 3.0)),
    *(record("jnn", 1, 4.0), record("jnn x16", 1, 1.0), record("jax", 1, 4.0)),
    *(record("jnn", 2, 2.0), record("jnn x16", 2, 2.0), record("jax", 2, 5.0)),
]


def test_a_ratio_is_the_peers_cost_over_jnns_round_by_round():
    assert ratio(RECORDS, "mlp", "jax", "jnn", "step_ms") == (1.5, 1.0, 2.5)
    assert ratio(RECORDS, "mlp", "jax", "jnn x16", "step_ms") == (3.0, 2.5, 4.0)
    assert ratio(RECORDS, "mlp", "jnn", "jnn", "step_ms") == (1.0, 1.0, 1.0)


def test_rounds_that_lack_either_side_are_left_out():
    alone = [r for r in RECORDS if not (r["framework"] == "jnn" and r["round"] == 2)]
    assert ratio(alone, "mlp", "jax", "jnn", "step_ms") == (1.25, 1.0, 1.5)
    assert ratio([record("jax", 0, 3.0)], "mlp", "jax", "jnn", "step_ms") is None


def test_a_row_holds_minima_and_their_ratios():
    rows = {row["framework"]: row for row in summarize([*RECORDS, record("jax", 0, 9.0, workload="gpt")])}
    assert rows["jnn"]["step_ms"] == 2.0
    assert rows["jnn"]["median_ms"] == 3.0
    assert rows["jnn"]["rounds"] == 3
    row = next(row for row in summarize(RECORDS) if row["framework"] == "jax")
    assert (row["step_ms"], row["first_step_s"], row["peak_mb"]) == (3.0, 6.0, 300.0)
    assert row["step_ms / jnn"] == row["peak_mb / jnn"] == (1.5, 1.0, 2.5)


def test_the_table_shows_every_row_under_aligned_columns():
    lines = table([*RECORDS, record("torch", 0, 1.0, workload="cnn")]).splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["workload", "framework"], ["mlp", "jnn"], ["mlp", "jnn"], ["mlp", "jax"], ["cnn", "torch"],
    ]  # fmt: skip
    start = lines[0].index("/ jnn")
    assert lines[3][start:].startswith("1.50 (1.00-2.50)")
    assert lines[4][start:].startswith("-")


def test_different_networks_are_refused():
    check_parameters(RECORDS)
    with pytest.raises(ValueError, match=r"mlp: the frameworks do not train the same network.*'torch': 8"):
        check_parameters([*RECORDS, record("torch", 0, 1.0, parameters=8)])


def test_a_loss_that_does_not_fall_is_refused():
    with pytest.raises(RuntimeError, match="did not fall"):
        measure(lambda: Built(lambda: 1.0, float, 1), started=0.0, seconds=0.0, repeats=1)


@pytest.mark.parametrize(
    "option",
    [
        ["--only", "mlp,nothing"],
        ["--frameworks", "theano"],
        ["--python", "torch"],
        ["--rounds", "0"],
        ["--repeats", "x"],
    ],
)
def test_unknown_names_end_with_a_message(option, capsys):
    with pytest.raises(SystemExit):
        arguments(option)
    assert option[0] in capsys.readouterr().err


def test_a_cpu_is_no_gpu():
    check_device("jax", "cpu")
    check_device("torch", "gpu")
    with pytest.raises(RuntimeError, match="--device gpu: JAX runs on the cpu here"):
        check_device("jax", "gpu")


def test_options_add_up():
    args = arguments(["--only", "mlp,tiny", "--only", "import", "--python", "torch=/a", "--python", "jnn=/b"])
    assert args.only == ["mlp", "tiny", "import"]
    assert (args.python["torch"], args.python["jnn x16"], args.python["jax"]) == ("/a", "/b", sys.executable)
    assert (args.python["torch.compile"], args.python["jax.jit"]) == ("/a", "/b")
    assert arguments(["--only", "overhead"]).only == [*LEAVES]
    assert {*LEAVES, "decode", "import"} < {*arguments([]).only}


def test_torch_is_compiled_on_a_gpu_or_where_it_is_asked_for(capsys):
    assert "torch.compile" not in arguments([]).frameworks
    assert "torch.compile" in arguments(["--device", "gpu"]).frameworks
    assert arguments(["--frameworks", "torch.compile"]).frameworks == ["torch.compile"]
    with pytest.raises(SystemExit):
        arguments(["--device", "gpu", "--record"])
    assert "--record keeps the results of processors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("machine", "message"), [("foo:1", "expected a name such as"), ("cpu:4", "has 4 devices, found")]
)
def test_a_machine_that_is_not_here_is_said_before_anything_is_compiled(machine, message):
    with pytest.raises(SystemExit, match=f"^gpt2: .*{message}"):
        gpt2.main(gpt2.Config(machine))


@pytest.mark.slow
def test_gpt2_measured_and_predicted_from_end_to_end(capsys):
    small = gpt2.Config("cpu:8", rows=8, context=16, layers=2, heads=2, embed=32, vocab=64, steps=2)
    gpt2.main(small)
    first, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert first[:3] == ["8", "x", "cpu;"]
    assert [row[0] for row in rows[1:]] == ["ms", "tokens", "MFU", "GB"]
    assert float(rows[1][3]) > 0
    assert rows[3][1:] == ["-", "-", "-"]  # nobody publishes a CPU's peak
    with pytest.raises(SystemExit, match="cpu:4 has 4 devices, found 8 of cpu"):
        gpt2.main(dataclasses.replace(small, machine="cpu:4", mesh="data=4"))


@pytest.mark.slow
def test_decoders_by_parts_of_the_vocabulary_and_by_depth(capsys):
    sizes = {"vocab": 2000, "layers": 1, "heads": 2, "kv_heads": 1, "embed": 8, "hidden": 8, "rows": 1, "context": 16}
    decoders.main(decoders.Config(**sizes, chunk=250, shallow=1, deep=2, rounds=1))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    ratios = [float(row[-1]) for row in rows if row[-1].replace(".", "").isdigit()]
    assert len(ratios) == 5
    step, temporaries, alone = ratios[:3]
    assert alone < temporaries < step < 1


def test_one_measurement_from_end_to_end():
    command = [sys.executable, "-m", "experiments.benchmarks", "--only", "tiny", "--frameworks", "jnn,jnn x16"]
    command += ["--rounds", "1", "--seconds", "0.01", "--repeats", "2", "--json"]
    process = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(process.stdout)
    assert found["import"] is None
    assert found["machine"]["cores"] >= 1
    assert {*found["versions"]} == {"jax"}
    assert [row["framework"] for row in found["rows"]] == ["jnn", "jnn x16"]
    for one in found["records"]:
        assert one["framework"] in FRAMEWORKS
        assert one["last"] < one["first"]
        assert 0 < one["step_ms"] <= one["median_ms"]
        assert one["user_ms"] + one["system_ms"] > 0
        assert one["first_step_s"] > 0
        assert one["peak_mb"] > 0
        assert one["parameters"] == 8 * (32 * 32 + 32 + 2 * 32) + 32 * 10 + 10


@pytest.mark.slow
def test_a_sweep_beside_processes_and_a_loop(capsys):
    needs("mnist/train-images-idx3-ubyte.gz")
    sweeps.main(sweeps.Config(members=4, steps=2, processes=1, looped=1, rounds=1, rows=64))
    out = capsys.readouterr()
    said = (out.out + out.err).splitlines()
    assert said[0] == "mlp: 4 members, 2 steps of 32 images"
    assert float(said[-1].rsplit(" ", 1)[1]) > 0


def test_a_peers_search_ends_with_its_time():
    tried, validated, test = sklearn_search.search(tuned.Task("digits", 40), 0.01, seed=0, seeds=2)
    assert tried >= 1
    assert 0 < validated <= 1
    assert test.shape == (2,)


def test_a_tuner_that_is_not_installed_is_left_out(monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "experiments.benchmarks.keras_search", raising=False)
    assert tuners.keras_searches() == {}
    assert "Keras Tuner is left out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_beside_its_peers(monkeypatch, capsys):
    one = {"depth": Structure(1), "width": Structure(16), "batch_size": Structure(32)}
    monkeypatch.setattr(tune, "SPACE", tuned.SPACE | one)
    tuners.main(tuners.Config(steps=64, members=4, seeds=2, rounds=1, peers=("scikit-learn",)))
    head, own, other = capsys.readouterr().err.splitlines()
    assert head.startswith("digits, seed 0, ")
    assert [row.split(":")[0] for row in (own, other)] == ["  jnn", "  scikit-learn"]
    assert all(float(row.split()[-3]) > 0.5 for row in (own, other))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["keras-random", "keras-hyperband"])
def test_keras_tuner_searches_the_same_space_by_the_clock(name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("keras_tuner")
    with jax.numpy_rank_promotion("allow"):
        tried, validated, test = tuners.keras_searches()[name](tuned.Task("digits", 160), 10.0, 0, 2)
    assert tried >= 2
    assert validated > 0.5
    assert test.shape == (2,)
    assert test.min() > 0.5
