"""Recommending, on made ratings: parts are disjoint, rankings are full, short runs learn, killed ones go on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import films, ratings, recommend, recommend_next
from experiments.ranking import full_ranking
from experiments.recommenders import make_neumf, make_sasrec, make_two_tower
from jnn.train import Context
from tests.experiments.shortened import flown, resumed

USERS, FILMS, WATCHED = 24, 30, 20
RATED = ["--steps", "20", "--batch-size", "64", "--factors", "4"]
NEXT = ["--steps", "20", "--batch-size", "8", "--embed", "8", "--context", "8"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Made people who watch one film after the next in the order of their numbers, and like the first half of them."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("data")
    (root / "movielens100k").mkdir()
    write = lambda name, rows: (root / "movielens100k" / f"u.{name}").write_text("".join(f"{row}\n" for row in rows))
    rows = [
        (user + 1, film + 1, 4 + rng.integers(2) if film < FILMS // 2 else 1 + rng.integers(2), time)
        for user, first in enumerate(rng.integers(0, FILMS, USERS))
        for time, film in enumerate((first + np.arange(WATCHED)) % FILMS)
    ]
    write("data", ["\t".join(map(str, rows[i])) for i in rng.permutation(len(rows))])
    write("user", [f"{i + 1}|{20 + i}|{'FM'[i % 2]}|{('writer', 'none')[i % 2]}|0" for i in range(USERS)])
    genres = lambda film: "|".join("01"[genre in (film % 18 + 1, 5)] for genre in range(19))
    write("item", [f"{i + 1}|Film {i + 1} (1990)|1990|||{genres(i)}" for i in range(FILMS)])
    return str(root)


def test_each_rating_tests_in_one_fold_and_never_trains_there(data_dir):
    data = films.rated(data_dir)
    keys = lambda part: part["user"] * FILMS + part["film"]
    counts = np.zeros((3, USERS * FILMS, films.FOLDS))
    for of_part, part in zip(counts, data[:3], strict=True):
        of_part[keys(part)] = part["counts"]
    assert counts.sum((0, 2)).max() == films.FOLDS
    assert set(np.unique(counts.sum(0))) == {0, 1}
    assert (counts[2].sum(1)[counts.any((0, 2))] == 1).all()
    assert 0.02 < counts[1].sum() / counts[:2].sum() < 0.08


def test_the_last_film_tests_and_the_one_before_validates(data_dir):
    data = films.watched(data_dir, context=8)
    after = lambda film, n: (film + n) % FILMS
    last = data.test["y"]
    np.testing.assert_array_equal(after(data.validation["y"], 1), last)
    np.testing.assert_array_equal(data.test["history"][:, -1], data.validation["y"])
    for user, row in enumerate(data.train["user"]):
        assert row < USERS
        assert data.train["y"][user] == after(data.train["history"][user, data.train["length"][user] - 1], 1)
    trained = [set(data.train["y"][data.train["user"] == user]) for user in range(USERS)]
    assert [len(own) for own in trained] == [WATCHED - 3] * USERS
    assert not any({last[user], data.validation["y"][user]} & own for user, own in enumerate(trained))
    there = np.arange(8) < data.sequences["length"][:, None]
    np.testing.assert_array_equal(data.sequences["y"][there], after(data.sequences["x"], 1)[there])
    assert (data.test["seen"].sum(1) == WATCHED - 1).all()
    assert not data.test["seen"][np.arange(USERS), last].any()


def test_a_full_ranking_leaves_out_what_was_seen_and_nothing_else():
    scores, y = jnp.array([[5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]]), jnp.array([2, 0])
    found = full_ranking(scores, y, jnp.array([[1, 0, 0, 0], [0, 0, 0, 1]]), k=2)
    assert float(found["hit_rate"].value()) == 0.5
    assert float(found["ndcg"].value()) == pytest.approx(0.5 / np.log2(3))


def test_biases_are_the_means_of_what_is_left():
    part = {"user": np.array([0, 0, 1]), "film": np.array([0, 1, 0]), "y": np.array([5.0, 3.0, 1.0])}
    mean, users, of_films = ratings.biases(part | {"counts": np.ones((3, 1))}, 0, 0.0)
    assert mean == 3
    np.testing.assert_allclose(of_films, [0, 0])
    np.testing.assert_allclose(users, [1, -2])


def test_a_run_of_ratings(tmp_path, data_dir):
    config = recommend.Config(
        steps=2, workdir=str(tmp_path), data_dir=data_dir, batch_size=64, factors=2, networks=("fm",)
    )
    outcome = recommend.experiment(config)
    assert sorted(outcome.metrics) == ["fm_rmse", "mean_and_biases_rmse"]
    assert outcome.metrics["mean_and_biases_rmse"] < 1  # films of the first half are liked
    assert [len(figure().axes) > 0 for figure in outcome.figures.values()] == [True, True]


@pytest.mark.parametrize("make", [make_neumf, make_two_tower, make_sasrec])
def test_networks_learn_from_their_rows_and_score_all_films(make, data_dir):
    config = recommend_next.Config(embed=8, context=8)
    network = make(films.watched(data_dir, config.context), config)
    ctx = Context(key=jax.random.key(0), draw=jax.random.key(1), step=jnp.int32(0))

    @jax.jit
    def both(rows, test):
        params = jnn.init(network.spec, jax.random.key(0))
        trained = recommend_next.loss(params, rows | {"weight": jnp.ones(4)}, ctx, network)
        return trained.values, recommend_next.loss(params, test | {"weight": jnp.ones(4)}, ctx, network)

    test = films.watched(data_dir, config.context).test
    values, tested = both(*({name: column[:4] for name, column in part.items()} for part in (network.rows, test)))
    assert values.shape == tested.values.shape == (4,)
    assert np.isfinite(values).all()
    assert np.isfinite(tested.values).all()
    assert sorted(tested.metrics) == ["hit_rate", "ndcg"]


@pytest.mark.slow
def test_short_runs_beat_what_knows_nobody(tmp_path, data_dir):
    common = {"data_dir": data_dir, "embed": 16, "context": 8, "steps": 150, "dropout": 0.0, "learning_rate": 1e-2}
    ranked = recommend_next.experiment(
        recommend_next.Config(workdir=str(tmp_path / "next"), batch_size=16, networks=("two_tower", "sasrec"), **common)
    ).metrics
    assert min(ranked[f"{name}_ndcg"] for name in ("two_tower", "sasrec")) > 1.5 * ranked["popularity_ndcg"]
    rated = recommend.experiment(
        recommend.Config(workdir=str(tmp_path / "rated"), data_dir=data_dir, steps=150, batch_size=64, factors=4)
    )
    losses = [row["train/loss_mf"] for row in rated.history if "train/loss_mf" in row]
    assert losses[-1] < losses[0]
    assert rated.metrics["fm_rmse"] < 1.5  # the deviation of all ratings is 1.6


@pytest.mark.slow
@pytest.mark.parametrize(("module", "short"), [("recommend", RATED), ("recommend_next", NEXT)])
def test_a_killed_run_goes_on_and_a_preflight_reports(tmp_path, data_dir, module, short):
    options = [*short, "--data-dir", data_dir]
    resumed(f"experiments.{module}", tmp_path, options)
    flown(f"experiments.{module}", tmp_path, options)
