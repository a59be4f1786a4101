"""What every experiment shares: its folder, its options, its last line; and that a stopped run goes on."""

import contextlib
import dataclasses
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding
from matplotlib.figure import Figure

import jnn
from experiments import flight, harness, training
from experiments.claims import claim, write_json
from experiments.harness import Outcome, launch
from experiments.options import Common, settings
from jnn import data
from jnn.data import Batches, Windows
from jnn.train import LossOutput, digest
from tests.train import tiny

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Options of the experiment below."""

    steps: int = 40
    workdir: str = "runs/tiny"
    learning_rate: float = 0.1
    batch_size: int = 8


def experiment(config: Config) -> Outcome:
    """Trains the tiny model."""
    batches = Batches(tiny.arrays(), config.batch_size, seed=config.seed)
    state, history = training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
    metrics = {"loss": history[-1]["train/loss"], "tiny": 1.23456789e-9, "rate": config.learning_rate}
    return Outcome(state.params, metrics, history, {"Nothing.": Figure})


def run(capsys, folder, *options, experiment=experiment):
    """Standard output, standard error, and the last line as JSON."""
    launch(experiment, Config, ["--workdir", str(folder), *options])
    out, err = capsys.readouterr()
    return out, err, json.loads(out.splitlines()[-1])


def refused(capsys, code, folder, *options, experiment=experiment):
    """The one line that a launch which ends with this code says."""
    with pytest.raises(SystemExit) as exit:
        run(capsys, folder, *options, experiment=experiment)
    assert exit.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    return err


class Whole(NamedTuple):
    """A run from beginning to end: its folder, what the experiment handed back, and what it printed."""

    folder: Path
    outcome: Outcome
    out: str
    err: str
    result: dict


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One for all tests that only look at it, or compare theirs with it."""
    kept, folder = [], tmp_path_factory.mktemp("whole") / "run"

    def watched(config):
        kept.append(experiment(config))
        return kept[0]

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        launch(watched, Config, ["--workdir", str(folder)])
    return Whole(folder, kept[0], out.getvalue(), err.getvalue(), json.loads(out.getvalue().splitlines()[-1]))


def test_the_last_line_is_the_result(whole):
    folder, outcome, out, err, result = whole
    assert result["params_digest"] == digest(outcome.params)
    assert {x.sharding for x in jax.tree.leaves(outcome.params)} == {SingleDeviceSharding(jax.devices()[0])}
    assert result["seconds"] > 0
    assert result["rate"] == 0.1
    assert result["tiny"] == pytest.approx(1.23456789e-9, rel=1e-5)  # rounded to digits, not to zero
    assert result["params_digest"] in "".join(out.split("│"))  # in the table too, whole
    assert "40/40" in err
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "checkpoints",
        "hooks.jsonl",
        "metrics.jsonl",
        "report.html",
        "result.json",
        "status.json",
    }


def test_a_finished_run_says_so_and_prints_the_same(whole, capsys):
    def never(config):
        raise AssertionError("ran again")

    again, err, _ = run(capsys, whole.folder, experiment=never)
    assert again.splitlines() == [whole.out.splitlines()[-1]]
    assert f"This run is finished; its report is {whole.folder / 'report.html'}." in err


def test_a_stopped_run_goes_on(tmp_path, capsys, whole):
    class Stopped(Batches):
        def stack(self, step, k):
            if step == 25:
                raise KeyboardInterrupt
            return super().stack(step, k)

    def stopped(config):
        batches = Stopped(tiny.arrays(), 8, seed=config.seed)
        training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)

    with pytest.raises(KeyboardInterrupt):
        run(capsys, tmp_path, "--save-seconds", "0", experiment=stopped)
    assert not (tmp_path / "result.json").exists()
    _, _, resumed = run(capsys, tmp_path)
    assert resumed | {"seconds": 0} == whole.result | {"seconds": 0}


def test_other_settings_are_refused_in_one_line(whole, capsys):
    message = refused(capsys, 1, whole.folder, "--learning-rate", "0.2", "--seed", "7")
    assert message.startswith(f"error: {whole.folder} holds a run with other settings")
    assert "seed 0 there, 7 here" in message
    assert "learning_rate 0.1 there, 0.2 here" in message
    assert "--workdir" in message


