"""A run that fails writes a capsule; its program, started again, names the line that was wrong."""

import contextlib
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.replay import finish, main, parse_entry, read_capsule, replay, replaying
from jnn.train import LossOutput, create_state, make_step, write_capsule
from jnn.train.capsule._capsule import Entry

ROOT = Path(__file__).parents[1]

# plays the part of a training loop: a learning rate of its arguments, a capsule in its folder when the loss is bad
PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np, optax
from helper import ROWS
from jnn.train.capsule._capsule import how_started, write_capsule
from jnn.train.capsule._rerun import finish, replaying
from jnn.train._state import create_state
from jnn.train import LossOutput, make_step

def loss(params, batch, ctx):
    noise = 0 * jax.random.normal(ctx.key, ())
    margin = jnp.log(1 - params["w"] * batch["x"] + noise)
    return LossOutput(margin ** 2)

def batch_of(i):
    return {"x": np.full(ROWS, i, np.float32)}

optimizer = optax.sgd(float(sys.argv[1]))
state = create_state({"w": jnp.full((), 0.25)}, optimizer)
step = make_step(loss, optimizer, jax.random.key(0))
if replaying() is not None:
    finish(step, state)
for i in range(10):
    before = jax.tree.map(np.asarray, state)
    state, metrics = step(state, batch_of(i))
    if not np.isfinite(metrics["loss"].total):
        message = f"the loss is {metrics['loss'].total}"
        path = write_capsule("capsules", step=i, key=None, batch=batch_of(i), state=before, message=message,
                             entry=how_started())
        print(path)
        sys.exit(3)
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The folder of a run that failed, with its program in it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "helper.py").write_text("ROWS = 4\n")
    done = python(folder, "program.py", "0.0")
    assert done.returncode == 3, done.stderr
    assert done.stdout.strip() == str(folder / "capsules" / "step-4")
    return folder


def python(folder, *args):
    env = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": ""}
    return subprocess.run([sys.executable, *args], check=False, cwd=folder, env=env, capture_output=True, text=True)


def test_the_command_names_the_line(failed):
    done = python(failed.parent, "-m", "jnn.replay", str(failed / "capsules" / "step-4"))
    assert done.returncode == 0, done.stderr
    assert f"replaying {failed}/capsules/step-4: python {failed}/program.py 0.0" in done.stderr
    report = done.stdout
    assert report.startswith(
        "Step 4\nthe loss is inf\n\nMetrics\nloss  inf\n\nCulprit\nlog made 4 of 4 numbers bad: its inputs"
    )
    assert f"in {failed}/program.py:12 (loss)\n" in report
    assert 'margin = jnp.log(1 - params["w"] * batch["x"] + noise)' in report
    assert "Batch\nEvery number is finite." in report
    assert "Parameters before the step\nw  float32[]  min 0.25  max 0.25  norm 0.25" in report


@pytest.mark.parametrize("entry", [["program.py", "0.1"], ["-m", "program", "0.1"]], ids=["script", "module"])
def test_another_entry_and_a_finite_step(failed, entry, capsys, monkeypatch):
    capsule = read_capsule(failed / "capsules" / "step-4")
    other = {"x": np.full(4, 2.0, np.float32)}
    state = {"step": np.int32(4), "params": {"w": np.float32(0.25)}, "loss_scale": np.float32(2.0**15)}
    path = write_capsule(failed / "other", step=4, key=None, batch=other, state=state, message="a spike", entry=None)
    before = [*sys.argv], [*sys.path]
    monkeypatch.chdir(failed)
    assert main([str(path), "--entry", *entry]) == 1
    assert "The step replays finite" in capsys.readouterr().out
    assert replaying() is None
    assert ([*sys.argv], [*sys.path]) == before
    assert capsule.step == 4


TWICE = """
import tempfile
import jax, jax.numpy as jnp, numpy as np, optax
from jnn.train import Checkpoints, LossOutput, Recovery, create_state, fit, make_step

class Ones:
    def __getitem__(self, step):
        return {"x": np.ones(4, np.float32)}

def good(params, batch, ctx):
    return LossOutput((params["w"] - batch["x"]) ** 2)

def bad(params, batch, ctx):
    return LossOutput(jnp.log(params["w"] - batch["x"]))

EXPERIMENT
for loss in (good, bad):
    step = make_step(loss, optax.sgd(0.1), jax.random.key(0))
    state = create_state({"w": jnp.zeros(())}, optax.sgd(0.1))
    with Checkpoints(tempfile.mkdtemp()) as checkpoints:
        fit(step, state, Ones(), steps=4, every=2, checkpoints=checkpoints, recovery=Recovery(capsules="capsules"))
"""


EXPERIMENT = """
import jnn
from experiments.training import Common, train
from jnn.data import Batches
spec, rows = {"w": jnn.Param((), jnn.initializers.zeros, ())}, Batches({"x": np.ones((4,), np.float32)}, 4, seed=0)
for loss in (good, bad):
    train(Common(steps=4, workdir="."), spec, loss, optax.sgd(0.1), rows, every=2, name=loss.__name__)
"""


