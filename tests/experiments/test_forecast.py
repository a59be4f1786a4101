"""Forecasts: splits by time, heads and scores by other means, classical ones, a tiny run of every network, kills."""

import dataclasses
import functools
import logging
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jnn
from experiments import fan_charts, forecast, forecasting
from experiments.classical_forecasting import classical
from experiments.forecast import Config
from experiments.forecasting import HEADS, LEVELS, MEDIAN, measured, scaled
from experiments.peers import torch_forecast
from experiments.series import SERIES, Series, calendar, regular, series
from jnn.data import data_root
from jnn.train import Context
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

KIND = SERIES["electricity"]._replace(season=12, context=12, horizon=4, cycles=(12,), origins=6)


def made(kind=KIND, seed=0):
    """A wave and noise on it."""
    n = 200
    values = 10 + 3 * np.sin(np.arange(n) * 2 * np.pi / 12) + 0.1 * np.random.default_rng(seed).normal(size=n)
    return Series(kind, values, calendar(n, kind.cycles))


def test_parts_follow_each_other_in_time():
    data = made()
    assert data.origins("test").tolist() == [176, 180, 184, 188, 192, 196]
    assert data.origins("validation").tolist() == [152, 156, 160, 164, 168, 172]
    assert len(data.training()["y"]) == 152
    shown = data.standard().undo(data.windows("test")["y"])
    np.testing.assert_allclose(shown[:, 12:], data.targets("test"), rtol=1e-5)
    np.testing.assert_allclose(shown[2, :12], data.history(184)[-12:], rtol=1e-5)
    changed = data._replace(values=np.where(np.arange(200) < 152, data.values, 0.0))
    np.testing.assert_array_equal(changed.training()["y"], data.training()["y"])  # nor do means know what comes


def test_a_missing_step_lies_between_its_neighbours_and_a_double_one_is_an_error():
    days = np.datetime64("1984-12-29", "D") + np.array([0, 1, 3, 4])
    assert regular(days, np.array([5.0, 6.0, 9.0, 1.0]), "made").tolist() == [5, 6, 7.5, 9, 1]
    with pytest.raises(ValueError, match="made: expected steps one after another, found 1984-12-30 and a step back"):
        regular(days[[0, 1, 1, 2]], np.arange(4.0), "made")


@pytest.mark.parametrize("name", ["gaussian", "student_t"])
def test_a_heads_quantiles_are_those_of_its_draws_and_its_loss_is_least_there(name):
    head, density = HEADS[name], stats.norm() if name == "gaussian" else stats.t(forecasting.DEGREES)
    outputs = jnp.array([[2.0, 0.5]])
    scale = np.exp(0.5)
    expected = 2 + scale * density.ppf(LEVELS)
    np.testing.assert_allclose(head.quantiles(outputs)[0], expected, rtol=1e-5)
    draws = head.draw(jnp.broadcast_to(outputs, (20_000, 2)), jax.random.key(0))
    np.testing.assert_allclose(np.quantile(draws, LEVELS[2:-2]), expected[2:-2], atol=0.1)
    nll = np.log(scale) - density.logpdf((3.0 - 2) / scale)
    np.testing.assert_allclose(head.loss(outputs, jnp.array([3.0])), nll, rtol=1e-5)


def test_scores_by_their_formulas():
    data = made()
    y = data.targets("test")
    quantiles = y[..., None] + 0.3 + 0.5 * stats.norm.ppf(LEVELS)
    found = measured(quantiles, data, "test")
    past = data.values[:152]
    assert found["mase"] == pytest.approx(0.3 / abs(past[12:] - past[:-12]).mean(), rel=1e-4)
    assert found["smape"] == pytest.approx((0.3 / (y + 0.15)).mean(), rel=1e-3)
    z = 0.3 / 0.5  # the Gaussian's CRPS, of which 19 levels are an approximation
    exact = 0.5 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert found["crps"] == pytest.approx(exact, rel=0.06)
    assert found["coverage"] == 1.0
    assert measured(quantiles - 5, data, "test")["coverage"] == 0.0


