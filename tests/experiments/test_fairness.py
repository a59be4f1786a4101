"""Fairness: weights, gaps and folds by hand, what is measured, and short runs on made decisions and on Boston's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import decisions, fairness
from jnn.train import Context
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

SHORT = ["--tables", "biased", "--methods", "adversary", "--repeats", "1", "--batch-size", "64"]


@pytest.fixture(scope="module")
def found():
    return decisions.made("biased", 400)


def test_weights_make_the_label_independent_of_the_group():
    rng = np.random.default_rng(0)
    y, group = (jnp.asarray(rng.integers(0, 2, 50)) for _ in range(2))
    counts = jnp.asarray(rng.random((50, 3)), jnp.float32)
    weights = fairness.reweighing(y, group, counts) * counts
    np.testing.assert_allclose(weights.sum(0), counts.sum(0), rtol=1e-5)
    rates = [(weights * (y * (group == which))[:, None]).sum(0) / weights[group == which].sum(0) for which in (0, 1)]
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-5)


def test_the_gap_is_of_mean_probabilities_among_rows_that_count():
    scores = jnp.log(jnp.array([1.0, 3.0, 1 / 3, 9.0]))[:, None, None]  # probabilities 1/2, 3/4, 1/4, 9/10
    counts = jnp.array([1.0, 2.0, 1.0, 0.0])[:, None]
    gap = fairness.gap(scores, jnp.array([0, 0, 1, 1]), counts)
    np.testing.assert_allclose(gap, [[(0.5 + 2 * 0.75) / 3 - 0.25]], rtol=1e-6)


def test_each_row_is_tested_once_by_a_split_that_has_not_seen_it(found):
    rows, tested = decisions.splits(found, 2)
    assert rows["x"].shape == (400, 10, 3)
    np.testing.assert_allclose(rows["counts"].mean(0), 1, rtol=1e-5)
    assert (np.take_along_axis(rows["counts"], tested, 1) == 0).all()
    assert ((rows["counts"] == 0).sum(1) == 2).all()
    trained = rows["x"][rows["counts"][:, 3] > 0, 3]
    np.testing.assert_allclose(trained.mean(0), 0, atol=1e-5)
    scores = np.arange(400 * 10.0).reshape(400, 10, 1)
    np.testing.assert_array_equal(decisions.out_of_fold(scores, tested)[7, :, 0], 70 + tested[7])


def test_measures_are_those_of_plain_counting(found):
    scores = np.random.default_rng(0).normal(size=(400, 2, 3)).astype(np.float32)
    measures = decisions.measured(scores, found)
    answers, y, group = scores > 0, found.y[:, None, None], found.group
    np.testing.assert_allclose(measures["accuracy"][0], (answers == y).mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        measures["true_accuracy"][0], (answers == found.truth[:, None, None]).mean((0, 1)), rtol=1e-5
    )
    gaps = np.abs(answers[group == 0].mean(0) - answers[group == 1].mean(0)).mean(0)
    np.testing.assert_allclose(measures["parity_gap"][0], gaps, rtol=1e-4)
    assert measures["parity_gap"].shape == (1 + decisions.RESAMPLES, 3)
    moved = decisions.change(measures["accuracy"])
    assert moved[1] < moved[0] < moved[2]


def test_what_is_made_has_the_bias_it_says():
    biased, unequal = (decisions.made(name, 20_000) for name in ("biased", "unequal"))
    rate = lambda values, found, which: values[found.group == which].mean()
    assert abs(rate(biased.truth, biased, 0) - rate(biased.truth, biased, 1)) < 0.02
    np.testing.assert_allclose(rate(biased.y, biased, 1), 0.4 * rate(biased.truth, biased, 1), atol=0.02)
    np.testing.assert_array_equal(unequal.y, unequal.truth)
    assert rate(unequal.truth, unequal, 0) - rate(unequal.truth, unequal, 1) > 0.2


@pytest.mark.parametrize("method", ["parity", "adversary"])
def test_what_a_method_adds_works_against_the_gap(found, method):
    """Descent on what a strength adds to the gradient makes the groups' mean scores more alike."""
    rows, _ = decisions.splits(found, 1)
    batch = {name: jnp.asarray(x) for name, x in rows.items()} | {"weight": jnp.ones(400)}
    spec = fairness.network_spec(fairness.Config(), 3, method, 5)
    params = jnn.init(spec, jax.random.key(0))
    params["decide"]["w"] = jnp.ones_like(params["decide"]["w"])
    if method == "adversary":  # one that takes high scores for the group that has them
        params["adversary"] = jax.tree.map(lambda w: jnp.ones_like(w) / 4, params["adversary"])
    total = lambda p: (lambda out: out.values.mean() + out.penalty)(
        fairness.loss(p, batch, Context(None, jax.random.key(0), 0), method)
    )
    slope = jax.grad(total)(params)["decide"]["w"]
    added = slope[:, -1] - slope[:, 0]  # of the last strength, less that of strength 0
    gap = lambda w: fairness.gap(
        fairness.decided({"decide": params["decide"] | {"w": w}}, batch["x"]), batch["group"], batch["counts"]
    )
    w = params["decide"]["w"]
    moved = gap(w.at[:, -1].add(-0.01 * added / jnp.abs(added).max()))
    assert (jnp.abs(moved[:, -1]) < jnp.abs(gap(w)[:, -1])).all()


def test_a_run_measures(tmp_path, monkeypatch):
    monkeypatch.setattr(decisions, "RESAMPLES", 10)
    small = decisions.made("biased", 80)
    monkeypatch.setattr(decisions, "made", lambda name: small)
    config = fairness.Config(
        workdir=str(tmp_path), tables=("biased",), methods=("parity",), steps=2, repeats=1, batch_size=80
    )
    outcome = fairness.experiment(config)
    assert len(outcome.metrics["biased_parity_accuracy"]) == len(fairness.STRENGTHS["parity"])
    low, middle, high = (outcome.metrics["biased_parity_accuracy_change"][i] for i in (1, 0, 2))
    assert low <= middle <= high
    assert all(draw().axes for draw in outcome.figures.values())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["reweighing", "parity", "adversary"])
def test_less_gap_in_biased_decisions_is_more_truth(tmp_path, method):
    config = fairness.Config(workdir=str(tmp_path), tables=("biased",), methods=(method,), repeats=1)
    metrics = fairness.experiment(config).metrics
    gaps, true = (metrics[f"biased_{method}_{what}"] for what in ("parity_gap", "true_accuracy"))
    assert min(gaps) < 0.5 * gaps[0]
    assert true[int(np.argmin(gaps))] > true[0] + 0.015


@pytest.mark.slow
def test_the_banks_decisions_are_learned(tmp_path):
    needs("mortgage/loanapp.csv")
    config = fairness.Config(workdir=str(tmp_path), tables=("mortgage",), methods=("parity",), repeats=1, steps=200)
    outcome = fairness.experiment(config)
    losses = [row["train/loss_mortgage_parity"] for row in outcome.history]
    assert losses[-1] < losses[0]
    assert outcome.metrics["mortgage_parity_auc"][0] > 0.7
    assert outcome.metrics["mortgage_group_told_by_features_auc"] > 0.6


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    resumed("experiments.fairness", tmp_path, ["--steps", "12", *SHORT])


@pytest.mark.slow
def test_a_preflight_reports(tmp_path):
    flown("experiments.fairness", tmp_path, SHORT)
