"""Few-shot learning: drawings and episodes of made alphabets, what each method finds, runs that go on, preflights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jnn
from experiments import characters, fewshot
from experiments.harness import launch
from jnn.train import Context
from tests.experiments.test_kills import check
from tests.needed_data import needs

TINY = {"filters": 4, "groups": 2, "ways": 3, "queries": 1, "batch_size": 8, "steps": 2}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Two sets of two alphabets, "shared" in both, of five characters, each a bar drawn by six people; and two runs."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)

    def draw(path, place):
        path.parent.mkdir(parents=True, exist_ok=True)
        ink = np.full((14, 14), 255, np.uint8)
        ink[:, 2 * place + int(rng.integers(2))] = 0
        Image.fromarray(ink).convert("1").save(path)

    for part, names in (("small1", ("shared", "a")), ("small2", ("shared", "b"))):
        for name in names:
            for character in range(5):
                for drawer in range(6):
                    folder = root / "omniglot" / f"images_background_{part}" / name / f"character{character:02}"
                    draw(folder / f"{drawer:02}.png", character)
    for run in ("run01", "run02"):
        folder = root / "omniglot" / "one_shot" / run
        for i in range(3):
            draw(folder / "training" / f"class{i + 1:02}.png", i)
            draw(folder / "test" / f"item{i + 1:02}.png", 2 - i)
        lines = [f"{run}/test/item{i + 1:02}.png {run}/training/class{3 - i:02}.png" for i in range(3)]
        (folder / "class_labels.txt").write_text("\n".join(lines))
    return str(root)


def tiny(folder, data_dir, **changes):
    return fewshot.Config(workdir=str(folder), data_dir=data_dir, **TINY | changes)


def test_a_run_measures(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(fewshot, "EPISODES", 8)
    outcome = fewshot.experiment(tiny(tmp_path, data_dir, methods=("prototypical",)))
    assert sorted(outcome.metrics) == ["five_way_accuracy_prototypical", "run_error_prototypical"]
    assert sorted(outcome.history[-1]) == sorted(["step", *(f"{name}_prototypical" for name in fewshot.SHOWN)])


def of_its_own_support(method, **changes):
    """The loss of params on one episode whose queries are the support's own drawings, and params as they were drawn."""
    config = fewshot.Config(**TINY | changes)
    support = jax.random.uniform(jax.random.key(1), (1, 3, 1, 28, 28))
    batch = {"support": support, "query": support, "weight": jnp.ones(1)}
    own = lambda params: fewshot.loss(params, batch, Context(None, jax.random.key(2), 0), config, method)
    return own, jnn.init(fewshot.network_spec(config, method), jax.random.key(0))


@pytest.mark.slow
def test_a_step_of_maml_on_the_support_helps_with_its_own_drawings():
    losses = []
    for rate in (1e-6, 0.1):
        own, params = of_its_own_support("maml", inner_steps=1, inner_rate=rate)
        losses.append(own(params).values.item())
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    "method", ["prototypical", *(pytest.param(m, marks=pytest.mark.slow) for m in ("matching", "siamese"))]
)
def test_a_method_finds_the_class_of_what_the_support_holds(method):
    """Of a query that is the support's own drawing, the class is that drawing's, whatever the parameters."""
    own, params = of_its_own_support(method)
    if method == "siamese":
        params["head"] = {"w": -jnp.ones((4, 1)), "b": jnp.ones(1)}
    assert own(params).metrics["accuracy"].value() == 1
    gradients = jax.grad(lambda params: own(params).values.sum())(params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_alphabets_are_there_once_and_sets_share_what_they_share(data_dir):
    arrays, sets = characters.drawings(data_dir)
    assert sets == {"small1": [0, 2], "small2": [1, 2]}
    assert arrays["x"].shape == (3 * 5 * 6, 28, 28)
    assert np.unique(arrays["y"]).tolist() == list(range(15))
    assert (np.bincount(arrays["y"]) == 6).all()
    part = characters.of_alphabets(arrays, [1])
    assert np.unique(part["y"]).tolist() == [5, 6, 7, 8, 9]
    four = characters.turned(part)
    assert len(np.unique(four["y"])) == 20
    np.testing.assert_array_equal(four["x"][30], np.rot90(part["x"][0]))


def test_a_smaller_drawing_has_as_much_ink():
    x = np.random.default_rng(0).integers(0, 256, (2, 105, 105), np.uint8)
    small = characters.shrunk(x)
    assert small.shape == (2, 28, 28)
    np.testing.assert_allclose(small.mean((1, 2)), (1 - x / 255).mean((1, 2)), rtol=1e-5)
    even = np.arange(4, dtype=np.uint8).reshape(1, 2, 2).repeat(28, 1).repeat(28, 2)
    np.testing.assert_allclose(characters.shrunk(even), 1 - even[:, ::2, ::2] / 255, atol=1e-6)


def test_a_runs_queries_stand_in_the_order_of_its_classes(data_dir):
    runs = characters.runs(data_dir)
    assert {name: x.shape for name, x in runs.items()} == dict.fromkeys(("support", "query"), (2, 3, 1, 28, 28))
    column = lambda x: x.mean((-3, -2)).argmax(-1) // 4
    np.testing.assert_array_equal(column(runs["support"]), column(runs["query"]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "least"), [("prototypical", 0.4), ("matching", 0.4), ("siamese", 0.25), ("maml", 0.3)]
)
def test_real_characters_are_told_apart_better_than_by_chance(tmp_path, method, least):
    needs("omniglot")
    config = fewshot.Config(workdir=str(tmp_path), methods=(method,), steps=200, batch_size=8, ways=5, filters=8)
    outcome = fewshot.experiment(config)
    losses = [row[f"train/loss_{method}"] for row in outcome.history]
    assert losses[-1] < losses[0]
    assert outcome.metrics[f"five_way_accuracy_{method}"] > least  # by chance 0.2


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, data_dir):
    options = ["--steps", "12", "--data-dir", data_dir, "--filters", "4", "--groups", "2", "--ways", "3"]
    options += ["--methods", "prototypical", "maml"]
    came, _ = check(["save", "final"], 1, "experiments.fewshot", tmp_path, options)
    assert came == ["save", "final"]


@pytest.mark.slow
def test_a_preflight_reports_on_its_step(tmp_path, data_dir, capsys):
    options = [
        "--preflight",
        "cpu:8",
        "--mesh",
        "data=8",
        "--batch-size",
        "8",
        "--filters",
        "4",
        "--groups",
        "2",
        "--ways",
        "3",
    ]
    with pytest.raises(SystemExit) as end:
        launch(
            fewshot.experiment, fewshot.Config, [*options, "--data-dir", data_dir, "--workdir", str(tmp_path / "run")]
        )
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("cpu:8: 8 chips, 8 devices, 1 host; data=8\n")
    assert not (tmp_path / "run").exists()
