"""Anomalies: faults are what they say and nowhere else, windows read no later hour, delays, short runs, kills."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import jnn
from experiments import alarms, anomaly, faults
from experiments.detectors import DETECTORS, NEAR, centre_of
from experiments.faults import BLOCK, LENGTHS, Fault
from experiments.series import DAY, SERIES, WEEK, Series, calendar
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

KIND = SERIES["electricity"]._replace(origins=56)  # days that test, and as many that validate
TINY = {"width": 8, "batch_size": 32}


@pytest.fixture
def made(monkeypatch):
    """Half a year of days and weeks."""
    rng, hours = np.random.default_rng(0), np.arange(26 * WEEK)
    load = (
        100 + 30 * np.sin(2 * np.pi * hours / DAY) + 10 * np.cos(2 * np.pi * hours / WEEK) + rng.normal(size=len(hours))
    )
    own = Series(KIND, load, calendar(len(load), KIND.cycles))
    monkeypatch.setattr(faults, "series", lambda name, data_dir: own)
    return own


def test_faults_are_planted_in_the_test_and_nowhere_else(made):
    data = faults.electricity()
    clean = made.standard().apply(made.values[-56 * DAY :])
    assert {fault.kind for fault in data.faults} == set(LENGTHS)
    assert len(data.faults) == faults.COPIES * (56 * DAY // BLOCK)
    wrong = data.load != clean
    assert not wrong[~data.faulty].any()
    assert wrong[data.faulty].mean() > 0.9
    assert not (data.faulty & ~data.counts).any()
    assert (~data.counts).sum() == WEEK * len(data.faults)
    before = made.standard().apply(made.values)
    np.testing.assert_array_equal(data.train["x"][:, 0], before[WEEK : -2 * 56 * DAY])
    np.testing.assert_array_equal(data.validation["x"][:, 0], before[-2 * 56 * DAY : -56 * DAY])
    np.testing.assert_array_equal(data.test["x"][..., 0], data.load)


def test_a_window_reads_its_day_and_the_naive_score_a_week_ago():
    y = np.random.default_rng(0).normal(size=WEEK + 50)
    found = faults.windows(y, np.zeros((len(y), 4)))
    changed = faults.windows(np.where(np.arange(len(y)) > WEEK + 20, 9.0, y), np.zeros((len(y), 4)))
    np.testing.assert_array_equal(found["x"][:21], changed["x"][:21])
    np.testing.assert_array_equal(found["naive"][:21], changed["naive"][:21])
    np.testing.assert_allclose(found["x"][5, :DAY], y[WEEK + 5 : WEEK + 5 - DAY : -1], rtol=1e-6)
    assert found["naive"][5] == abs(y[WEEK + 5] - y[5])


def test_kinds_of_faults():
    clean = 10 + np.arange(100.0)
    say = lambda kind: faults.damaged(kind, clean, 50, 2.0)
    np.testing.assert_allclose(say("spike"), [58])
    np.testing.assert_allclose(say("stuck"), 59)
    np.testing.assert_allclose(say("loss"), 0.85 * clean[50:74])
    np.testing.assert_allclose(say("drift")[[0, -1]], [60, 109])
    np.testing.assert_allclose(say("clock"), clean[47:95])


def test_delays_and_areas():
    scores = np.zeros((1, 20))
    scores[0, 8] = 2
    assert alarms.delay(scores, 1.0, Fault("stuck", 0, 6, 4)) == 2
    assert np.isnan(alarms.delay(scores, 3.0, Fault("stuck", 0, 6, 4)))
    assert np.isnan(alarms.delay(scores, 1.0, Fault("stuck", 0, 9, 4)))
    rng = np.random.default_rng(0)
    many, normal = rng.normal(size=(50, 2)), rng.random((50, 2)) < 0.4
    theirs = [roc_auc_score(~own, column.astype(np.float32)) for column, own in zip(many.T, normal.T, strict=True)]
    np.testing.assert_allclose(alarms.areas(many, normal), theirs, rtol=1e-6)
    assert alarms.limit(np.arange(WEEK * 10.0)) == pytest.approx(WEEK * 10 - 11, abs=1)


def test_scores_of_detectors():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 12)), jnp.float32)
    init = lambda name: jnn.init(DETECTORS[name].spec(12, 8), jax.random.key(0))
    score = jax.jit(DETECTORS["forecast"].score)
    shifted = score(init("forecast"), x.at[:, 0].add(score(init("forecast"), x, x) ** 0.5), x)
    assert (jnp.minimum(shifted, abs(shifted - 4 * score(init("forecast"), x, x))) < 1e-4).all()
    p = init("svdd")
    assert all("b" not in layer for layer in p.values())  # with them all rows could be at the centre
    weight = jnp.array([1.0, 1, 0, 0, 0, 0])
    centre = centre_of(p, x, weight)
    np.testing.assert_allclose(centre, centre_of(p, x[:2], weight[:2]), atol=1e-6)
    assert (abs(centre) >= NEAR * 0.999).all()
    nothing = jax.tree.map(jnp.zeros_like, p)
    assert (DETECTORS["svdd"].score(nothing, x, centre) > 0).all()


def test_a_run(tmp_path, made):
    config = anomaly.Config(steps=1, workdir=str(tmp_path), networks=("forecast",), **TINY)
    outcome = anomaly.experiment(config)
    assert {f"{name}_{what}" for name in ("forecast", "week_ago") for what in ("auc", "found", "delay")} <= set(
        outcome.metrics
    )
    assert outcome.metrics["week_ago_auc"] > 0.7
    assert [len(figure().axes) for figure in outcome.figures.values()] == [15, 5]


@pytest.mark.slow
def test_networks_learn(tmp_path, made):
    config = anomaly.Config(steps=300, workdir=str(tmp_path / "load"), width=32, batch_size=128, learning_rate=1e-2)
    found = anomaly.experiment(config)
    losses = [row["train/loss_forecast"] for row in found.history if "train/loss_forecast" in row]
    assert losses[-1] < 0.5 * losses[0]
    assert found.metrics["forecast_found"] > 0.9
    digits = anomaly.Config(data="digits", steps=300, workdir=str(tmp_path / "digits"))
    outcome = anomaly.experiment(digits)
    assert (
        min(outcome.metrics[f"{name}_auc"] for name in ("autoencoder", "svdd", "components", "support_vectors")) > 0.93
    )
    assert [len(figure().axes) for figure in outcome.figures.values()] == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("data", ["electricity", "digits"])
def test_a_killed_run_goes_on_and_a_preflight_reports(tmp_path, data):
    if data == "electricity":
        needs("electricity")
    short = ["--data", data, "--steps", "60", "--width", "16", "--networks", "autoencoder", "svdd"]
    resumed("experiments.anomaly", tmp_path, short)
    flown("experiments.anomaly", tmp_path, short)
