"""An experiment that goes wrong tells the command that makes its bad step again, and this names the line."""

import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import harness, training
from experiments.harness import Outcome, launch
from experiments.options import Common, settings
from jnn import data
from jnn.data import Batches
from jnn.train import LossOutput, read_capsule
from jnn.train.capsule import write_capsule
from tests.programs import ALONE
from tests.train import tiny

ROOT = Path(__file__).parents[2]
BAD = 12  # the step whose x has a NaN


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """Options of the experiments below."""

    steps: int = 20
    workdir: str = "runs/tiny"
    steps_per_call: int = 1


class Poisoned(Batches):
    """Batches; that of step `BAD` has a NaN."""

    def stack(self, step, k):
        batch = super().stack(step, k)
        if step <= BAD < step + k:
            batch["x"][BAD - step, 5, 2] = np.nan
        return batch


def train(config, *, batches=Poisoned, loss=tiny.loss, **options):
    rows, calls = batches(tiny.arrays(), 8, seed=config.seed), config.steps_per_call
    return training.train(config, tiny.SPEC, loss, tiny.OPTIMIZER, rows, every=10, steps_per_call=calls, **options)


def poisoned(config):
    """Goes wrong at step `BAD`."""
    return Outcome(train(config)[0].params, {})


def logarithm(params, batch, ctx):
    return LossOutput(jnp.log(tiny.loss(params, batch, ctx).values * 0), batch["weight"])


def several(config):
    """Two runs whose states are alike, so that nothing but their names tells them apart; the second goes wrong."""
    params = {}
    for name, loss in (("good", tiny.loss), ("bad", logarithm)):
        params[name] = train(config, batches=Batches, loss=loss, name=name)[0].params
    return Outcome(params, {})


def fail(folder, *options, experiment=poisoned):
    """The capsule of a run that fails, and what it says."""
    with pytest.raises(FloatingPointError) as error:
        launch(experiment, Config, ["--workdir", str(folder), *options])
    (path,) = folder.rglob("step-*")
    return path, str(error.value)


def replayed(capsys, path, *options, experiment=poisoned):
    """The exit code of a replay, and both its streams."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        launch(experiment, Config, ["--replay", str(path), *options])
    return end.value.code, *capsys.readouterr()


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The capsule of a run."""
    return fail(tmp_path_factory.mktemp("failed"))[0]


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_run_tells_the_command_that_names_the_line(tmp_path):
    """Of one device, in processes of their own."""
    environ = ALONE | {"PYTHONPATH": str(ROOT)}
    shell = lambda command: subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    # an update of 1e30, after which the second layer is infinite less infinite
    run = shell([sys.executable, "-m", "experiments.binary", "--steps", "20", "--learning-rate", "1e30"])
    assert run.returncode == 1
    (command,) = re.findall("Make the step again: (.*)", run.stderr)
    capsule = tmp_path / "runs" / "binary" / "capsules" / "step-1"
    options = f"-m experiments.binary --steps 20 --learning-rate 1e30 --replay {capsule}"
    assert command == f"{sys.executable} {options}"
    before = everything(tmp_path)
    done = shell(shlex.split(command))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Step 1\nfit: the loss of step 1 is nan; its batch and the parameters before it are ")
    assert "\n\nCulprit\ndot_general made " in done.stdout
    assert "models/_mlp.py" in done.stdout or "layers/_linear.py" in done.stdout
    assert everything(tmp_path) == before


FSDP, LANES = ["--mesh", "data=2,fsdp=4"], ["--lanes", "8"]
slowly = lambda *values, id: pytest.param(*values, id=id, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("mesh", "calls"),
    [
        slowly([], 1, id="data-1"),
        pytest.param([], 5, id="data-5"),
        pytest.param(FSDP, 1, id="fsdp-1"),
        slowly(FSDP, 5, id="fsdp-5"),
        slowly(LANES, 1, id="lanes-1"),
        pytest.param(LANES, 5, id="lanes-5"),
    ],
)
def test_a_step_is_made_again_on_a_mesh_and_in_calls_of_several(tmp_path, capsys, calls, mesh):
    options = ["--steps-per-call", str(calls), *mesh]
    path, message = fail(tmp_path / "run", *options)
    assert message.endswith(shlex.join([*sys.orig_argv, "--replay", str(path)]))
    assert path.name == f"step-{BAD // calls * calls}"
    before = everything(tmp_path)
    code, out, _ = replayed(capsys, path, *options, "--workdir", str(tmp_path / "other"))
    assert code == 0
    assert "batch/x" in out
    assert f"bad 1 of {32 * calls}, first at [" in out
    assert everything(tmp_path) == before


