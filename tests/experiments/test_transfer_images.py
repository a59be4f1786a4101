"""Transfer: tiny trunks on made images; two parts are the network; a killed run goes on."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import datasets, transfer_images
from experiments.efficientnet import FILE
from experiments.probes import Probe
from experiments.trunks import AUGNET, TRUNKS, Trunk
from jnn.data import Standard
from jnn.layers import resize
from jnn.models import batch_stats_spec, resnet, resnet_maps, resnet_spec
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

SMALL = {
    "networks": ("lite0",),
    "label_counts": (50,),
    "test_images": 10,
    "resolution": 32,
    "channels": (2,),
    "dense": 4,
}
OPTIONS = ["--networks", "lite0", "--label-counts", "50", "--test-images", "50", "--resolution", "32"]
OPTIONS += ["--channels", "4", "4", "--dense", "8", "--batch-size", "8"]


def images(n, seed):
    """Grey ones, the brighter the larger their class is."""
    rng, y = np.random.default_rng(seed), (np.arange(n) % 10).astype(np.int32)
    x = 20 * y[:, None, None, None] + rng.integers(0, 40, (n, 32, 32, 3))
    return {"x": x.astype(np.uint8), "y": y}


def tiny(data_dir=None):
    """A trunk of two stages that nobody has trained."""
    spec, rng = resnet_spec((1, 1), (4, 8), 5, stem=4, kernel=3), np.random.default_rng(0)
    draw = lambda path, param: rng.uniform(0.1, 0.4, param.shape).astype(np.float32)  # a program less to compile
    p, stats = (jnn.map_paths(draw, own) for own in (spec, batch_stats_spec(spec)))
    del p["out"]
    maps = lambda p, x, stats: resnet_maps(p, x, stats, key=None)
    return Trunk(p, stats, maps, lambda x: x / 255, ("stage2",))


def test_a_step_of_fine_tuning_moves_the_last_stage_and_leaves_the_trunk_as_it_was(tmp_path):
    trunk, rows = tiny(), images(50, 0)
    maps = trunk.below(rows["x"], 32)
    before = jax.tree.map(np.copy, trunk.params)
    zeros = {"w": jnp.zeros((8, 10)), "b": jnp.zeros(10)}
    probe = Probe(Standard(np.zeros(8), np.ones(8)), zeros, 0.1, 0.0)
    config = transfer_images.Config(workdir=str(tmp_path), steps=2, **SMALL)
    own = transfer_images.parts({"x": maps, "y": rows["y"]}, 50)
    network, (params, history) = transfer_images.tuned(config, trunk, probe, own, "tuned")
    assert np.isfinite(history[-1]["train/loss"])
    assert (params["head"]["w"] != 0).any()
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), params["last"], trunk.tuned())
    assert all(jax.tree.leaves(moved["stage2"]["first"]["unit2"]))
    jax.tree.map(np.testing.assert_array_equal, trunk.params, before)
    assert network(params, maps[:3]).shape == (3, 10)


@pytest.mark.slow
def test_a_step_of_each_method_on_made_images(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "cifar10", lambda data_dir: datasets.Data(images(90, 0), images(9, 1), images(20, 2)))
    monkeypatch.setitem(TRUNKS, "lite0", tiny)
    outcome = transfer_images.experiment(transfer_images.Config(workdir=str(tmp_path), steps=1, **SMALL))
    assert set(outcome.metrics) == {"labels", "scratch", "lite0_frozen", "lite0_tuned"}
    assert [len(figure().axes) for figure in outcome.figures.values()] == [1, 10]
    cached = np.load(tmp_path / "maps" / "lite0_features.npy")
    trunk, rows = tiny(), datasets.balanced(images(90, 0), 5, seed=0)
    x = resize(jnp.float32(rows["x"]) / 255, (32, 32))
    theirs, _ = jax.jit(partial(resnet, key=None))(trunk.params, x, trunk.stats)
    np.testing.assert_allclose(cached[:50], theirs, atol=2e-3 * float(jnp.abs(theirs).max()))


def test_rows_are_balanced_at_every_length_and_no_row_is_twice_there():
    part = {"x": np.arange(95), "y": np.arange(95) % 10}
    rows = datasets.balanced(part, 8, seed=3)
    assert len(set(rows["x"].tolist())) == 80
    np.testing.assert_array_equal(rows["x"] % 10, rows["y"])
    np.testing.assert_array_equal(np.bincount(rows["y"][:30]), 3)
    training, validation = transfer_images.parts(rows, 50)
    np.testing.assert_array_equal(np.bincount(training["y"]), 4)
    np.testing.assert_array_equal(np.bincount(validation["y"]), 1)
    assert not set(training["x"].tolist()) & set(validation["x"].tolist())


@pytest.mark.slow
def test_lite0_learns_more_from_few_labels_than_a_network_from_scratch(tmp_path):
    needs("cifar10", FILE)
    options = {"networks": ("lite0",), "label_counts": (500,), "test_images": 200, "steps": 20}
    outcome = transfer_images.experiment(transfer_images.Config(workdir=str(tmp_path), **options))
    (scratch,), (frozen,), (tuned,) = (outcome.metrics[name] for name in ("scratch", "lite0_frozen", "lite0_tuned"))
    assert frozen > max(scratch, 0.4)
    assert tuned > max(scratch, 0.4)


@pytest.mark.slow
def test_augnet_in_two_parts_is_the_published_network():
    needs(AUGNET)
    trunk, x = TRUNKS["augnet"](None), np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    ours = trunk.above(trunk.tuned(), jnp.asarray(trunk.below(x, 64)))
    pixels = trunk.scaled(resize(jnp.float32(x), (64, 64)))
    theirs, _ = jax.jit(partial(resnet, key=None))(trunk.params, pixels, trunk.stats)
    np.testing.assert_allclose(ours, theirs, atol=5e-3 * float(jnp.abs(theirs).max()))


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path):
    needs("cifar10", FILE)
    resumed("experiments.transfer_images", tmp_path, ["--steps", "4", *OPTIONS])


@pytest.mark.slow
def test_a_preflight_reports(tmp_path):
    needs("cifar10")
    flown("experiments.transfer_images", tmp_path, OPTIONS)
