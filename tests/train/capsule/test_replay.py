"""A run that fails writes a capsule; its step, built again, names the line that was wrong."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.train import LossOutput, create_state, make_step, read_capsule, replay
from jnn.train.capsule import write_capsule

ROOT = Path(__file__).parents[3]

# plays the part of a training loop: a learning rate of its arguments, a capsule in its folder when the loss is bad
PROGRAM = """
import sys
import jax, jax.numpy as jnp, numpy as np, optax
from jnn.train import LossOutput, create_state, make_step, replay
from jnn.train.capsule import write_capsule

def loss(params, batch, ctx):
    noise = 0 * jax.random.normal(ctx.key, ())
    margin = jnp.log(1 - params["w"] * batch["x"] + noise)
    return LossOutput(margin ** 2)

def batch_of(i):
    return {"x": np.full(4, i, np.float32)}

optimizer = optax.sgd(float(sys.argv[1]))
state = create_state({"w": jnp.full((), 0.25)}, optimizer)
step = make_step(loss, optimizer, jax.random.key(0))
for path in sys.argv[2:]:
    found = replay(path, step, state)
    print(found)
    sys.exit(found.exit_code)
for i in range(10):
    before = jax.tree.map(np.asarray, state)
    state, metrics = step(state, batch_of(i))
    if not np.isfinite(metrics["loss"].total):
        message = f"the loss is {metrics['loss'].total}"
        print(write_capsule("capsules", step=i, batch=batch_of(i), state=before, message=message))
        sys.exit(3)
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The folder of a run that failed, with its program in it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "program.py").write_text(PROGRAM)
    done = python(folder, "program.py", "0.0")
    assert done.returncode == 3, done.stderr
    assert done.stdout.strip() == str(folder / "capsules" / "step-4")
    return folder


def python(folder, *args):
    env = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": ""}
    return subprocess.run([sys.executable, *args], check=False, cwd=folder, env=env, capture_output=True, text=True)


def test_the_report_names_the_line(failed):
    program, capsule = str(failed / "program.py"), str(failed / "capsules" / "step-4")
    done = python(failed.parent, program, "0.0", capsule)
    assert done.returncode == 0, done.stderr
    report = done.stdout
    assert report.startswith(
        "Step 4\nthe loss is inf\n\nMetrics\nloss  inf\n\nCulprit\nlog made 4 of 4 numbers bad: its inputs"
    )
    assert f"in {failed}/program.py:9 (loss)\n" in report
    assert 'margin = jnp.log(1 - params["w"] * batch["x"] + noise)' in report
    assert "Batch\nEvery number is finite." in report
    assert "Parameters before the step\nw  float32[]  min 0.25  max 0.25  norm 0.25" in report


def test_a_finite_step(failed):
    other = {"x": np.full(4, 2.0, np.float32)}
    state = read_capsule(failed / "capsules" / "step-4").state
    path = write_capsule(failed / "other", step=4, batch=other, state=state, message="a spike")
    done = python(failed, "program.py", "0.1", str(path))
    assert done.returncode == 1, done.stderr
    assert "The step replays finite" in done.stdout


@pytest.mark.parametrize("of", [str, Path, read_capsule])
def test_a_folder_or_what_is_in_it(failed, of):
    found = replay(of(failed / "capsules" / "step-4"), *MARGIN)
    assert (found.finding.primitive, found.capsule.step) == ("log", 4)


def test_what_cannot_be_made_again_is_refused(failed, tmp_path):
    step, state = MARGIN
    with pytest.raises(ValueError, match=r"must be a folder of capsule.json and arrays.npz"):
        replay(tmp_path, step, state)
    with pytest.raises(
        ValueError, match=r"Build the step and the state of the one that wrote it:\n  misshapen: params/w is"
    ):
        replay(failed / "capsules" / "step-4", step, create_state({"w": jnp.ones(2)}, optax.sgd(0.1)))


def step_of(f, **settings):
    loss = lambda params, batch, ctx: LossOutput(f(params["w"], batch["x"], ctx.key))
    return make_step(loss, optax.sgd(0.1), jax.random.key(2), **settings)


MARGIN = (
    step_of(lambda w, x, key: jnp.log(1 - w * x)),
    jax.eval_shape(lambda: create_state({"w": jnp.ones(())}, optax.sgd(0.1))),
)


def capsule_of(folder, batch, w=1.0):
    state = create_state({"w": jnp.asarray(w, jnp.float32)}, optax.sgd(0.1))
    path = write_capsule(folder, step=0, batch=batch, state=state, message="bad")
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
    path = write_capsule(tmp_path, step=0, batch=batch, state=state, message="spike")
    loss = lambda params, batch, ctx: LossOutput(params["w"] * batch["x"])
    found = replay(read_capsule(path), make_step(loss, optimizer, jax.random.key(0)), state)
    assert found.exit_code == 1