def test_where_things_lie_and_what_they_run_on_are_no_settings(tmp_path):
    config = Config(workdir=str(tmp_path), learning_rate=0.3)
    other = dataclasses.replace(config, workdir="c", data_dir="d", mesh="data=2", save_seconds=1.0)
    assert settings(config) == settings(other)
    assert settings(config) != settings(dataclasses.replace(config, lanes=2))


def test_a_missing_file_is_one_line_and_exit_code_1(tmp_path, capsys):
    options = ["--data-dir", str(tmp_path / "nothing")]
    assert str(tmp_path / "nothing") in refused(capsys, 1, tmp_path / "run", *options, experiment=needs_files)


def needs_files(config: Config) -> Outcome:
    """Asks for files that are not there."""
    data.mnist(config.data_dir)
    raise AssertionError("found them")


def test_a_folder_is_claimed_for_its_settings(tmp_path):
    config = {"seed": 0, "widths": (1, 2)}
    assert claim(tmp_path, config) is None
    assert claim(tmp_path, config) is None
    write_json(tmp_path / "result.json", {"loss": 1.0})
    assert claim(tmp_path, config) == {"loss": 1.0}
    with pytest.raises(FileExistsError, match=r"widths \[1, 2\] there, \[1, 3\] here"):
        claim(tmp_path, config | {"widths": (1, 3)})


def test_a_folder_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(folder) in refused(capsys, 1, folder)


