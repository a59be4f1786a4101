"""fit: resumed = uninterrupted, bit for bit; the history; and every error."""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.data import Batches, IteratorBatches
from jnn.metrics import Mean
from jnn.train import (
    Checkpoints,
    Context,
    EarlyStopping,
    Evaluation,
    Ledger,
    LossOutput,
    Preempted,
    Recovery,
    create_state,
    digest,
    evaluate_on,
    fit,
    make_eval,
    make_step,
    read_capsule,
    replay,
)
from tests.train import tiny

ROOT = Path(__file__).parents[2]


class Poisoned(Batches):
    """Batches with a NaN in row 5 of step 12's x."""

    def stack(self, step, k):
        batch = super().stack(step, k)
        for i in range(k):
            if step + i == 12:
                batch["x"][i, 5, 2] = np.nan
        return batch


@pytest.fixture(scope="module")
def uninterrupted():
    state, history = tiny.train()
    return digest(state), history


def test_the_history_has_a_row_every_so_often(uninterrupted):
    _, history = uninterrupted
    assert [row["step"] for row in history] == [10, 20, 30, 40, 50, 60]
    assert all(row.keys() == {"step", "train/loss"} for row in history)
    assert history[-1]["train/loss"] < history[0]["train/loss"]


def test_a_last_row_that_is_out_of_rhythm():
    _, history = tiny.train(steps=14)
    assert [row["step"] for row in history] == [10, 14]


@pytest.mark.parametrize("stops", [[10], [20, 50]], ids=str)
def test_resumed_equals_uninterrupted(tmp_path, uninterrupted, stops):
    for steps in [*stops, tiny.STEPS]:
        with Checkpoints(tmp_path) as checkpoints:
            state, history = tiny.train(steps=steps, checkpoints=checkpoints)
    assert (digest(state), history) == uninterrupted


def test_resumed_in_the_middle_of_an_exception_equals_uninterrupted(tmp_path, uninterrupted):
    def fail_at_40(row):
        if row["step"] == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Checkpoints(tmp_path) as checkpoints:
        tiny.train(checkpoints=checkpoints, log=fail_at_40)
    rows = []
    with Checkpoints(tmp_path) as checkpoints:
        state, history = tiny.train(checkpoints=checkpoints, log=rows.append)
    assert (digest(state), history) == uninterrupted
    assert rows == history  # a log that starts anew sees the whole history


def test_killed_and_resumed_equals_uninterrupted(tmp_path, uninterrupted):
    killed = subprocess.run(
        [sys.executable, "-m", "tests.train.tiny", str(tmp_path), "SIGKILL", "30"], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    with Checkpoints(tmp_path) as checkpoints:
        restored, _ = checkpoints.restore(tiny.state())
        assert int(restored.step) in (10, 20)
        state, history = tiny.train(checkpoints=checkpoints)
    assert (digest(state), history) == uninterrupted


def test_a_finished_run_does_nothing_more(tmp_path, uninterrupted):
    with Checkpoints(tmp_path) as checkpoints:
        tiny.train(checkpoints=checkpoints)
    with Checkpoints(tmp_path) as checkpoints:
        state, history = tiny.train(checkpoints=checkpoints, batches=Poisoned(tiny.arrays(), 8, seed=3))
    assert (digest(state), history) == uninterrupted


def test_rare_saves_still_save_the_last_row(tmp_path):
    with Checkpoints(tmp_path, keep=10, save_seconds=1e6) as checkpoints:
        tiny.train(steps=30, checkpoints=checkpoints)
        assert int(checkpoints.restore(tiny.state())[0].step) == 30
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"0", "30"}


def test_steps_per_call_equals_single_steps(uninterrupted):
    alone, history = tiny.train()
    grouped, grouped_history = tiny.train(steps_per_call=5)
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(grouped), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(history, grouped_history, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)


