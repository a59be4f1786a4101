"""Prices: nothing reads tomorrow, made markets are told from each other, leaks are found where they are, kills."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import leaks, predictability, prices, stock_pictures, stocks
from experiments.prices import KIND, MONTH, YEARS, Prices, days, walk_forward
from jnn.train import Context
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs


def market(momentum=0.0, seed=0):
    """Fifty days a year of 1999 to 2018: calm and storm in turns, and returns that lean on the day before."""
    rng, n = np.random.default_rng(seed), 20 * 50
    calm = np.zeros(n)
    noise = 0.15 * rng.normal(size=n)
    for i in range(1, n):
        calm[i] = 0.97 * calm[i - 1] + noise[i]
    scale, returns = 0.01 * np.exp(calm), np.zeros(n)
    for i, one in enumerate(rng.normal(size=n)):
        returns[i] = scale[i] * one + momentum * returns[i - 1]
    close, wide = 1000 * np.exp(np.cumsum(returns)), scale * np.exp(0.2 * rng.normal(size=n))
    year = np.repeat(np.arange(1999, 2019), 50)
    return Prices(year, close, close * np.exp(wide), close * np.exp(-wide), close, 1e6 * (1 + rng.random(n)))


def test_a_row_knows_its_day_and_no_later_one():
    known = market()
    data = days(known)
    n = len(known.close) - MONTH - 1
    assert data.x.shape == (n, MONTH, 3)
    np.testing.assert_allclose(data.targets["return"], 100 * np.log(data.next_close / data.close))
    np.testing.assert_allclose(data.x[1:, -1, 0], data.targets["return"][:-1], rtol=1e-5)
    np.testing.assert_allclose(data.x[1:, -1, 1], data.targets["volatility"][:-1], rtol=1e-5)
    at = 500
    cut = Prices(*(np.where(np.arange(len(column)) <= at, column, column[0]) for column in known))
    rows = at - MONTH  # of which the last ends with that day
    np.testing.assert_array_equal(days(cut).x[: rows + 1], data.x[: rows + 1])
    for target in prices.TARGETS:
        ours, whole = (predictability.past_forecasts(of, target) for of in (days(cut), data))
        for name in ours.keys() - {"average", "linear", "har"}:  # which choose, or are fitted, by whole years
            np.testing.assert_array_equal(ours[name][: rows + 1], whole[name][: rows + 1])


def test_a_fold_learns_from_years_before_its_own():
    data = days(market())
    learnt, asked = walk_forward(data.year)
    for fold, year in enumerate(YEARS):
        assert data.year[learnt[:, fold]].max() == year - 1
        assert set(data.year[asked[:, fold]]) == {year}
    assert (asked.sum(1) == (data.year >= YEARS[0])).all()
    part = stocks.rows(data, "return")
    scale, changed = stocks.scales(part), np.where(data.year < YEARS[3], part["y"], 99)
    later = stocks.scales(part | {"y": changed.astype(np.float32)})
    np.testing.assert_array_equal(scale["y_mean"][:, :4], later["y_mean"][:, :4])
    assert (scale["y_mean"][:, 4:] != later["y_mean"][:, 4:]).all()


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_momentum_is_found_where_it_is_and_volatility_always(momentum):
    data = days(market(momentum))
    found = {target: predictability.past_forecasts(data, target) for target in prices.TARGETS}
    for of in found.values():
        of["lstm"] = of["linear" if "linear" in of else "har"]
    scores = predictability.measured(found, data)
    assert scores["har_volatility_r2"] > 0.3
    assert scores["har_volatility_p"] < 1e-6
    assert (scores["linear_return_r2"] > 0.05) == (momentum > 0)
    assert (scores["linear_return_p"] < 0.01 and scores["linear_return_r2"] > 0) == (momentum > 0)
    assert (scores["linear_right_p"] < 1e-3) == (momentum > 0)


def test_leaks_make_a_random_walk_look_known():
    known = market()
    data = days(known)
    fooled = leaks.measured(known, data, np.zeros(len(data.year)))
    assert fooled["price"].fake > 0.9
    assert fooled["price"].honest == 0
    assert fooled["smoothed"].fake > 0.5
    assert fooled["shuffled"].fake > 0.3
    assert all(leak.honest < 0.02 for leak in fooled.values())


def test_the_trend_so_far_is_polyfits():
    values = np.random.default_rng(0).normal(size=9)
    expected = [np.polyval(np.polyfit(np.arange(n), values[:n], 1), n - 1) for n in range(2, 10)]
    np.testing.assert_allclose(leaks.trend_so_far(values)[1:], expected, atol=1e-9)


def test_a_loss_of_the_folds_that_learn_and_figures(tmp_path):
    data = days(market())
    config = stocks.Config(steps=1, workdir=str(tmp_path), width=8)
    part = {name: jnp.asarray(column[[0, 400, -1]]) for name, column in stocks.rows(data, "return").items()}
    how = {"config": config, "scale": stocks.scales(stocks.rows(data, "return"))}
    p = jnn.init(jnn.stack(stocks.NETWORK.spec(KIND, 2, 8, 1), len(YEARS), "folds"), jax.random.key(0))
    key = jax.random.key(0)
    batch = part | {"weight": jnp.ones(3)}
    found = jax.jit(lambda p: stocks.loss(p, batch, Context(key=key, draw=key, step=jnp.int32(0)), **how).values)(p)
    assert (found[:2] > 0).all()
    assert found[2] == 0  # of the last year, from which nobody learns
    forecasts = {target: predictability.past_forecasts(data, target) for target in prices.TARGETS}
    for of in forecasts.values():
        of["lstm"] = of["mean"]
    fooled = leaks.measured(market(), data, forecasts["return"]["lstm"])
    drawn = [draw() for draw in stock_pictures.figures(forecasts, data, fooled).values()]
    assert [len(figure.axes) for figure in drawn] == [3, 1, 2, 1]


@pytest.mark.slow
def test_a_short_run_finds_momentum(tmp_path, monkeypatch):
    monkeypatch.setattr(stocks, "prices", lambda name, data_dir: market(0.5))
    config = stocks.Config(steps=100, workdir=str(tmp_path), batch_size=64, width=16, learning_rate=1e-2)
    outcome = stocks.experiment(config)
    losses = [row["train/loss_return"] for row in outcome.history if "train/loss_return" in row]
    assert losses[-1] < losses[0]
    assert outcome.metrics["lstm_return_r2"] > 0.05
    assert outcome.metrics["lstm_right_p"] < 0.01


@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_preflight_reports(tmp_path):
    needs("stocks/sp500.csv")
    short = ["--steps", "40", "--batch-size", "64", "--width", "8"]
    resumed("experiments.stocks", tmp_path, short)
    flown("experiments.stocks", tmp_path, short)
