"""fit ends before its last step: at a plateau, with the best state, and at SIGTERM."""

import os
import signal

import pytest

from jnn.metrics import Mean
from jnn.train import Checkpoints, EarlyStopping, Preempted, digest
from tests.train import tiny
from tests.train.runs import noisy_evaluation


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