def test_resumed_equals_uninterrupted_with_steps_per_call(tmp_path):
    whole, history = tiny.train(steps_per_call=5)
    for steps in (30, tiny.STEPS):
        with Checkpoints(tmp_path) as checkpoints:
            state, rows = tiny.train(steps=steps, steps_per_call=5, checkpoints=checkpoints)
    assert digest(state) == digest(whole)
    assert rows == history


def test_evaluation_joins_the_row_and_leaves_out_what_is_no_number():
    def evaluate(state):
        batches = [{**tiny.arrays(size), "weight": np.ones(size, np.float32)} for size in (10, 30)]
        return evaluate_on(make_eval(tiny.loss), batches, state) | {"table": Mean(np.ones((2, 2)), 1.0)}

    state, history = tiny.train(steps=10, evaluate=evaluate)
    batch = {**tiny.arrays(30), "weight": np.ones(30, np.float32)}
    silent = Context(None, jax.random.key(0), state.step)
    ten = tiny.loss(state.params, {k: v[:10] for k, v in batch.items()}, silent).values
    thirty = tiny.loss(state.params, batch, silent).values
    expected = np.concatenate([ten, thirty]).mean()  # one mean over 40 rows, not a mean of two means
    np.testing.assert_allclose(history[0]["val/loss"], expected, rtol=1e-5)
    assert "val/table" not in history[0]


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


@pytest.mark.parametrize(("steps", "every"), [(61, 10), (60, 12), (60, 0)])
def test_steps_must_be_multiples_of_steps_per_call(steps, every):
    with pytest.raises(
        ValueError, match=rf"fit: steps={steps} and every={every} must be positive multiples of .*steps_per_call=5"
    ):
        fit(tiny.step(5), tiny.state(), Batches(tiny.arrays(), 8, seed=3), steps=steps, every=every)


@pytest.mark.parametrize(("then", "calls"), [(8, 1), (60, 5)])
def test_a_checkpoint_that_does_not_fit_the_new_settings(tmp_path, then, calls):
    with Checkpoints(tmp_path) as checkpoints:
        tiny.train(steps=14, checkpoints=checkpoints)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(ValueError, match="fit: the state is at step 14; expected"),
    ):
        fit(
            tiny.step(calls),
            tiny.state(),
            Batches(tiny.arrays(), 8, seed=3),
            steps=then,
            every=then // 2 * 2 // calls * calls,
            checkpoints=checkpoints,
        )


# what is not finite


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


@pytest.mark.parametrize(
    "settings",
    [{"recovery": Recovery(on="skip")}, {"recovery": Recovery(capsules="somewhere")}],
)
def test_settings_that_need_others(settings):
    with pytest.raises(ValueError, match=r"so recovery needs checkpoints"):
        tiny.train(**settings)
    with pytest.raises(ValueError, match=r"hooks run exactly once"):
        Evaluation(hooks={"a": print})


# plateaus


def noisy_evaluation(state):
    """A validation loss that is least at step 30."""
    return {"loss": Mean(abs(int(state.step) - 30.0), 1.0)}


@pytest.mark.parametrize("saved", [False, True])
def test_a_plateau_ends_the_run_with_the_best_state(tmp_path, saved):
    stop = EarlyStopping("val/loss", patience=2)
    expected, _ = tiny.train(steps=30)
    if saved:
        for steps in (20, 50, tiny.STEPS):  # resumed twice, once when it has stopped
            with Checkpoints(tmp_path, keep=1, save_seconds=1e6) as checkpoints:
                state, history = tiny.train(steps=steps, evaluate=noisy_evaluation, stop=stop, checkpoints=checkpoints)
    else:
        state, history = tiny.train(evaluate=noisy_evaluation, stop=stop)
    assert [row["step"] for row in history] == [10, 20, 30, 40, 50]
    assert digest(state) == digest(expected)


