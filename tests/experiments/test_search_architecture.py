"""Architecture search: the space, searches of a made table, a toy run, a short one that learns, is killed, planned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import darts, search_architecture
from experiments.architecture_searches import SEARCHES, Table, regret
from experiments.cells import ARCHITECTURES, cell_network, cell_network_spec, kernel, one_hot
from jnn.layers import conv, linear, linear_spec
from tests.experiments.made_images import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

SHORT = ["--steps", "8", "--seeds", "1", "--runs", "2", "--repeats", "3", "--maps", "2"]


def test_a_mixture_is_one_convolution():
    p = jnn.init(cell_network_spec(2), jax.random.key(0))["cell0"]["edge01"]
    x, shares = jax.random.normal(jax.random.key(1), (3, 7, 7, 2)), jnp.array([0.1, 0.2, 0.3, 0.25, 0.15])
    around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    average = sum(around[:, i : i + 7, j : j + 7] for i in range(3) for j in range(3)) / 9
    parts = [0 * x, x, average, conv(p["conv1"], x), conv(p["conv3"], x)]
    mixed = sum(share * part for share, part in zip(shares, parts, strict=True))
    np.testing.assert_allclose(conv({"w": kernel(p, shares)}, x), mixed, atol=1e-5)


def test_an_architecture_is_itself_alone():
    spec = cell_network_spec(2)
    p, x = jnn.init(spec, jax.random.key(0)), jax.random.normal(jax.random.key(1), (3, 7, 7, 1))
    other = jnn.init(spec, jax.random.key(2))
    mix = one_hot((4, 1, 3))
    f = jax.jit(jax.value_and_grad(lambda p: (cell_network(p, x, mix) ** 2).sum()))
    value, slopes = f(p)
    unused = {f"cell{i}": {"edge01": "conv1", "edge02": ("conv1", "conv3"), "edge12": "conv3"} for i in range(2)}
    changed = {name: dict(part) for name, part in p.items()}
    for name, edges in unused.items():
        for edge, operations in edges.items():
            for operation in (operations,) if isinstance(operations, str) else operations:
                assert not slopes[name][edge][operation]["w"].any()
                changed[name][edge] = changed[name][edge] | {operation: other[name][edge][operation]}
    assert f(changed)[0] == value


def test_weights_and_mixtures_learn_from_rows_of_their_own():
    p = jnn.init(darts.bilevel_spec(2), jax.random.key(0))
    rows = {"x": jax.random.normal(jax.random.key(1), (4, 4, 4, 1)), "y": jnp.arange(4), "weight": jnp.ones(4)}
    others = {f"other_{name}": x for name, x in rows.items()}
    slopes = jax.jit(jax.grad(lambda p, batch: darts.bilevel_loss(p, batch, None).values.sum()))
    first = slopes(p, rows | others)
    of_weights = slopes(p, rows | others | {"other_x": others["other_x"] + 1})
    of_mixtures = slopes(p, rows | others | {"x": rows["x"] + 1})
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), first["weights"], of_weights["weights"]))
    assert (first["mixtures"] == of_mixtures["mixtures"]).all()
    assert (first["mixtures"] != of_weights["mixtures"]).any()


def made(best=77, noise=0.0):
    """A table whose accuracies fall with the edges in which an architecture differs from the best."""
    rng = np.random.default_rng(0)
    far = (np.array(ARCHITECTURES) != ARCHITECTURES[best]).sum(1)
    test = 0.9 - 0.1 * far - 0.001 * rng.random(len(far)) * (far > 0)
    looks = test[:, None, None] * np.array([0.5, 0.7, 0.9, 1.0])
    return Table(np.array([1, 2, 4, 8]), looks + noise * rng.normal(size=(len(far), 3, 4)), test)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_the_best_and_pays_for_it(name):
    table = made()
    traces = [SEARCHES[name](table, np.random.default_rng(seed)) for seed in range(5)]
    costs = np.array([10.0, 125.0])
    found = np.stack([regret(table, trace, costs) for trace in traces])
    assert (np.diff(found) <= 0).all()
    assert found[:, 1].mean() < 0.03
    assert all(spent == sorted(spent) for spent in ([cost for cost, _ in trace] for trace in traces))


def test_early_stopping_and_evolution_are_ahead_of_chance():
    table, costs = made(noise=0.005), np.array([25.0])
    mean = lambda search: np.mean([regret(table, search(table, np.random.default_rng(i)), costs) for i in range(60)])
    by_chance = mean(SEARCHES["random search"])
    assert mean(SEARCHES["successive halving"]) < by_chance
    assert mean(SEARCHES["regularized evolution"]) < by_chance


def test_a_run_of_a_few_steps(tmp_path, monkeypatch):
    """Of a network of one map, which does not read a mixture but in its size: soon compiled."""
    toy = lambda p, x, mix: linear(p["head"], x.mean((-3, -2))) * mix[:, 1:].sum()
    for module in (search_architecture, darts):
        monkeypatch.setattr(module, "cell_network_spec", lambda maps: {"head": linear_spec(1, 10)})
        monkeypatch.setattr(module, "cell_network", toy)
    data_dir = write(tmp_path / "data")
    how = {"steps": 2, "seeds": 1, "runs": 2, "repeats": 2, "batch_size": 8, "data_dir": data_dir}
    outcome = search_architecture.experiment(search_architecture.Config(workdir=str(tmp_path / "run"), **how))
    assert len(outcome.metrics["darts"]) == 2
    assert "none" not in " ".join(outcome.metrics["darts"])
    assert outcome.metrics["darts_regret"] >= 0
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
def test_a_shortened_run_learns(tmp_path):
    needs("fashion_mnist/train-images-idx3-ubyte.gz")
    config = search_architecture.Config(steps=128, seeds=1, runs=2, repeats=5, maps=4, workdir=str(tmp_path))
    found = search_architecture.experiment(config).metrics
    assert found["best_test"] > max(0.4, found["median_test"])
    assert found["darts_mixed"] > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path):
    asked("experiments.search_architecture", tmp_path, ["--data-dir", write(tmp_path / "data", rows=(400, 40)), *SHORT])
