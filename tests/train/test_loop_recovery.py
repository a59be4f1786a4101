"""fit and what is not finite: named, left out, rolled back, written down in a capsule."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.data import Batches
from jnn.train import Checkpoints, LossOutput, Recovery, create_state, digest, fit, make_step, read_capsule, replay
from tests.train import tiny
from tests.train.runs import Poisoned


@pytest.mark.parametrize("steps_per_call", [1, 5])
def test_nan_in_the_batch_names_step_array_and_row(steps_per_call):
    poisoned = Poisoned(tiny.arrays(), 8, seed=3)
    message = r"the loss of step 12 is nan; batch\['x'\] is not finite in 1 of 32 values, first in row 5"
    with pytest.raises(FloatingPointError, match=message):
        tiny.train(batches=poisoned, steps_per_call=steps_per_call)


def test_nan_in_the_gradient_of_the_last_step_alone_is_found():
    """The loss is finite, and no step follows whose loss would show it."""

    def loss(params, batch, ctx):
        return LossOutput(jnp.sqrt(jnp.abs(batch["x"][:, 0] * params["w"])))  # infinite slope at 0

    step = make_step(loss, optax.sgd(0.1), jax.random.key(0))
    state = create_state({"w": jnp.zeros(())}, optax.sgd(0.1))
    message = "an update up to that of step 0 made parameters that are not finite; its batch is finite.*set clip_norm"
    with pytest.raises(FloatingPointError, match=message):
        fit(step, state, Batches(tiny.arrays(), 8, seed=3), steps=1, every=1)


def without(*left_out, steps=tiny.STEPS):
    """The run in which some updates never happened, by hand."""
    state, step, batches = tiny.state(), tiny.step(), Batches(tiny.arrays(), 8, seed=3)
    for i in range(steps):
        state = dataclasses.replace(state, step=state.step + 1) if i in left_out else step(state, batches[i])[0]
    return digest(state)


@pytest.mark.parametrize(("policy", "left_out"), [("skip", [12]), ("rollback", [10, 11, 12])])
def test_a_bad_step_is_left_out(tmp_path, policy, left_out):
    poisoned = Poisoned(tiny.arrays(), 8, seed=3)
    with Checkpoints(tmp_path) as checkpoints:
        state, history = tiny.train(batches=poisoned, checkpoints=checkpoints, recovery=Recovery(on=policy))
    assert digest(state) == without(*left_out)
    assert [row["step"] for row in history] == [10, 20, 30, 40, 50, 60]
    assert all(np.isfinite(row["train/loss"]) for row in history)


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_a_bad_step_is_left_out_of_a_resumed_run_too(tmp_path, policy):
    runs = []
    for folder, stops in (("whole", [tiny.STEPS]), ("resumed", [20, 40, tiny.STEPS])):
        for steps in stops:
            with Checkpoints(tmp_path / folder) as checkpoints:
                poisoned = Poisoned(tiny.arrays(), 8, seed=3)
                state, history = tiny.train(
                    steps=steps, batches=poisoned, checkpoints=checkpoints, recovery=Recovery(on=policy)
                )
        runs.append((digest(state), history))
    assert runs[0] == runs[1]


def test_a_whole_call_is_left_out(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        poisoned = Poisoned(tiny.arrays(), 8, seed=3)
        tiny.train(batches=poisoned, checkpoints=checkpoints, recovery=Recovery(on="skip"), steps_per_call=5)
        _, records = checkpoints.restore(tiny.state())
    assert records["skipped"] == [10]


def test_a_row_whose_calls_were_all_left_out_has_no_loss(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        poisoned = Poisoned(tiny.arrays(), 8, seed=3)
        skip = Recovery(on="skip")
        _, rows = tiny.train(steps=30, batches=poisoned, checkpoints=checkpoints, recovery=skip, steps_per_call=10)
    assert rows[1] == {"step": 20}
    assert [row["step"] for row in rows if "train/loss" in row] == [10, 30]


def test_a_loss_that_stays_bad_ends_the_run(tmp_path):
    poisoned = Poisoned(tiny.arrays(), 8, seed=3)
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(FloatingPointError, match="the loss of step 12 is nan"):
        tiny.train(batches=poisoned, checkpoints=checkpoints, recovery=Recovery(on="skip", max_skips=0))


@pytest.mark.parametrize(("policy", "left_out"), [("skip", [12, 17]), ("rollback", [10, 11, 12, 13, 14, 15, 16, 17])])
def test_two_bad_steps_before_a_save_are_both_left_out(tmp_path, policy, left_out):
    class Twice(Poisoned):
        def stack(self, step, k):
            batch = super().stack(step, k)
            if step <= 17 < step + k:
                batch["x"][17 - step, 5, 2] = np.nan
            return batch

    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        state, _ = tiny.train(
            batches=Twice(tiny.arrays(), 8, seed=3),
            checkpoints=checkpoints,
            recovery=Recovery(on=policy, capsules=tmp_path / "capsules"),
        )
    assert digest(state) == without(*left_out)
    for path in (tmp_path / "capsules").iterdir():  # the state before a step is not what another bad one made of it
        assert all(np.isfinite(np.asarray(x)).all() for x in read_capsule(path).state.values())


class Rows:
    """A batch of a table's row, the step's own; that of step 3 has an infinite gradient."""

    def __getitem__(self, step):
        return {"row": np.full(4, step, np.int32), "c": np.full(4, 1.0 if step == 3 else 0.5, np.float32)}


@pytest.mark.parametrize("policy", ["stop", "skip"])
@pytest.mark.parametrize("again", [9, 0])
def test_the_update_that_spoilt_parameters_is_blamed_not_the_step_that_saw_them(tmp_path, policy, again):
    class Again(Rows):
        """At step 7 the spoilt row may come again, and its loss is bad: that is not step 7's fault."""

        def __getitem__(self, step):
            return super().__getitem__(3 if step == 7 and not again else step) | {"c": super().__getitem__(step)["c"]}

    def loss(params, batch, ctx):
        return LossOutput(jnp.sqrt(jnp.abs(params["table"][batch["row"]] - batch["c"])))

    optimizer = optax.sgd(1e-3)
    step = make_step(loss, optimizer, jax.random.key(0))
    state = create_state({"table": jnp.ones(32)}, optimizer)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        run = lambda: fit(
            step,
            state,
            Again(),
            steps=20,
            every=10,
            checkpoints=checkpoints,
            recovery=Recovery(on=policy, capsules=tmp_path / "c"),
        )
        if policy == "skip":
            final, _ = run()
            assert np.isfinite(np.asarray(final.params["table"])).all()
        else:
            with pytest.raises(FloatingPointError, match="the update of step 3 made parameters that are not finite"):
                run()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["step-3"]