def test_the_checkpoint_of_a_plateaus_best_row_stays_whatever_least_is(tmp_path):
    """Rows that are better by less than that do not push it out."""
    stop = EarlyStopping("val/loss", patience=3, min_delta=0.5)
    slowly = lambda state: {"loss": Mean(2.0 - int(state.step) / 1000, 1.0)}
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        state, history = tiny.train(evaluate=slowly, stop=stop, checkpoints=checkpoints)
        assert checkpoints.steps == [10, 40]
    assert history[-1]["step"] == 40
    assert digest(state) == digest(tiny.train(steps=10)[0])


# hooks


def test_hooks_run_once_a_row_even_if_the_run_is_killed(tmp_path, uninterrupted):
    def run(die):
        calls = []
        hooks = {"export": lambda state: calls.append(int(state.step)) or int(state.step)}
        once = Evaluation(hooks=hooks, ledger=Ledger(tmp_path))
        with Checkpoints(tmp_path / "checkpoints", save_seconds=1e6) as checkpoints:
            try:
                state, history = tiny.train(checkpoints=checkpoints, evaluate=once, log=stop_at(die))
            except KeyboardInterrupt:
                return calls
        assert (digest(state), history) == uninterrupted
        return calls

    def stop_at(last):
        def log(row):
            if row["step"] == last:
                raise KeyboardInterrupt

        return log

    assert run(30) == [10, 20, 30]  # nothing was saved but the beginning
    assert run(None) == [40, 50, 60]


