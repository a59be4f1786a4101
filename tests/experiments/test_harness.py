"""What every experiment shares: its folder, its options, its last line; and that a stopped run goes on."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from jax.sharding import SingleDeviceSharding
from matplotlib.figure import Figure

from experiments import training
from experiments.harness import Outcome, claim, launch, write_json
from experiments.training import Common
from jnn import data
from jnn.data import Batches
from jnn.train import digest
from tests.train import tiny

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Options of the experiment below."""

    steps: int = 40
    workdir: str = "runs/tiny"
    rate: float = 0.1


def experiment(config: Config) -> Outcome:
    """Trains the tiny model."""
    batches = Batches(tiny.arrays(), 8, seed=config.seed)
    state, history = training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
    metrics = {"loss": history[-1]["train/loss"], "tiny": 1.23456789e-9, "rate": config.rate}
    return Outcome(state.params, metrics, history, {"Nothing.": Figure()})


def run(capsys, folder, *options, experiment=experiment):
    """Standard output, standard error, and the last line as JSON."""
    launch(experiment, Config, ["--workdir", str(folder), *options])
    out, err = capsys.readouterr()
    return out, err, json.loads(out.splitlines()[-1])


def test_the_last_line_is_the_result(tmp_path, capsys):
    kept = []

    def watched(config):
        kept.append(experiment(config))
        return kept[0]

    out, err, result = run(capsys, tmp_path / "run", experiment=watched)
    assert result["params_digest"] == digest(kept[0].params)
    assert {x.sharding for x in jax.tree.leaves(kept[0].params)} == {SingleDeviceSharding(jax.devices()[0])}
    assert result["seconds"] > 0
    assert result["rate"] == 0.1
    assert result["tiny"] == pytest.approx(1.23456789e-9, rel=1e-5)  # rounded to digits, not to zero
    assert result["params_digest"] in "".join(out.split("│"))  # in the table too, whole
    assert "40/40" in err
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json",
        "checkpoints",
        "hooks.jsonl",
        "metrics.jsonl",
        "report.html",
        "result.json",
        "status.json",
    }


def test_a_finished_run_says_so_and_prints_the_same(tmp_path, capsys):
    first, _, _ = run(capsys, tmp_path)

    def never(config):
        raise AssertionError("ran again")

    again, err, _ = run(capsys, tmp_path, experiment=never)
    assert again.splitlines() == [first.splitlines()[-1]]
    assert f"This run is finished; its report is {tmp_path / 'report.html'}." in err


def test_a_stopped_run_goes_on(tmp_path, capsys):
    _, _, whole = run(capsys, tmp_path / "whole")

    class Stopped(Batches):
        def stack(self, step, k):
            if step == 25:
                raise KeyboardInterrupt
            return super().stack(step, k)

    def stopped(config):
        batches = Stopped(tiny.arrays(), 8, seed=config.seed)
        training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)

    with pytest.raises(KeyboardInterrupt):
        run(capsys, tmp_path / "run", "--save-seconds", "0", experiment=stopped)
    assert not (tmp_path / "run" / "result.json").exists()
    _, _, resumed = run(capsys, tmp_path / "run")
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}


def test_other_settings_are_refused_in_one_line(tmp_path, capsys):
    run(capsys, tmp_path)
    with pytest.raises(SystemExit) as exit:
        run(capsys, tmp_path, "--rate", "0.2", "--seed", "7")
    message = str(exit.value.code)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"error: {tmp_path} holds a run with other settings")
    assert "seed 0 there, 7 here" in message
    assert "rate 0.1 there, 0.2 here" in message
    assert "--workdir" in message


def test_where_things_lie_and_what_they_run_on_are_no_settings(tmp_path):
    config = Config(workdir=str(tmp_path), rate=0.3)
    other = dataclasses.replace(config, workdir="c", data_dir="d", mesh="data=2", save_seconds=1.0)
    assert training.settings(config) == training.settings(other)
    assert training.settings(config) != training.settings(dataclasses.replace(config, lanes=2))


def test_a_missing_file_is_one_line_and_exit_code_1(tmp_path):
    program = "from tests.experiments.test_harness import *; launch(needs_files, Config)"
    options = ["--workdir", str(tmp_path / "run"), "--data-dir", str(tmp_path / "nothing")]
    done = subprocess.run(
        [sys.executable, "-c", program, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert str(tmp_path / "nothing") in done.stderr


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
    with pytest.raises(SystemExit) as exit:
        run(capsys, tmp_path / "file")
    assert str(exit.value.code).startswith("error: ")
    assert str(tmp_path / "file") in str(exit.value.code)


def test_a_terminated_run_says_where_it_is_and_goes_on(tmp_path, capsys):
    _, _, whole = run(capsys, tmp_path / "whole")
    program = "from tests.experiments.test_harness import *; launch(terminated, Config)"
    command = [sys.executable, "-c", program, "--workdir", str(tmp_path / "run")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 143
    assert f"{tmp_path / 'run'}: ended by SIGTERM at step 18, which is saved" in ended.stderr
    _, _, resumed = run(capsys, tmp_path / "run")
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}


def terminated(config: Config) -> Outcome:
    """The experiment above, to which SIGTERM comes at step 17."""
    batches = tiny.Signalled("SIGTERM", 17, seed=config.seed)
    training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10)
    raise AssertionError("not ended")


def test_tensorboard_and_a_page_are_options(tmp_path, capsys):
    pytest.importorskip("tensorboardX")
    _, _, plain = run(capsys, tmp_path / "plain")
    _, err, result = run(capsys, tmp_path / "run", "--tensorboard", "--serve", "0")
    assert "follow the run at http://127.0.0.1:" in err
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert result["params_digest"] == plain["params_digest"]