@pytest.mark.parametrize(("experiment", "folder"), [("", "."), (EXPERIMENT, "bad")], ids=["fit", "experiment"])
def test_of_two_runs_in_a_program_that_one_is_replayed_which_wrote_the_capsule(tmp_path, experiment, folder):
    """Their states are alike, so that nothing else would tell them apart."""
    (tmp_path / "twice.py").write_text(TWICE.replace("EXPERIMENT", experiment))
    assert "the loss of step 0 is nan" in python(tmp_path, "twice.py").stderr
    done = python(tmp_path, "-m", "jnn.replay", f"{folder}/capsules/step-0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Culprit\nlog made" in done.stdout


def test_what_goes_wrong_is_told_with_code_2(failed, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(failed)
    capsule = str(failed / "capsules" / "step-4")
    silent = tmp_path / "silent.py"
    silent.write_text("print('trains')")
    broken = tmp_path / "broken.py"
    broken.write_text("raise KeyError('mine')")
    for args, message in [
        ([str(tmp_path)], "must be a folder of capsule.json and arrays.npz"),
        ([capsule, "--entry", str(silent)], "silent.py ended and never replayed"),
        ([capsule, "--entry", str(broken)], "KeyError: 'mine'"),
        ([capsule, "--entry"], "expected script.py ... or -m module ..., found nothing"),
        ([capsule, "--entry", "--steps", "3"], "found --steps 3"),
    ]:
        assert main(args) == 2
        assert message in capsys.readouterr().err
    state = create_state({"w": jnp.ones(())}, optax.sgd(0.1))
    unknown = write_capsule(tmp_path, step=1, key=None, batch={}, state=state, message="", entry=None)
    assert main([str(unknown)]) == 2
    assert "does not say how its run was started" in capsys.readouterr().err


def step_of(f, **settings):
    loss = lambda params, batch, ctx: LossOutput(f(params["w"], batch["x"], ctx.key))
    return make_step(loss, optax.sgd(0.1), jax.random.key(2), **settings)


def capsule_of(folder, batch, w=1.0):
    state = create_state({"w": jnp.asarray(w, jnp.float32)}, optax.sgd(0.1))
    path = write_capsule(folder, step=0, key=None, batch=batch, state=state, message="bad", entry=None)
    return read_capsule(path), state


def test_replay_without_a_program(tmp_path):
    capsule, state = capsule_of(tmp_path, {"x": np.float32([1, np.nan])})
    found = replay(capsule, step_of(lambda w, x, key: w * x), jax.eval_shape(lambda: state))
    assert found.exit_code == 0
    assert found.finding.given == ("batch/x",)
    assert "Batch\nbatch/x  float32[2]  min 1  max 1  norm 1  bad 1 of 2, first at [1]" in str(found)


def test_a_bad_gradient_of_a_finite_loss_is_found(tmp_path):
    capsule, state = capsule_of(tmp_path, {"x": np.zeros(2, np.float32)})
    found = replay(capsule, step_of(lambda w, x, key: jnp.sqrt(w * x)), state)
    assert np.isfinite(found.metrics["loss"])
    assert found.finding.primitive == "div"


def test_the_noise_is_that_of_the_step(tmp_path):
    f = lambda w, x, key: w * x + jax.random.normal(key, x.shape)
    capsule, state = capsule_of(tmp_path, {"x": np.ones(3, np.float32)})
    _, metrics = step_of(f)(jax.tree.map(jnp.copy, state), capsule.batch)
    np.testing.assert_allclose(replay(capsule, step_of(f), state).metrics["loss"], metrics["loss"].value(), rtol=1e-6)


def test_several_steps_of_one_call(tmp_path):
    capsule, state = capsule_of(tmp_path, {"x": np.float32([[1, 1], [2, 0], [3, 3]])})
    found = replay(capsule, step_of(lambda w, x, key: jnp.log(w * 0 + x), steps_per_call=3), state)
    assert found.finding.loops == ("scan iteration 1 of 3",)
    assert found.metrics["loss"].shape == (3,)


def test_an_infinity_in_the_optimizers_state_is_no_culprit(tmp_path):
    optimizer = optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau())
    state = create_state({"w": jnp.ones(())}, optimizer)
    assert any(np.isinf(leaf).any() for leaf in jax.tree.leaves(state))
    batch = {"x": np.ones(2, np.float32)}
    path = write_capsule(tmp_path, step=0, key=None, batch=batch, state=state, message="spike", entry=None)
    loss = lambda params, batch, ctx: LossOutput(params["w"] * batch["x"])
    found = replay(read_capsule(path), make_step(loss, optimizer, jax.random.key(0)), state)
    assert found.exit_code == 1


def test_finish_without_a_capsule():
    with pytest.raises(RuntimeError, match=r"finish: there is no capsule to replay. Start .* python -m jnn.replay"):
        finish(lambda state, batch: (state, {}), {})


def test_entries():
    assert parse_entry(["-m", "a.b", "--x"]) == Entry(("--x",), module="a.b")
    assert parse_entry(["a.py", "-m", "1"]).argv == ("-m", "1")
    with contextlib.chdir("/"):
        assert parse_entry(["a.py"]).script == "/a.py"
