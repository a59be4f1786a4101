"""fit's evaluations and hooks: what joins a row, in which order, and whose a ledger is."""

import jax
import numpy as np
import pytest

from jnn.data import Batches
from jnn.metrics import Mean
from jnn.train import Checkpoints, Context, Evaluation, Ledger, Recovery, evaluate_on, fit, make_eval
from tests.train import tiny
from tests.train.runs import noisy_evaluation


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


@pytest.mark.parametrize(
    "settings",
    [{"recovery": Recovery(on="skip")}, {"recovery": Recovery(capsules="somewhere")}],
)
def test_settings_that_need_others(settings):
    with pytest.raises(ValueError, match=r"so recovery needs checkpoints"):
        tiny.train(**settings)
    with pytest.raises(ValueError, match=r"hooks run exactly once"):
        Evaluation(hooks={"a": print})


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