def test_of_several_runs_that_one_is_replayed_which_wrote_the_capsule(tmp_path, capsys):
    path, message = fail(tmp_path / "run", experiment=several)
    assert "the loss of step 0 is -inf" in message
    assert (path.parent, read_capsule(path).run) == (tmp_path / "run" / "bad" / "capsules", "bad")
    code, out, _ = replayed(capsys, path, "--workdir", str(tmp_path / "other"), experiment=several)
    assert code == 0
    assert "Culprit\nlog made" in out
    assert not (tmp_path / "other").exists()  # and the run before it trained nothing


def test_a_finite_step_is_exit_code_1(tmp_path, failed, capsys):
    capsule = read_capsule(failed)
    whole = Batches(tiny.arrays(), 8, seed=0)[BAD]
    path = write_capsule(tmp_path, step=BAD, batch=whole, state=capsule.state, message="a spike")
    code, out, _ = replayed(capsys, path)
    assert code == 1
    assert "The step replays finite" in out


def needs_files(config):
    return data.mnist(config.data_dir)


def faulty(config):
    raise KeyError("mine")


def other_loss(config):
    """Asks the batch for what it lacks."""
    train(config, loss=lambda params, batch, ctx: LossOutput(batch["z"]))


def other_state(config):
    """A run whose parameters are others."""
    rows = Batches(tiny.arrays(), 8, seed=0)
    training.train(config, {"in": tiny.SPEC["in"]}, tiny.loss, tiny.OPTIMIZER, rows, every=10)


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (other_state, "Build the step and the state of the one that wrote it:"),
        (needs_files, "/nothing"),
        (several, "is of a run without a name, and this experiment trains none such."),
        (lambda config: Outcome({}, {}), "is of a run without a name, and this experiment trains none such."),
    ],
)
def test_what_keeps_a_step_from_being_made_is_exit_code_2(failed, capsys, experiment, message):
    code, out, err = replayed(capsys, failed, "--data-dir", "/nothing", experiment=experiment)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("experiment", "message"), [(faulty, "KeyError: 'mine'"), (other_loss, "KeyError: 'z'")])
def test_a_fault_of_the_program_keeps_its_traceback_and_is_exit_code_2(failed, capsys, experiment, message):
    code, out, err = replayed(capsys, failed, experiment=experiment)
    assert (code, out) == (2, "")
    assert err.startswith("Traceback")
    assert message in err


def test_what_is_no_capsule_is_one_line_before_anything_is_read(tmp_path, capsys):
    for path in (tmp_path, tmp_path / "nothing"):
        code, _, err = replayed(capsys, path, experiment=faulty)
        assert code == 2
        assert err.startswith(f"error: read_capsule: {path} must be a folder of capsule.json and arrays.npz")
        assert len(err.splitlines()) == 1


def test_several_processes_or_a_pre_flight_are_refused(failed, capsys, monkeypatch):
    code, _, err = replayed(capsys, failed, "--preflight", "cpu:8", experiment=faulty)
    assert (code, err) == (2, "error: --replay and --preflight: expected at most one of them, found both.\n")
    monkeypatch.setattr(harness, "initialize", lambda: True)
    code, _, err = replayed(capsys, failed, experiment=faulty)
    assert (code, err) == (2, "error: --replay: of one process alone. Start the experiment without a launcher.\n")


def test_what_is_replayed_is_no_setting(tmp_path):
    config = Config(workdir=str(tmp_path))
    assert settings(config) == settings(dataclasses.replace(config, replay="step-1"))