def test_a_terminated_run_says_where_it_is_and_goes_on(tmp_path, capsys, whole):
    program = "from tests.experiments.test_harness import *; launch(terminated, Config)"
    command = [sys.executable, "-c", program, "--workdir", str(tmp_path / "run")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 143
    assert f"{tmp_path / 'run' / 'checkpoints'}: ended by SIGTERM at step 18, which is saved" in ended.stderr
    assert ended.stderr.count("ended by SIGTERM") == 1
    _, _, resumed = run(capsys, tmp_path / "run")
    assert resumed | {"seconds": 0} == whole.result | {"seconds": 0}


def terminated(config: Config) -> Outcome:
    """The experiment above, to which SIGTERM comes at step 17."""
    batches = tiny.Signalled("SIGTERM", 17, seed=config.seed)
    training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
    raise AssertionError("not ended")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mesh", "foo=8"], "mesh: axis 'foo' is none of slice, stage, data"),
        (["--mesh", "data"], "mesh: expected a string such as 'data=4,fsdp=8', found 'data'"),
        (["--mesh", "data=3"], "the sizes of 'data=3' (3) do not make up the number of devices, 8"),
        (["--mesh", "data=16"], "the sizes of 'data=16' (16) do not make up the number of devices, 8"),
        (["--batch-size", "12"], "train: 8 devices do not divide the 12 rows of batch/x (12,)"),
        (["--lanes", "3"], "lanes: expected a multiple of the 8 devices that share the batch, found 3"),
        (["--lanes", "16"], "train: 16 lanes do not divide the 8 rows of the batch"),
        (["--lanes", "4", "--mesh", "data=4,context=2"], "lanes: each is computed on one device"),
        (["--steps", "0"], "--steps: expected a whole number of at least 1, found 0"),
        (["--serve", "70000"], "--serve: expected a port from 0 to 65535"),
        (["--search"], "--search: of a pre-flight alone. Add --preflight"),
        (["--json", "--budget", "fits"], "--budget, --json: of a pre-flight alone. Add --preflight"),
        (["--price", "1.2"], "--price: of a pre-flight alone. Add --preflight"),
        (["--tokens", "1e9"], "--tokens: of a pre-flight alone. Add --preflight"),
        (["--epochs", "2"], "--epochs: of a pre-flight alone. Add --preflight"),
        (["--preflight", "cpu:8", "--epochs", "2", "--tokens", "9"], "--tokens and --epochs: expected at most one"),
        (["--preflight", "cpu:8", "--epochs", "nan"], "--epochs: expected a positive number, found nan"),
        (["--preflight", "cpu:8", "--tokens", "-1"], "--tokens: expected a positive number, found -1"),
        (["--preflight", "cpu:8", "--tokens", "9"], "preflight: found no tokens"),
        (["--preflight", "v9:2x2"], "topology: expected a name such as v5p:8x8x8"),
        (["--preflight", "cpu:8", "--budget", "much"], "Budget: expected 'fits'"),
        (["--preflight", "cpu:8", "--mesh", "data=3"], "mesh: the sizes of 'data=3'"),
        (["--preflight", "cpu:8", "--batch-size", "12"], "preflight: 8 devices do not divide the 12 rows"),
        (["--preflight", "cpu:8", "--lanes", "3"], "lanes: expected a multiple of the 8 devices"),
    ],
)
def test_what_was_typed_wrongly_is_one_line_and_exit_code_2_and_leaves_no_claim(tmp_path, capsys, options, message):
    assert message in refused(capsys, 2, tmp_path, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_that_does_not_divide_a_parameter_names_it(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        run(capsys, tmp_path, "--mesh", "data=4,tensor=2")  # one output unit, on two devices
    assert exit.value.code == 2
    heading, line = capsys.readouterr().err.splitlines()[:2]
    assert heading == "error: These parameters cannot be sharded by the rules:"
    assert line.startswith("  out/b (1,)")
    assert list(tmp_path.iterdir()) == []


def test_a_pre_flight_without_its_data_is_one_line(tmp_path, capsys):
    options = ["--preflight", "cpu:1", "--data-dir", str(tmp_path / "nothing")]
    assert str(tmp_path / "nothing") in refused(capsys, 1, tmp_path / "run", *options, experiment=needs_files)
    assert not (tmp_path / "run").exists()


def test_a_machine_with_too_few_devices_is_one_line(tmp_path, capsys):
    assert "cpu:16 needs 16 devices, this process has 8" in refused(capsys, 1, tmp_path, "--preflight", "cpu:16")


def test_processes_that_do_not_come_are_one_line(tmp_path, capsys, monkeypatch):
    def join():
        raise TimeoutError("rendezvous: waited 60 s, and of 2 processes [1] never called.")

    monkeypatch.setattr(harness, "initialize", join)
    assert "of 2 processes [1] never called" in refused(capsys, 1, tmp_path)


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path, capsys):
    def faulty(config):
        raise ValueError("a fault of the program")

    with pytest.raises(ValueError, match="a fault of the program"):
        run(capsys, tmp_path, experiment=faulty)
    assert list(tmp_path.iterdir()) == []  # nothing was begun: the folder is anybody's

    def late(config):
        def loss(params, batch, ctx):
            return LossOutput(jnn.losses.squared_error(batch["x"], batch["y"]))  # what jnn refuses is the program's own

        training.train(config, tiny.SPEC, loss, tiny.OPTIMIZER, Batches(tiny.arrays(), 8, seed=0), every=10)

    with pytest.raises(ValueError, match="squared_error"):
        run(capsys, tmp_path, experiment=late)


def test_steps_that_are_no_multiple_of_a_call_are_refused_before_anything_is_written(tmp_path, capsys):
    def called(config):
        batches = Batches(tiny.arrays(), 8, seed=0)
        training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10, steps_per_call=10)

    message = refused(capsys, 2, tmp_path, "--steps", "45", experiment=called)
    assert "train: --steps is a positive multiple of 10, found 45" in message
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_leaves_the_claim_of_another(tmp_path, capsys):
    claim(tmp_path, settings(Config(steps=10)))
    refused(capsys, 2, tmp_path, "--steps", "10", "--serve", "70000")
    assert (tmp_path / "config.json").exists()


def test_the_length_that_a_pre_flight_bills(tmp_path, monkeypatch):
    billed = []
    monkeypatch.setattr(flight, "main", lambda *args, steps, **wanted: billed.append(steps) or 0)
    tokens = {"x": np.zeros((30, 5), np.int32), "y": np.zeros((30, 5), np.int32)}
    batches = Batches(tokens, 8, seed=0)  # 40 tokens a step, 4 steps an epoch
    for option in ({}, {"tokens": 100.0}, {"epochs": 2.5}):
        config = Config(workdir=str(tmp_path), preflight="cpu:8", **option)
        with pytest.raises(SystemExit) as exit:
            training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
        assert exit.value.code == 0
    assert billed == [40, 2.5, 10.0]


