"""The three smallest experiments, shortened: each shows what it claims."""

import itertools

import numpy as np
import pytest

from experiments import neuron, perceptron, universal
from jnn.train import digest


def test_perceptron_learns_what_is_separable_and_never_xor(tmp_path):
    outcome = perceptron.experiment(perceptron.Config(workdir=str(tmp_path), steps=6000))
    metrics = outcome.metrics
    assert [metrics[f"{name}_mistakes"] for name in ("and", "or", "digits")] == [0, 0, 0]
    assert metrics["digits_last_mistake_round"] < 20
    assert metrics["digits_accuracy"] > 0.9
    assert metrics["xor_mistakes"] > 0
    assert metrics["xor_repeats_for_ever"]
    assert len(outcome.figures) == 2


def test_perceptron_claims_nothing_of_xor_before_it_repeats(tmp_path):
    outcome = perceptron.experiment(perceptron.Config(workdir=str(tmp_path), steps=8))
    assert not outcome.metrics["xor_repeats_for_ever"]


def test_neuron_has_the_same_gradient_twice(tmp_path):
    outcome = neuron.experiment(neuron.Config(workdir=str(tmp_path), steps=100))
    metrics, losses = outcome.metrics, [row["train/loss"] for row in outcome.history]
    assert metrics["largest_difference"] < 5e-6 * metrics["largest_gradient"]
    assert losses[0] == pytest.approx(np.log(2), rel=1e-6)  # zero weights: one half for everybody
    assert all(b < a for a, b in itertools.pairwise(losses))
    assert metrics["accuracy"] > 0.95


@pytest.mark.slow
def test_universal_errors_fall_with_the_width(tmp_path):
    config = universal.Config(workdir=str(tmp_path), steps=800, widths=(1, 8), restarts=2, steps_per_call=50)
    outcome = universal.experiment(config)
    narrow, wide = np.transpose([outcome.metrics[name] for name in universal.FUNCTIONS])
    assert (wide < narrow).all()
    assert np.log(narrow / wide).mean() > np.log(4)
    assert outcome.metrics["width"] == [1, 8]
    # started again, it finds its checkpoints
    assert digest(universal.experiment(config).params) == digest(outcome.params)
