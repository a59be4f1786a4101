"""Which steps stay, the newest and the best, and the records beside them; options that mean nothing."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.train import Checkpoints
from jnn.train.checkpoint import CorruptCheckpoint
from tests.train import tiny
from tests.train.checkpoint.trees import held


def test_the_newest_counts_and_old_ones_go(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        tiny.train(steps=40, checkpoints=checkpoints)
        assert int(checkpoints.restore(tiny.state())[0].step) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["30", "40", "lock"]


def test_records_are_of_the_moment_of_the_save(tmp_path):
    history = [{"step": 0, "train/loss": float("inf")}]
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(tiny.state(), {"history": history, "iterator": {"epoch": 2, "seen": [1, 2]}, "none": None})
        history.append({"step": 1})
        records = checkpoints.restore(tiny.state()).records
    assert records == {"history": history[:1], "iterator": {"epoch": 2, "seen": [1, 2]}, "none": None}


@pytest.mark.parametrize("records", [[], {"set": {1}}, {"array": np.zeros(2)}])
def test_records_that_are_no_json(tmp_path, records):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(TypeError, match="records must"):
        checkpoints.save(tiny.state(), records)


def at(step):
    return tiny.state().replace(step=jnp.int32(step))


def test_saving_again_what_is_there_does_nothing(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for _ in range(2):
            checkpoints.save(at(3), {"seed": 1})
        with pytest.raises(ValueError, match=r"expected a step after 3, .* found step 3"):
            checkpoints.save(at(3), {"seed": 2})
        with pytest.raises(ValueError, match=r"expected a step after 3, .* found step 2"):
            checkpoints.save(at(2), {"seed": 1})
        assert checkpoints.restore(at(0)).records == {"seed": 1}


@pytest.mark.parametrize(("mode", "kept"), [("min", [2, 4, 6, 7]), ("max", [1, 3, 6, 7])])
def test_the_best_stay_too(tmp_path, mode, kept):
    """Also those that another process saved; without a metric, or with NaN, none is the best."""
    losses = {1: 5.0, 2: 1.0, 3: 4.0, 4: 2.0, 5: float("nan"), 6: None, 7: 3.0}
    for steps in [(1, 2, 3), (4, 5, 6, 7)]:
        with Checkpoints(tmp_path, keep=2, best=("val/loss", mode, 2)) as checkpoints:
            for step in steps:
                loss = losses[step]
                checkpoints.save(at(step), {}, metrics=None if loss is None else {"val/loss": loss, "other": 0})
    assert held(tmp_path) == kept


def test_a_step_by_name(tmp_path):
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(at(step), {"at": step})
        assert checkpoints.restore(at(0), step=2).records == {"at": 2}
        with pytest.raises(ValueError, match=r"holds the steps \[1, 2, 3\], not 4"):
            checkpoints.restore(at(0), step=4)
        (tmp_path / "2" / "manifest" / "metadata").unlink()
        with pytest.raises(CorruptCheckpoint, match=r"checkpoint 2 in .*: its manifest is missing"):
            checkpoints.restore(at(0), step=2)
    assert held(tmp_path) == [1, 2, 3]


def test_best_needs_its_metric(tmp_path):
    expected = pytest.raises(ValueError, match=r"best needs 'val/loss', found metrics \['loss'\]")
    with Checkpoints(tmp_path, best=("val/loss", "min", 1)) as checkpoints, expected:
        checkpoints.save(at(1), {}, metrics={"loss": 1.0})


@pytest.mark.parametrize(
    "options", [{"keep": 0}, {"keep": 1.5}, {"keep": "x"}, {"best": ("loss", "min", 0)}, {"best": ("loss", "least", 1)}]
)
def test_options_that_mean_nothing(tmp_path, options):
    with pytest.raises(ValueError, match="Checkpoints: expected keep >= 1 and best="):
        Checkpoints(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seconds", ["x", -1, float("nan"), None], ids=str)
def test_seconds_that_mean_nothing(tmp_path, seconds):
    with pytest.raises(ValueError, match=f"Checkpoints: expected save_seconds of 0 or more seconds, found '?{seconds}"):
        Checkpoints(tmp_path / "new", save_seconds=seconds)
    assert not (tmp_path / "new").exists()
