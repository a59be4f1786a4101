"""Forgetting: how tasks are made, what is kept of them, what each method is given, and a short run of real digits."""

import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import continual, memory
from experiments.continual import opened, reservoir
from jnn.train import Context
from tests.data.sources.writers import idx
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

TINY = ["--width", "8", "--samples", "4", "--examples", "16", "--batch-size", "8"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A hundred digits that train and twenty that test: each a bright row of pixels at a place of its own."""
    root = tmp_path_factory.mktemp("data")
    (root / "mnist").mkdir()
    for part, n in (("train", 100), ("t10k", 20)):
        y = np.arange(n, dtype=np.uint8) % 10
        x = np.zeros((n, 28, 28), np.uint8)
        x[np.arange(n), 2 * y + 4] = 255
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            (root / "mnist" / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return str(root)


def tiny(folder, data_dir, **changes):
    sizes = {"width": 8, "samples": 4, "examples": 16, "batch_size": 8, "steps": 2}
    return memory.Config(workdir=str(folder), data_dir=data_dir, **sizes | changes)


@pytest.mark.parametrize("scenario", ["domain", "class"])
def test_tasks_are_of_mnist_once_each(data_dir, scenario):
    tasks = continual.tasks(scenario, data_dir)
    assert len(tasks) == 5
    if scenario == "class":
        assert [np.unique(task.test["y"]).tolist() for task in tasks] == [[2 * i, 2 * i + 1] for i in range(5)]
        assert sum(len(task.train["y"]) + len(task.validation["y"]) for task in tasks) == 100
    else:
        for one in tasks[1:]:
            assert (one.test["x"] != tasks[0].test["x"]).any()
            np.testing.assert_array_equal(np.sort(one.test["x"], 1), np.sort(tasks[0].test["x"], 1))
            np.testing.assert_array_equal(one.test["y"], tasks[0].test["y"])


def test_classes_that_are_asked_for():
    rows = {"task": np.array([0, 2])}
    asked = {name: opened(name, rows, 2)["open"].sum(1).tolist() for name in continual.NAMES}
    assert asked == {"domain": [10, 10], "task": [2, 2], "class": [6, 6]}


def test_a_reservoir_keeps_every_row_with_one_probability():
    counts = np.zeros(30)
    for seed in range(2000):
        kept, seen = None, 0
        for part in np.split(np.arange(30), (4, 17)):  # the first is smaller than what is kept
            kept = reservoir(kept, {"y": part}, seen, 6, seed=seed)
            seen += len(part)
        assert len(set(kept["y"].tolist())) == 6
        counts[kept["y"]] += 1
    np.testing.assert_allclose(counts / 2000, 6 / 30, atol=0.045)  # five deviations


def test_measures_of_a_matrix():
    matrix = np.array([[0.9, np.nan, np.nan], [0.95, 0.8, np.nan], [0.5, 0.6, 0.7]])
    assert continual.average_accuracy(matrix) == pytest.approx(0.6)
    assert continual.backward_transfer(matrix) == pytest.approx(-0.3)
    assert continual.forgetting(matrix) == pytest.approx((0.45 + 0.2) / 2)


def test_replay_weighs_what_is_new_as_one_task_of_all():
    part = lambda first, n: {"y": np.arange(first, first + n)}
    batch = continual.Replayed(part(0, 9), part(100, 3), 2, 4, 0)[0]
    assert batch["y"].shape == (7,)
    new = batch["y"] < 100
    assert new.sum() == 4
    np.testing.assert_allclose(batch["weight"][new], 1 / 3)
    np.testing.assert_allclose(batch["weight"][~new], 2 / 3)


@pytest.mark.parametrize("method", ["ewc", "online_ewc", "lwf"])
def test_what_is_handed_on_costs_nothing_until_params_move(data_dir, method):
    """At the old parameters the penalty is 0, and the network before agrees with itself."""
    config, tasks = memory.Config(width=4, samples=3), continual.tasks("task", data_dir)
    params = jnn.init(memory.mlp_spec((784, 4, 4, 10)), jax.random.key(0))
    given = {}
    for i in (0, 1):
        given = memory.handed_on(config, "task", method, params, tasks[i], i, given)
    batch = {name: jnp.asarray(x) for name, x in opened("task", tasks[2].train, 2).items()} | {"weight": jnp.ones(6)}
    batch = {name: x[:6] for name, x in batch.items()}
    context = lambda given: Context(None, jax.random.key(0), 0, given=given)
    measure = lambda params, given: memory.loss(params, batch, context(given), config, 1.0)
    there, without = measure(params, given), measure(params, None)
    assert there.penalty == 0
    share = given.get("share", 1.0)
    np.testing.assert_allclose(there.values, share * without.values, rtol=1e-5, atol=1e-6)
    moved = measure(jax.tree.map(lambda w: w + 0.3 * jnp.sign(w), params), given)
    kept = moved.penalty if method != "lwf" else (moved.values - share * without.values).max()
    assert kept > 0
    if method != "lwf":
        assert len(given["past"]) == (2 if method == "ewc" else 1)


def test_a_run_measures_every_task_after_each(tmp_path, data_dir, monkeypatch):
    """Of two tasks, since each is a program to compile."""
    two = continual.tasks("class", data_dir)[:2]
    monkeypatch.setattr(continual, "tasks", lambda scenario, data_dir: two)
    outcome = memory.experiment(tiny(tmp_path, data_dir, scenarios=("class",), methods=("replay",)))
    assert sorted(outcome.metrics) == [f"class_replay_{what}" for what in sorted(memory.MEASURES)]
    assert 0 <= outcome.metrics["class_replay_accuracy"] <= 1
    assert [row["step"] for row in outcome.history] == [1, 2, 3, 4]
    for draw in outcome.figures.values():
        assert draw().axes


@pytest.mark.slow
def test_digits_are_forgotten_and_replay_remembers(tmp_path):
    """A shortened run of split MNIST: without a cure earlier classes are gone; the information is one program."""
    needs("mnist")
    methods = ("none", "online_ewc", "replay")
    config = memory.Config(workdir=str(tmp_path), scenarios=("class",), methods=methods, steps=60, width=32)
    before = memory.fisher._cache_size()
    outcome = memory.experiment(config)
    assert outcome.metrics["class_none_accuracy"] < 0.3
    assert outcome.metrics["class_replay_accuracy"] > 0.5
    losses = [row["train/loss_class_none"] for row in outcome.history[:3]]
    assert losses[-1] < 0.5 * losses[0]
    assert memory.fisher._cache_size() <= before + 1


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, data_dir):
    options = ["--steps", "6", "--data-dir", data_dir, "--scenarios", "task", "--methods", "ewc", "replay", *TINY]
    resumed("experiments.memory", tmp_path, options)


@pytest.mark.slow
def test_a_preflight_reports(tmp_path, data_dir):
    flown("experiments.memory", tmp_path, ["--data-dir", data_dir, *TINY])
