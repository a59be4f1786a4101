"""Photographs made small and large again: tiles that fit, colours that stay, a step; a short run that beats bicubic."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jnn
from experiments import enlargement, photographs, superresolution
from experiments.enlargement import crops, enlarged, mean_qualities, resized, shrunk, tiles
from experiments.superresolution import Config
from jnn.data import Batches
from jnn.train import create_state, make_step
from tests.experiments.shortened import flown, resumed

SHORT = ["--steps", "40", "--network", "edsr", "--blocks", "1", "--width", "8"]


def stripes(name):
    """A photograph (101, 130, 3) of slanted stripes, of a colour of its own."""
    down, right = np.mgrid[:101, :130]
    wave = 0.5 + 0.4 * np.sin(0.6 * down + (0.3 + len(name) / 20) * right)
    return np.uint8(255 * wave[..., None] * [1.0, 0.7, len(name) / 20])


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(enlargement, "photograph", stripes)


@pytest.mark.parametrize("scale", [2, 3])
def test_small_tiles_are_where_the_large_ones_are(made, scale):
    found = tiles(("a", "bb"), scale, 8, 4)
    assert found["y"].shape == (*found["x"].shape[:1], 8 * scale, 8 * scale, 1)
    means = found["y"].reshape(-1, 8, scale, 8, scale).mean((2, 4))
    assert np.corrcoef(means.ravel(), found["x"].ravel())[0, 1] > 0.98
    assert abs(found["x"] * 255 - np.round(found["x"] * 255)).max() < 1e-4


def test_small_images_are_those_of_torch_antialiased():
    """Away from borders, over which torch reads otherwise; its kernel is Keys' with -0.5, as MATLAB's."""
    x = np.random.default_rng(0).uniform(0.2, 0.8, (40, 44, 1)).astype(np.float32)
    theirs = torch.nn.functional.interpolate(
        torch.tensor(x).movedim(-1, 0)[None], scale_factor=0.5, mode="bicubic", antialias=True
    )[0].movedim(0, -1)
    np.testing.assert_allclose(shrunk(x, 2)[4:-4, 4:-4], theirs[4:-4, 4:-4], atol=0.51 / 255)


def test_both_parts_of_a_tile_are_turned_alike():
    y = jax.random.uniform(jax.random.key(0), (16, 12, 12, 1))
    small = lambda x: x.reshape(-1, 6, 2, 6, 2, 1).mean((2, 4))
    turned, key = superresolution.augment(y, jax.random.key(1)), jax.random.key(1)
    np.testing.assert_allclose(small(turned), superresolution.augment(small(y), key), rtol=1e-5)
    assert len({bool(same) for same in (turned == y).all((1, 2, 3))}) == 2


def test_two_steps_of_a_network_that_begins_as_bicubic(made):
    config = Config(network="edsr", blocks=1, width=4, scale=2)
    spec, own = superresolution.network_spec(config), partial(superresolution.loss, config=config)
    state = create_state(jnn.init(spec, jax.random.key(0)), optax.adam(1e-2))
    batches = Batches(tiles(("a",), 2, 12, 8), 8, seed=0)
    np.testing.assert_array_equal(
        superresolution.network(state.params, batches[0]["x"], config), resized(batches[0]["x"], 2)
    )
    step = make_step(own, optax.adam(1e-2), jax.random.key(0))
    losses = []
    for i in range(2):
        state, metrics = step(state, batches[i])
        losses.append(float(metrics["loss"].value()))
        assert metrics["psnr"].value() > 15
    assert all(np.isfinite(losses))


def test_a_photograph_is_measured_without_its_border_and_keeps_its_colours(made):
    true = photographs.luminance(stripes("a")[:100])
    spoilt = np.array(true)
    spoilt[0], spoilt[:, -1] = 1 - spoilt[0], 0
    one = enlarged("a", 2, {"bicubic": lambda x: resized(x, 2), "true": lambda x: jnp.asarray(spoilt)[None]})
    measured = mean_qualities([one])
    assert measured["true_ssim"] == pytest.approx(1)
    assert measured["true_psnr"] == np.inf
    assert 20 < measured["bicubic_psnr"] < 60
    figure = crops({"a": one}, {"a": (2, 20)})
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert len(shown) == 3
    np.testing.assert_allclose(shown[2].mean((0, 1)), shown[0].mean((0, 1)), atol=0.02)


@pytest.mark.slow
def test_a_short_run_is_nearer_than_bicubic(tmp_path):
    pytest.importorskip("skimage")
    config = Config(workdir=str(tmp_path), steps=200, network="edsr", blocks=1, width=8)
    outcome = superresolution.experiment(config)
    for part in ("validation", "test"):
        for measure in ("psnr", "ssim"):
            assert outcome.metrics[f"{part}_edsr_{measure}"] > outcome.metrics[f"{part}_bicubic_{measure}"]
    for draw in outcome.figures.values():
        draw()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path):
    pytest.importorskip("skimage")
    asked("experiments.superresolution", tmp_path, SHORT)
