"""fit and its checkpoints: what it saves and when, and which ones it does not go on from."""

import jax
import pytest

from jnn.data import Batches
from jnn.train import Checkpoints, Preempted, fit
from tests.train import tiny
from tests.train.runs import noisy_evaluation


def test_rare_saves_still_save_the_last_row(tmp_path):
    with Checkpoints(tmp_path, keep=10, save_seconds=1e6) as checkpoints:
        tiny.train(steps=30, checkpoints=checkpoints)
        assert int(checkpoints.restore(tiny.state())[0].step) == 30
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"0", "30"}


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


def test_a_run_goes_on_with_its_settings_alone(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        tiny.train(steps=20, checkpoints=checkpoints, settings={"rate": 0.2, "sizes": (4, 8)})
        tiny.train(steps=40, checkpoints=checkpoints, settings={"rate": 0.2, "sizes": (4, 8)})
        with pytest.raises(ValueError, match=r"holds a run with other settings \(rate 0\.2 there, 0\.3 here\)"):
            tiny.train(checkpoints=checkpoints, settings={"rate": 0.3, "sizes": (4, 8)})
