"""Lottery tickets and the learning-rate range test, tiny: on made data, gone on with, and a real run of each."""

import numpy as np
import pytest

from experiments import datasets, lottery, rate_range
from tests.experiments.shortened import resumed
from tests.needed_data import needs


def made(*args):
    """Rows of 784 numbers, of which the first ten say the class."""
    rng = np.random.default_rng(0)

    def part(n):
        x = rng.normal(size=(n, 784)).astype(np.float32)
        return {"x": x, "y": x[:, :10].argmax(1).astype(np.int32)}

    return datasets.Data(part(64), part(32), part(32))


def test_a_ticket_keeps_its_first_values_and_loses_its_least_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "mnist", made)
    monkeypatch.setattr(lottery, "SIZES", (784, 6, 5, 10))
    config = lottery.Config(steps=2, depth=2, seeds=2, batch_size=8, workdir=str(tmp_path))
    outcome = lottery.experiment(config)
    np.testing.assert_allclose(outcome.metrics["left"], [1.0, 0.8, 0.64], atol=0.01)
    assert [mask.shape for mask in outcome.params.values()] == [(2, 784, 6), (2, 6, 5), (2, 5, 10)]
    again = lottery.experiment(config)  # whose rounds are read
    assert all((outcome.params[name] == mask).all() for name, mask in again.params.items())
    for draw in outcome.figures.values():
        draw()


def test_what_is_pruned_stays_so_in_training():
    data = made()
    sweep = lottery.Sweep(
        lottery.mlp_spec((784, 6, 5, 10)), lottery.loss, lambda h: lottery.optax.adam(0.01), data.train, 8
    )
    masks = {
        name: (np.random.default_rng(1).random((1, *layer["w"].shape)) > 0.5).astype("f")
        for name, layer in sweep.spec.items()
    }
    begun = sweep.begin([{name: mask[0] for name, mask in masks.items()}])
    trained, _ = sweep.train(begun, 5)
    for name, mask in masks.items():
        first, last = (np.asarray(members.state.params[name]["w"]) for members in (begun, trained))
        np.testing.assert_array_equal(first[mask == 0], last[mask == 0])
        assert (first[mask == 1] != last[mask == 1]).mean() > 0.5  # a unit may be silent
    later = lottery.next_masks(trained, masks)
    assert all((mask >= later[name]).all() for name, mask in masks.items())
    assert later["fc0"].sum() == masks["fc0"].sum() - int(0.2 * masks["fc0"].sum())


def test_a_range_test_of_a_few_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "mnist", made)
    config = rate_range.Config(steps=3, test_steps=6, points=4, seeds=2, batch_size=8, workdir=str(tmp_path))
    outcome = rate_range.experiment(config)
    assert outcome.metrics["regret"] >= 0
    assert rate_range.LOW / 10 <= outcome.metrics["advice"] <= rate_range.HIGH
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
def test_a_sparse_ticket_beats_the_same_mask_with_other_first_values(tmp_path):
    needs("mnist/train-images-idx3-ubyte.gz")
    found = lottery.experiment(lottery.Config(steps=300, depth=12, seeds=2, workdir=str(tmp_path))).metrics
    assert found["ticket"][0] > 0.9
    assert found["ticket"][-1] > found["redrawn"][-1] + 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("experiments.lottery", ["--steps", "5", "--depth", "2", "--seeds", "2"]),
        ("experiments.rate_range", ["--steps", "5", "--test-steps", "5", "--points", "3", "--seeds", "2"]),
    ],
)
def test_a_run_goes_on(tmp_path, module, options):
    needs("mnist/train-images-idx3-ubyte.gz", "fashion_mnist/train-images-idx3-ubyte.gz")
    resumed(module, tmp_path, options)