def test_a_window_is_scaled_by_what_is_read_of_it():
    y = jnp.asarray(made().windows("test")["y"])
    z, mean, deviation = scaled(y, 12)
    np.testing.assert_allclose(z[:, :12].mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(z * deviation + mean, y, atol=1e-5)
    np.testing.assert_array_equal(scaled(y.at[:, 12:].set(9.0), 12)[1], mean)


def test_the_naive_forecast_is_a_season_ago():
    data = made()
    found = classical("naive", data, "test")
    np.testing.assert_allclose(found[0].mean(-1), data.values[164:168], atol=0.1)
    assert found[..., MEDIAN].shape == (6, 4)


NETWORKS = ("nbeats", "nhits", "patchtst", "tcn", "lstm", "deepar")
TINY = {"steps": 2, "width": 8, "samples": 3, "batch_size": 8}


def windows():
    """The test's of made data, as a batch."""
    shown = {part: jnp.asarray(array) for part, array in made().windows("test").items()}
    return shown | {"weight": jnp.ones(6)}


def context():
    key = jax.random.key(0)
    return Context(key=key, draw=key, step=jnp.int32(0), stats=None, memory={}, ema=None, given=None)


def test_a_loss_and_a_forecast_of_every_network():
    """By shapes, but for one, whose loss has a gradient."""
    config = Config(**TINY)
    for name in NETWORKS:
        p = jnn.abstract(forecast.network_spec(config, name, KIND))
        how = {"config": config, "name": name, "kind": KIND}
        out = jax.eval_shape(functools.partial(forecast.loss, **how), p, windows(), context())
        assert out.values.shape == (6,)
        shape = jax.eval_shape(functools.partial(forecast.forecast, **how, key=jax.random.key(0)), p, windows())
        assert shape.shape == (6, 4, len(LEVELS))
    how["name"] = "nhits"
    p = jnn.init(forecast.network_spec(config, "nhits", KIND), jax.random.key(0))
    slope = jax.jit(jax.grad(lambda p: forecast.loss(p, windows(), context(), **how).values.sum()))(p)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slope))


def test_figures():
    found = {name: classical("naive", made(), "test") for name in ("one", "other")}
    drawn = [draw() for draw in fan_charts.figures(found, made()).values()]
    assert [len(figure.axes) for figure in drawn] == [2, 1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_learns_the_wave_and_reads_nothing_behind_an_origin(tmp_path, monkeypatch, caplog, name):
    monkeypatch.setattr(forecast, "series", lambda name, data_dir: made())
    config = Config(workdir=str(tmp_path), networks=(name,), **TINY | {"steps": 400, "width": 32, "samples": 30})
    config = dataclasses.replace(config, learning_rate=5e-3, batch_size=32)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcome = forecast.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert [compiled.count(program) for program in ("sharded", "evaluate")] == [1, 1]
    kinds = ("mase", "smape", "crps", "coverage")
    assert sorted(outcome.metrics) == sorted(f"{m}_{kind}" for m in (name, "naive") for kind in kinds)
    assert {"step", f"train/loss_{name}", f"val/loss_{name}"} <= set(outcome.history[-1])
    assert outcome.metrics[f"{name}_mase"] < 2  # of the noise of a season's difference; the mean of the past has 17
    predict = lambda y: forecast.forecast(outcome.params[name], batch | {"y": y}, config, name, KIND, jax.random.key(0))
    batch = windows()
    np.testing.assert_array_equal(predict(batch["y"]), predict(batch["y"].at[:, 12:].set(99.0)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nbeats", "nhits", "lstm"])
def test_the_peer_learns_the_wave(name):
    config = Config(steps=300, width=32, learning_rate=5e-3, batch_size=32)
    network = torch_forecast.train(config, name, made())
    assert measured(torch_forecast.forecast(network, made(), "test"), made(), "test")["mase"] < 2


needs_electricity = pytest.mark.skipif(
    not (data_root() / "electricity").exists(),
    reason=f"electricity is not in {data_root()}; set JNN_DATA to where it is.",
)
SHORT = ["--steps", "60", "--width", "32", "--networks", "nbeats", "deepar", "--samples", "10"]


@needs_electricity
@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_preflight_reports(tmp_path):
    resumed("experiments.forecast", tmp_path, SHORT)
    flown("experiments.forecast", tmp_path, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERIES)
def test_real_series_are_whole(name):
    needs(SERIES[name].file)
    data = series(name)
    assert len(data.values) == {"electricity": 26_304, "bike_sharing": 78_421, "temperature": 3_652}[name]
    assert np.isfinite(data.values).all()
