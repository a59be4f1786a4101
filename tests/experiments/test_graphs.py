"""Graphs, tiny: layers on bags of words, runs as if alone, folds, what a choice sees; runs that learn and go on."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from experiments import citations, graphs, links, mutag, mutagens, runs
from jnn.layers import dropout
from jnn.train import LossOutput, create_state, make_step
from tests.experiments.made_graphs import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("method", graphs.METHODS)
def test_a_layer_on_bags_of_words_is_the_layer_on_their_features(data_dir, method):
    of, how = citations.papers("cora", data_dir), graphs.METHODS[method]
    p = jnn.init(how.spec(of.words.vocabulary, classes=7), jax.random.key(0))["layers"][0]
    key = jax.random.key(1)
    weights = np.asarray(dropout(jnp.asarray(of.words.weights), 0.5, key=key))
    x = np.zeros((len(of.y), of.words.vocabulary), np.float32)
    for row, ids, own, length in zip(x, of.words.ids, weights, of.words.lengths, strict=True):
        row[ids[:length]] = own[:length]
    expected = how.layer(p, jnp.asarray(x), of, None)
    found = how.layer(*citations.on_words(p, of.words, rate=0.5, key=key), of, None)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_bags_are_the_words_that_are_there():
    x = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], np.float32)
    words = citations.bags(x)
    assert words.ids.tolist() == [[1, 3, 0], [0, 0, 0], [0, 1, 2]]
    assert words.lengths.tolist() == [2, 0, 3]
    np.testing.assert_allclose(words.weights[:, 0], [1 / 2, 1, 1 / 3])


def test_a_run_among_others_is_as_if_alone():
    """The same parameters after two updates, whatever the rows' order."""

    def loss(p, batch, ctx):
        return LossOutput(jnp.square(p["w"] - jax.random.normal(ctx.fold(0).draw, (3,))).mean()[None], batch["weight"])

    def trained(w, count):
        step = make_step(loss, optax.adam(0.1), jax.random.key(0), sums=runs.run_sums)
        state = create_state({"w": w}, optax.adam(0.1))
        for seed in range(2):
            x = np.random.default_rng((seed, count)).permutation(count).astype(np.int32)
            state, metrics = step(state, {"x": x, "weight": np.ones(count, np.float32)})
        return state.params["w"], metrics

    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    four, metrics = trained(jnp.asarray(w), 4)
    two, _ = trained(jnp.asarray(w[:2]), 2)
    np.testing.assert_array_equal(four[:2], two)
    assert float(metrics["loss"].weight) == 4
    assert not np.allclose(four[2] - w[2], four[3] - w[3])


def test_a_run_classifies_and_remembers_its_best_step(tmp_path, data_dir):
    config = graphs.Config(workdir=str(tmp_path), data_dir=data_dir, steps=2, runs=8, methods=("gcn",))
    outcome = graphs.experiment(config)
    assert sorted(outcome.metrics) == ["gcn_accuracy", "gcn_deviation", "gcn_step"]
    assert 1 <= outcome.metrics["gcn_step"] <= 2
    assert outcome.params["gcn"]["layers"][0]["w"].shape == (8, 35, 16)


def test_what_is_remembered_is_of_the_best_step(data_dir):
    of, how = citations.papers("cora", data_dir), graphs.METHODS["gcn"]
    begin, remember = graphs.make_choice(of, how, 2)
    spec = jnn.stack(how.spec(of.words.vocabulary, classes=7), 2, "runs")
    first, other = (jnn.init(spec, jax.random.key(seed)) for seed in (0, 1))
    after = jax.jit(remember)(begin(first), first, None, None, jnp.int32(1))
    both = jax.jit(remember)(after, other, None, None, jnp.int32(2))
    alone = jax.jit(remember)(begin(other), other, None, None, jnp.int32(2))
    expected = np.where(alone["score"] > after["score"], 2, 1)
    assert both["step"].tolist() == expected.tolist()
    np.testing.assert_array_equal(both["score"], np.maximum(after["score"], alone["score"]))
    kept = np.where((expected == 2)[:, None], alone["classes"], after["classes"])
    np.testing.assert_array_equal(both["classes"], kept)


