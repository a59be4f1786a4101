"""A launched run from beginning to end: its folder and last line; finished, stopped or terminated, it goes on."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import pytest
from jax.sharding import SingleDeviceSharding

from experiments import training
from experiments.harness import Outcome, launch
from jnn.data import Batches
from jnn.train import digest
from tests.experiments.launches import ROOT, Config, experiment, refused, run
from tests.train import tiny


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
    assert "preflight" not in (folder / "report.html").read_text()  # a training has none
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


def test_a_terminated_run_says_where_it_is_and_goes_on(tmp_path, capsys, whole):
    program = "from tests.experiments.launches import *; launch(terminated, Config)"
    command = [sys.executable, "-c", program, "--workdir", str(tmp_path / "run")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 143
    assert f"{tmp_path / 'run' / 'checkpoints'}: ended by SIGTERM at step 18, which is saved" in ended.stderr
    assert ended.stderr.count("ended by SIGTERM") == 1
    _, _, resumed = run(capsys, tmp_path / "run")
    assert resumed | {"seconds": 0} == whole.result | {"seconds": 0}


def test_tensorboard_and_a_page_are_options(tmp_path, capsys, whole):
    pytest.importorskip("tensorboardX")
    _, err, result = run(capsys, tmp_path / "run", "--tensorboard", "--serve", "0")
    assert "follow the run at http://127.0.0.1:" in err
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert result["params_digest"] == whole.result["params_digest"]


@pytest.mark.parametrize(
    ("steps", "every", "calls", "expected"),
    [
        (50, 25, 10, [20, 40, 50]),  # rows are of whole calls, whatever the steps
        (20, 100, 1, [10, 20]),  # a shortened run shows that it learns
        (20, 20, 1, [20]),
    ],
)
def test_rows_of_the_history(tmp_path, capsys, steps, every, calls, expected):
    def called(config):
        batches = Batches(tiny.arrays(), 8, seed=0)
        wanted = {"every": every, "steps_per_call": calls}
        state, history = training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, **wanted)
        return Outcome(state.params, {"steps": [row["step"] for row in history]})

    assert run(capsys, tmp_path, "--steps", str(steps), experiment=called)[2]["steps"] == expected
