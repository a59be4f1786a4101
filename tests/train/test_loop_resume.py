"""fit: resumed = uninterrupted, bit for bit, with its history, whatever stopped the run."""

import signal
import subprocess
import sys
from pathlib import Path

import grain
import numpy as np
import pytest

from jnn.data import IteratorBatches
from jnn.train import Checkpoints, Evaluation, Ledger, digest
from tests.train import tiny
from tests.train.runs import Poisoned

ROOT = Path(__file__).parents[2]


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