def test_held_out_pairs_are_no_ones_twice(data_dir):
    whole = citations.papers("cora", data_dir)
    of, training, test = citations.held_out(whole, seed=0)
    cited = {tuple(sorted(pair)) for pair in np.stack(whole.edges[:2], 1).tolist()}
    sets = [{tuple(pair) for pair in part.tolist()} for part in (training.cited, test.cited)]
    assert sets[0] <= cited
    assert sets[1] <= cited
    assert not sets[0] & sets[1]
    others = [{tuple(pair) for pair in part.tolist()} for part in (training.others, test.others)]
    assert not (others[0] | others[1]) & cited
    assert not others[0] & others[1]
    assert len(test.cited) == len(test.others) == len(cited) // 10
    seen = {tuple(sorted(pair)) for pair in np.stack(of.edges[:2], 1).tolist()}
    assert seen == sets[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gae", "vgae", "node2vec"])
def test_links_are_measured(tmp_path, data_dir, method):
    config = links.Config(workdir=str(tmp_path), data_dir=data_dir, methods=(method,), runs=8, steps=2, walk_steps=2)
    outcome = links.experiment(config)
    names = ("auc", "ap", "class_accuracy")
    assert sorted(outcome.metrics) == sorted(f"{method}_{name}{end}" for name in names for end in ("", "_deviation"))


def test_folds_test_each_once_and_a_fold_chooses_that_neither_trains_nor_tests():
    y = np.arange(47) % 3 == 0
    folds = mutagens.folds_of(y)
    counts = np.stack([np.bincount(folds[own], minlength=10) for own in (y, ~y)])
    assert (counts.max(1) - counts.min(1) <= 1).all()
    for protocol, parts in (("honest", 3), ("paper", 2)):
        trains, chooses, tests = np.moveaxis(mutagens.parts(folds, protocol), 1, 0)
        assert (tests.sum(0) == 1).all()
        assert (trains | chooses | tests).all()
        assert len({row.tobytes() for row in (trains[0], chooses[0], tests[0])}) == parts
        assert not (trains & (chooses | tests)).any()


def test_an_epoch_is_chosen_by_all_folds_or_by_each():
    chooses = np.array([[[0.5, 0.9]], [[0.8, 0.5]], [[0.6, 0.9]]])
    tests = np.array([[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]])
    assert mutag.choose(chooses, tests, "honest").tolist() == [[3.0, 6.0]]
    assert mutag.choose(chooses, tests, "paper").tolist() == [[5.0, 6.0]]


def test_molecules_are_whole(data_dir):
    found, y = mutagens.molecules(data_dir)
    assert found.nodes.shape == (40, 6, 7)
    sizes = found.node_mask.sum(1)
    assert sizes.tolist() == [4 + i % 3 for i in range(40)]
    np.testing.assert_array_equal(found.nodes.sum((1, 2)), sizes)
    rings = found.edges.mask.sum(1) == 2 * sizes
    np.testing.assert_array_equal(rings, y == 1)
    assert (np.where(found.edges.mask, found.edges.senders, 0).max(1) == sizes - 1).all()


@pytest.mark.slow
def test_mutag_is_measured(tmp_path, data_dir):
    config = mutag.Config(
        workdir=str(tmp_path), data_dir=data_dir, steps=2, every=1, layers=1, width=2, repeats=4, protocols=("honest",)
    )
    outcome = mutag.experiment(config)
    assert sorted(outcome.metrics) == ["honest_accuracy", "honest_deviation", "honest_last_accuracy"]


SHORT = {
    "graphs": ["--steps", "20", "--runs", "8", "--methods", "graph_sage"],
    "links": ["--steps", "20", "--runs", "8", "--methods", "vgae", "node2vec", "--walk-steps", "10"],
    "mutag": ["--steps", "20", "--every", "5", "--repeats", "4", "--layers", "2", "--protocols", "honest"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_short_run_goes_on_and_is_planned(tmp_path, data_dir, name):
    options = [*SHORT[name], "--data-dir", data_dir]
    resumed(f"experiments.{name}", tmp_path, options)
    flown(f"experiments.{name}", tmp_path, options)


@pytest.mark.slow
def test_short_runs_learn(tmp_path):
    needs("cora", "mutag")
    config = partial(graphs.Config, methods=("gcn",), runs=8, steps=60)
    assert graphs.experiment(config(workdir=str(tmp_path / "graphs"))).metrics["gcn_accuracy"] > 0.75
    config = partial(links.Config, methods=("gae",), runs=8, steps=60)
    assert links.experiment(config(workdir=str(tmp_path / "links"))).metrics["gae_auc"] > 0.75
    config = partial(mutag.Config, protocols=("honest",), repeats=4, steps=300)
    assert mutag.experiment(config(workdir=str(tmp_path / "mutag"))).metrics["honest_accuracy"] > 0.7