def test_the_last_save_is_written_when_fit_returns(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    tiny.train(checkpoints=checkpoints)
    assert (tmp_path / "60" / "manifest").is_dir()  # Orbax gives a step its name when it is whole
    checkpoints.close()


def test_a_resumed_run_holds_no_initial_state_beside_the_restored_one(tmp_path):
    initial = tiny.state()
    for steps in (10, 20):
        with Checkpoints(tmp_path) as checkpoints:
            fit(tiny.step(), initial, Batches(tiny.arrays(), 8, seed=3), steps=steps, every=10, checkpoints=checkpoints)
        assert all(x.is_deleted() for x in jax.tree.leaves(initial.params))
        initial = tiny.state()


def test_a_checkpoint_between_rows_has_no_metrics_of_the_row_before(tmp_path):
    """It was never evaluated, so it is not among the best."""
    with Checkpoints(tmp_path, keep=1, best=("val/loss", "min", 1)) as checkpoints:
        run = lambda at: tiny.train(
            checkpoints=checkpoints, evaluate=noisy_evaluation, batches=tiny.Signalled("SIGTERM", at)
        )
        for at in (33, 36):
            with pytest.raises(Preempted):
                run(at)
        assert checkpoints.steps == [30, 37]


def test_a_folder_that_is_none_of_fits(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(tiny.state(), {})
        with pytest.raises(ValueError, match="the checkpoint of step 0 is none of fit's: its records lack"):
            tiny.train(checkpoints=checkpoints)


# SIGTERM


def test_sigterm_in_the_last_evaluation_ends_the_run_too(tmp_path):
    def evaluate(state):
        if int(state.step) == tiny.STEPS:
            os.kill(os.getpid(), signal.SIGTERM)
        return noisy_evaluation(state)

    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(Preempted):
            tiny.train(checkpoints=checkpoints, evaluate=evaluate)
        assert checkpoints.steps[-1] == tiny.STEPS


def test_sigterm_ends_a_run_without_checkpoints_at_once(tmp_path):
    before, heard = signal.getsignal(signal.SIGTERM), []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    try:
        tiny.train(batches=tiny.Signalled("SIGTERM", 7))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard  # by whoever listened before


@pytest.mark.parametrize("at", [7, 30, tiny.STEPS - 1])
def test_terminated_and_resumed_equals_uninterrupted(tmp_path, uninterrupted, at):
    command = [sys.executable, "-m", "tests.train.tiny", str(tmp_path), "SIGTERM", str(at)]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == 143, ended.stderr
    said = f"{tmp_path}: ended by SIGTERM at step {at + 1}, which is saved; start the same command again to go on.\n"
    assert ended.stderr.count(said) == ended.stderr.count("SIGTERM") == 1
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore(tiny.state())[0].step) == at + 1  # the step was finished
        state, history = tiny.train(checkpoints=checkpoints)
    assert (digest(state), history) == uninterrupted


class Stream(IteratorBatches):
    """Batches that only an iterator can give: what a filter leaves."""

    def __init__(self, stop=None):
        rows, self.stop, self.taken = tiny.arrays(), stop, 0
        numbers = grain.MapDataset.range(50).seed(2).shuffle().repeat().to_iter_dataset().filter(lambda i: i % 3 > 0)
        super().__init__(
            numbers.batch(8).map(lambda i: {**{k: v[i] for k, v in rows.items()}, "weight": np.ones(8, np.float32)})
        )

    def __getitem__(self, step):
        if step == self.stop:
            raise KeyboardInterrupt
        self.taken += 1
        return super().__getitem__(step)


@pytest.mark.parametrize("stop", [7, 20, 33])
def test_an_iterator_goes_on_where_the_checkpoint_was(tmp_path, stop):
    whole, _ = tiny.train(batches=Stream())
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(KeyboardInterrupt):
        tiny.train(batches=Stream(stop), checkpoints=checkpoints)
    stream = Stream()
    with Checkpoints(tmp_path) as checkpoints:
        resumed, _ = tiny.train(batches=stream, checkpoints=checkpoints)
    assert digest(resumed) == digest(whole)
    assert stream.taken == tiny.STEPS - stop // tiny.EVERY * tiny.EVERY  # nothing before was read again


def test_a_run_goes_on_with_its_settings_alone(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        tiny.train(steps=20, checkpoints=checkpoints, settings={"rate": 0.2, "sizes": (4, 8)})
        tiny.train(steps=40, checkpoints=checkpoints, settings={"rate": 0.2, "sizes": (4, 8)})
        with pytest.raises(ValueError, match=r"holds a run with other settings \(rate 0\.2 there, 0\.3 here\)"):
            tiny.train(checkpoints=checkpoints, settings={"rate": 0.3, "sizes": (4, 8)})


def test_a_lost_ledger_comes_back_with_the_checkpoint(tmp_path):
    ran = []
    for steps in (20, 40):
        with Checkpoints(tmp_path / "checkpoints") as checkpoints:
            hooks = {"export": lambda state: ran.append(int(state.step))}
            once = Evaluation(hooks=hooks, ledger=(ledger := Ledger(tmp_path)))
            tiny.train(steps=steps, checkpoints=checkpoints, evaluate=once)
        ledger.path.unlink()
    assert ran == [10, 20, 30, 40]
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        tiny.train(steps=40, checkpoints=checkpoints, evaluate=Evaluation(ledger=(ledger := Ledger(tmp_path))))
    assert [entry["step"] for entry in ledger.entries() if entry["hook"] != "settings"] == [10, 20, 30, 40]


def test_the_ledger_of_a_run_with_other_settings_is_refused(tmp_path):
    """Its checkpoints may be gone, and what its evaluations gave is not this run's."""
    evaluation = lambda: Evaluation(noisy_evaluation, ledger=Ledger(tmp_path))
    tiny.train(steps=10, evaluate=evaluation(), settings={"rate": 0.1})
    with pytest.raises(ValueError, match=r"hooks.jsonl holds a run with other settings \(rate 0.1 there, 0.2 here\)"):
        tiny.train(steps=10, evaluate=evaluation(), settings={"rate": 0.2})


# whose a ledger is


def test_a_ledger_that_another_run_filled_is_refused(tmp_path):
    """No settings and no checkpoint say that it is this run's: its evaluation would give the other one's numbers."""
    once = lambda value: Evaluation(lambda state: {"loss": value}, ledger=Ledger(tmp_path))
    tiny.train(steps=20, evaluate=once(1.0))
    message = r"hooks.jsonl holds what a run did at step 10, 20, and this one begins at step 0.*checkpoints=.*settings="
    with pytest.raises(ValueError, match=message):
        tiny.train(steps=20, evaluate=once(2.0))
    with Checkpoints(tmp_path / "checkpoints") as checkpoints, pytest.raises(ValueError, match=message):
        tiny.train(steps=20, evaluate=once(2.0), checkpoints=checkpoints)
    assert [entry["result"] for entry in Ledger(tmp_path).entries()[1:]] == [{"val/loss": 1.0}] * 2


def test_a_ledger_goes_on_with_its_run(tmp_path):
    """By its settings; from the step that its entries end at; or beside entries that are none of fit's."""
    ran = []
    once = lambda folder: Evaluation(lambda state: ran.append(int(state.step)) or {}, ledger=Ledger(tmp_path / folder))
    for _ in range(2):
        tiny.train(steps=10, evaluate=once("settings"), settings={"rate": 0.1})
    state, _ = tiny.train(steps=10, evaluate=once("state"))
    fit(tiny.step(), state, Batches(tiny.arrays(), 8, seed=3), steps=20, every=10, evaluate=once("state"))
    Ledger(tmp_path / "own").once("export", 10, lambda: None)
    tiny.train(steps=10, evaluate=once("own"))
    assert ran == [10, 10, 20, 10]


def test_a_ledger_holds_nothing_before_the_checkpoint_that_the_run_began_with(tmp_path):
    """Else a run killed in between would be refused its own ledger."""
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        began = lambda state: {"began": float((checkpoints.folder / "0" / "manifest").is_dir())}
        _, history = tiny.train(steps=10, evaluate=Evaluation(began, ledger=Ledger(tmp_path)), checkpoints=checkpoints)
    assert history[0]["val/began"] == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: Evaluation(print, ledger=path),
            r"Evaluation: ledger must be a Ledger\(folder\), found PosixPath",
        ),
        (lambda path: Evaluation(Ledger(path)), r"evaluate is a Ledger.*Say Evaluation\(f, ledger=\.\.\.\)"),
        (lambda path: Evaluation(3), r"evaluate must be a function of the state, or an Evaluation\(\.\.\.\), found 3"),
        (lambda path: Evaluation(hooks={"a": dict}, ledger=Ledger(path)), None),
        (lambda path: Evaluation(hooks={"a": lambda: 1}, ledger=Ledger(path)), r"hook 'a' is called as hook\(state\)"),
        (lambda path: Evaluation(hooks={"a": 1}, ledger=Ledger(path)), "hook 'a' must be a function of the state"),
    ],
)
def test_an_evaluation_is_checked_as_it_is_made(tmp_path, make, message):
    if message is None:
        assert make(tmp_path)
        return
    with pytest.raises(TypeError, match=message):
        make(tmp_path)


def test_the_evaluation_comes_first_then_the_hooks_then_the_row(tmp_path):
    order = []
    hooks = {name: lambda state, name=name: order.append(name) for name in ("b", "a")}
    once = Evaluation(lambda state: order.append("evaluate") or {}, hooks, Ledger(tmp_path))
    tiny.train(steps=10, evaluate=once, log=lambda row: order.append("row"))
    assert order == ["evaluate", "b", "a", "row"]


@pytest.mark.parametrize("calls", [None, 2.0, 0, True])
def test_what_a_step_says_of_its_updates_is_a_number(calls):
    step = functools.partial(tiny.step())
    step.steps_per_call = calls
    with pytest.raises(
        ValueError, match=rf"fit: expected the step's attribute steps_per_call of 1 or more, found {calls}"
    ):
        fit(step, tiny.state(), [], steps=10, every=10)


def test_a_wrapped_step_is_told_to_say_its_updates():
    step = functools.partial(tiny.step(5))
    with pytest.raises(ValueError, match=r"the attribute steps_per_call.*wrapped\.steps_per_call = 5"):
        fit(step, tiny.state(), Batches(tiny.arrays(), 8, seed=3), steps=10, every=10)