def test_a_spike_is_left_out_and_written_down(tmp_path):
    class Spiked(Batches):
        def stack(self, step, k):
            batch = super().stack(step, k)
            return batch | {"y": batch["y"] * (1e3 if step <= 34 < step + k else 1)}

    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        state, _ = tiny.train(
            batches=Spiked(tiny.arrays(), 8, seed=3),
            checkpoints=checkpoints,
            recovery=Recovery(on="skip", spike=50.0, capsules=tmp_path / "capsules"),
        )
    assert digest(state) == without(34)
    (path,) = (tmp_path / "capsules").iterdir()
    found = replay(read_capsule(path), tiny.step(), tiny.state())
    assert found.finding is None
    assert found.metrics["loss"] > 1e3


@pytest.mark.parametrize("steps_per_call", [1, 5])
def test_a_capsule_makes_the_bad_step_again(tmp_path, steps_per_call):
    poisoned = Poisoned(tiny.arrays(), 8, seed=3)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        tiny.train(steps=10, steps_per_call=steps_per_call, checkpoints=checkpoints)
        with pytest.raises(FloatingPointError, match=r"batch\['x'\] is not finite.*again: jnn") as error:
            tiny.train(
                batches=poisoned,
                steps_per_call=steps_per_call,
                checkpoints=checkpoints,
                recovery=Recovery(capsules=tmp_path / "capsules"),
            )
    path, _, call = str(error.value).partition("jnn.train.replay('")[2].partition("'")
    assert call == ", step, state)"
    assert read_capsule(path).step == 12 // steps_per_call * steps_per_call
    found = replay(path, tiny.step(steps_per_call), tiny.state())
    assert found.finding is not None
    assert "batch" in str(found.finding) or found.finding.given
