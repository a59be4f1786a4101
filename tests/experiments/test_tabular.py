"""Tables: parts by chance and by year, what is missing, boosting, tries side by side, kills."""

import csv
import dataclasses

import jax
import numpy as np
import pytest

import jnn
from experiments import boosting, tabular
from experiments.boosting import boosted, least_squares
from experiments.tables import KINDS, PARTS, for_networks, for_trees, table
from experiments.tabular_networks import NETWORKS, rated_adamw
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

ROWS = 400
TINY = tabular.Config(steps=2, data="men", width=8, layers=1, runs=2, batch_size=16)
SHORT = ["--data", "men", "--steps", "40", "--width", "8", "--layers", "1", "--runs", "2", "--networks", "mlp", "ft"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Made men: wages of school and of being married in the south, a few of whose mothers nobody knows."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    (root / "wages").mkdir()
    kind = KINDS["men"]
    columns = {name: rng.normal(10, 3, ROWS).round(2) for name in kind.numbers}
    columns |= {name: rng.integers(0, 2, ROWS) for name in kind.categories}
    both = columns["married"] * columns["south"]
    columns["lwage"] = (0.3 * columns["educ"] + 2 * both + 0.3 * rng.normal(size=ROWS)).round(4)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row in rows[::20]:
        row["meduc"] = ""
    with (root / "wages" / "wage2.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return str(root)


def test_parts_are_disjoint_and_scaled_by_what_trains(data_dir):
    data = table("men", data_dir)
    assert [len(data.y[part]) for part in PARTS] == [256, 64, 80]
    rows = np.concatenate([data.numbers[part][:, 0] + 100 * data.numbers[part][:, 1] for part in PARTS])
    assert len(np.unique(rows)) == ROWS
    parts = for_networks(data)
    values, ids = parts["train"]["values"], parts["train"]["ids"]
    missing = np.isnan(data.numbers["train"])
    assert missing.sum() > 5
    assert (values[:, :11][missing] == 0).all()
    np.testing.assert_allclose(values[:, :11].sum(0), 0, atol=1e-3)
    assert (values[:, 11:] == 1).all()
    assert ids.max() == 11 + 8 - 1
    assert [len(np.unique(column)) for column in ids.T] == [1] * 11 + [2] * 4
    trees = for_trees(data)
    np.testing.assert_array_equal(np.isnan(trees["test"]["x"][:, :11]), np.isnan(data.numbers["test"]))
    np.testing.assert_array_equal(trees["test"]["y"], parts["test"]["y"])


def test_the_last_year_of_hours_tests(tmp_path):
    (tmp_path / "bike_sharing").mkdir()
    hours = np.arange(np.datetime64("2016-12-31T00"), np.datetime64("2019-01-02T00"), 7)
    lines = [f"{str(hour).replace('T', ' ')}:00:00,{i % 50},1.5,{i % 9},0" for i, hour in enumerate(hours)]
    (tmp_path / "bike_sharing" / "hourly_bikesharing.csv").write_text("ts,count,tmin,tmax,pn\n" + "\n".join(lines))
    data = table("bikes", str(tmp_path))
    year = hours.astype("datetime64[Y]").astype(int) + 1970
    assert [len(data.y[part]) for part in PARTS] == [(year < 2018).sum(), (year == 2018).sum(), (year == 2019).sum()]
    assert data.sizes == (24, 7, 12)
    np.testing.assert_allclose(np.expm1(data.y["train"][:3]), [0, 1, 2])
    assert data.categories["train"][:4, 0].tolist() == [0, 7, 14, 21]


def test_boosting_finds_what_is_not_linear(data_dir):
    data = table("men", data_dir)
    parts = for_trees(data)
    y = parts["test"]["y"]
    error = lambda found: np.square(found - y).mean()
    assert error(boosted(parts, 0.1, len(data.kind.numbers), 0)[1]) < error(least_squares(for_networks(data))) < 0.6


def test_the_best_rate_is_chosen_by_what_validates():
    y = np.zeros(3)
    validated, tested = np.array([[9.0, 0, 1, 1]] * 3), np.arange(12.0).reshape(3, 4)
    rate, found = tabular.best(validated, tested, y, (0.1, 0.2))
    assert rate == 0.2
    np.testing.assert_array_equal(found, tested[:, 2:])


def test_tries_do_not_meet_and_each_has_its_rate():
    p = jnn.init(jnn.stack(NETWORKS["mlp"].spec(5, 3, 4, 1), 4, "tries"), jax.random.key(0))
    optimizer, config = rated_adamw(np.array([0.0625, 0.0625, 1, 1]), 0.0, 10), dataclasses.replace(TINY, rates=(1, 2))
    updates, _ = optimizer.update(jax.tree.map(lambda x: 0 * x + 1, p), optimizer.init(p), p)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_allclose(leaf[:2], -0.0625, rtol=1e-5)
        np.testing.assert_allclose(leaf[2:], -1, rtol=1e-5)
    batch = {"ids": np.array([[0, 1, 3]]), "values": np.ones((1, 3), np.float32)}
    predict = jax.jit(lambda p: tabular.predicted(p, batch, config, "mlp", None)[0])
    other = predict(jax.tree.map(lambda leaf: leaf.at[1].add(1), p))
    assert (predict(p) != other).tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", NETWORKS)
def test_features_in_another_order_are_the_same_to_a_transformer_alone(name):
    p = jnn.init(NETWORKS[name].spec(5, 3, 8, 1), jax.random.key(0))
    ids, values = np.array([[0, 1, 3]]), np.array([[0.5, -1, 1]], np.float32)
    turned = jax.tree.map(lambda x: x, p) | ({"bias": p["bias"][::-1]} if name == "ft" else {})
    apply = jax.jit(lambda p, ids, values: NETWORKS[name].apply(p, ids, values, key=None, rate=0.0))
    same = np.allclose(apply(turned, ids[:, ::-1], values[:, ::-1]), apply(p, ids, values), atol=1e-5)
    assert same == (name == "ft")


def test_a_run(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(boosting, "TREES", 50)
    config = dataclasses.replace(TINY, workdir=str(tmp_path), data_dir=data_dir, networks=("snn",))
    outcome = tabular.experiment(config)
    assert sorted(outcome.metrics) == sorted(
        ["boosting_r2", "boosting_rate", "least_squares_r2", "snn_r2", "snn_r2_deviation", "snn_rate"]
    )
    assert outcome.metrics["boosting_r2"] > 0.7
    assert [len(figure().axes) for figure in outcome.figures.values()] == [1, 1]


@pytest.mark.slow
def test_networks_learn(tmp_path, data_dir):
    config = tabular.Config(steps=300, workdir=str(tmp_path), data_dir=data_dir, data="men", batch_size=64, dropout=0.0)
    found = tabular.experiment(config).metrics
    assert min(found[f"{name}_r2"] for name in NETWORKS) > max(0.5, found["least_squares_r2"] - 0.1)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_a_preflight_reports(tmp_path, data_dir):
    options = [*SHORT, "--data-dir", data_dir]
    resumed("experiments.tabular", tmp_path, options)
    flown("experiments.tabular", tmp_path, options)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("census", 29_501), ("couples", 3_286), ("men", 935), ("bikes", 78_421)])
def test_real_tables_are_whole(name, rows):
    needs(KINDS[name].file)
    assert sum(map(len, table(name).y.values())) == rows