def test_epochs_of_a_stream_are_refused(tmp_path, capsys):
    def streamed(config):
        windows = Windows(np.arange(99), 4, 8, seed=0)
        training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, windows, every=10)

    message = refused(capsys, 2, tmp_path, "--preflight", "cpu:8", "--epochs", "2", experiment=streamed)
    assert "--epochs: Windows is a stream that has none. Give --steps or --tokens." in message


@pytest.mark.parametrize(("variable", "value"), [("XLA_FLAGS", ""), ("JAX_NUM_CPU_DEVICES", "2")])
def test_a_pre_flight_has_the_cpus_that_it_asks_for(tmp_path, variable, value):
    """In a process of its own, whose JAX has one device, or two, unless it is told otherwise before it looks."""
    program = "from tests.experiments.test_harness import *; launch(experiment, Config)"
    command = [sys.executable, "-c", program, "--workdir", str(tmp_path / "run"), "--preflight", "cpu:4"]
    environ = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"} | {variable: value}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cpu:4: 4 chips, 4 devices, 1 host; data=4\n")


def test_tensorboard_and_a_page_are_options(tmp_path, capsys, whole):
    pytest.importorskip("tensorboardX")
    _, err, result = run(capsys, tmp_path / "run", "--tensorboard", "--serve", "0")
    assert "follow the run at http://127.0.0.1:" in err
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert result["params_digest"] == whole.result["params_digest"]


# ---- the end of a run: the result first, and nothing that shows it may lose it


def of(folder):
    """The result on the disk."""
    return json.loads((folder / "result.json").read_text())


def quick(metrics=None, history=(), figures=None, before=lambda: None):
    """An experiment that trains nothing."""

    def experiment(config):
        before()
        return Outcome({"w": np.ones(2)}, metrics or {"loss": 0.5}, list(history), figures or {})

    return experiment


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
        _, _, first = run(capsys, tmp_path, experiment=quick({"loss": 0.5}))
    _, err, again = run(capsys, tmp_path, experiment=quick({"loss": 0.75}))
    assert again == first == of(tmp_path)
    assert "This run is finished" not in err
    assert "0.5" in (tmp_path / "report.html").read_text()
    _, err, _ = run(capsys, tmp_path, experiment=quick(before=lambda: 1 / 0))
    assert "This run is finished" in err


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
from tests.experiments.test_harness import *
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


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"", "config.json is not the settings of a run"),
        ("config.json", b"{", "config.json is not the settings of a run"),
        ("config.json", b"[1]", "config.json is not the settings of a run: no JSON object"),
        ("config.json", b"null", "config.json is not the settings of a run: no JSON object"),
        ("config.json", b"\xff\xfe", "config.json is not the settings of a run"),
        ("config.json", b"[" * 100_000, "config.json is not the settings of a run: it is nested too deeply"),
        ("config.json", b"{}", "holds a run with other settings"),
        ("config.json", None, "Is a directory"),
        ("result.json", b"", "result.json is not the result of a run"),
        ("result.json", b"3", "result.json is not the result of a run: no JSON object"),
        ("result.json", None, "Is a directory"),
    ],
)
def test_an_odd_file_in_the_folder_is_one_line(tmp_path, capsys, name, content, message):
    if name == "result.json":
        claim(tmp_path, settings(Config()))
    (tmp_path / name).mkdir() if content is None else (tmp_path / name).write_bytes(content)
    assert message in refused(capsys, 1, tmp_path, experiment=quick(before=lambda: 1 / 0))


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    for folder in ("/proc/nothing", "/sys/nothing", str(tmp_path / ("x" * 300)), "/dev/null/run"):
        refused(capsys, 1, folder, experiment=quick(before=lambda: 1 / 0))


def test_rows_are_of_whole_calls_whatever_the_steps(tmp_path, capsys):
    def called(config):
        batches = Batches(tiny.arrays(), 8, seed=0)
        wanted = {"every": 25, "steps_per_call": 10}
        state, history = training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, **wanted)
        return Outcome(state.params, {"steps": [row["step"] for row in history]})

    assert run(capsys, tmp_path, "--steps", "50", experiment=called)[2]["steps"] == [20, 40, 50]


FULL = """
import resource, signal
from tests.experiments.test_harness import *
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
