"""A row of weight 0 is not there, whatever it holds: values, gradients, statistics, metrics, on every way of adding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import parallel
from jnn.layers import batch_norm, batch_norm_spec, batch_norm_stats_spec, linear, linear_spec
from jnn.train import LossOutput, create_state, make_eval, make_step

KEY = jax.random.key(0)
SPEC = {"in": linear_spec(3, 4), "norm": batch_norm_spec(4, axis="hidden"), "out": linear_spec(4, 1)}
STATS = {"norm": batch_norm_stats_spec(4, axis="hidden")}
NAMES = ("squared_error", "huber_loss", "binary_cross_entropy_with_logits")
LOSSES = {name: getattr(jnn.losses, name) for name in NAMES}


def loss_of(name):
    def loss(params, batch, ctx):
        h = linear(params["in"], batch["x"])
        h, seen = batch_norm(params["norm"], h, ctx.stats and ctx.stats["norm"], weight=batch["weight"])
        y = linear(params["out"], h)
        metrics = {"error": jnn.metrics.mean(jnp.abs(y - batch["y"])[:, 0], batch["weight"])}
        return LossOutput(LOSSES[name](y, batch["y"]), batch["weight"], stats={"norm": seen}, metrics=metrics)

    return loss


def batches(garbage):
    """Eight real rows alone; and the same among sixteen, with a device's, lane's and micro-batch's worth of garbage."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.uniform(size=(8, 1)).astype(np.float32)
    alone = {"x": x, "y": y, "weight": rng.uniform(0.5, 2, 8).astype(np.float32)}
    padded = jax.tree.map(lambda a: np.concatenate([a, np.full_like(a, garbage)]), alone)
    padded["weight"][8:] = 0
    return alone, padded


def assert_same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=1e-6)


def create():
    return create_state(jnn.init(SPEC, KEY), optax.sgd(0.1), stats=jnn.init(STATS, KEY))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("garbage", [np.nan, np.inf, -3e38])
def test_padding_is_not_there_in_a_step_and_in_an_evaluation(name, garbage):
    alone, padded = batches(garbage)
    step, evaluate = make_step(loss_of(name), optax.sgd(0.1), KEY, clip_norm=1.0), make_eval(loss_of(name))
    assert_same(step(create(), padded), step(create(), alone))
    assert_same(evaluate(create(), padded), evaluate(create(), alone))


def ways():
    place = parallel.layout(SPEC, "data=8")
    options = {"stats_momentum": 0.0}
    return {
        "micro-batches": make_step(loss_of("huber_loss"), optax.sgd(0.1), KEY, microbatches=8, **options),
        "pmap": parallel.pmap_step(loss_of("huber_loss"), optax.sgd(0.1), KEY, **options),
        "mesh": parallel.sharded_step(loss_of("huber_loss"), optax.sgd(0.1), KEY, place, **options),
        "lanes": parallel.sharded_step(loss_of("huber_loss"), optax.sgd(0.1), KEY, place, lanes=8, **options),
    }


@pytest.mark.parametrize("way", ways())
def test_parts_that_hold_padding_alone_count_for_nothing(way):
    """Of statistics, too: each counts by what it was taken over."""
    _, padded = batches(np.nan)
    if way == "micro-batches":  # every eighth row: half of the parts have one real row and one of padding
        padded = jax.tree.map(lambda a: a[np.r_[0:4, 8:12]], padded)
    state, metrics = ways()[way](create(), padded)
    real = padded["weight"] > 0
    h = np.asarray(linear(jnn.init(SPEC, KEY)["in"], jnp.asarray(padded["x"][real])))
    mean = np.average(h, axis=0, weights=padded["weight"][real])
    np.testing.assert_allclose(state.stats["norm"]["mean"], mean, rtol=1e-4, atol=1e-5)
    assert metrics["loss"].weight == pytest.approx(padded["weight"].sum(), rel=1e-6)
    assert all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(state.params))


@pytest.mark.parametrize("garbage", [0.0, np.nan])
def test_a_batch_of_padding_alone_changes_nothing_but_the_step(garbage):
    """Decay, momentum, averages, statistics and memory too."""
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    remember = lambda memory, params, stats, rows, step: {"calls": memory["calls"] + 1}
    step = make_step(loss_of("huber_loss"), optimizer, KEY, ema_decay=0.5, remember=remember)
    state = create_state(
        jnn.init(SPEC, KEY), optimizer, stats=jnn.init(STATS, KEY), ema=True, memory={"calls": jnp.zeros(())}
    )
    _, padded = batches(garbage)
    state, _ = step(state, padded)
    before = jax.tree.map(np.array, state)
    after, metrics = step(state, jax.tree.map(lambda a: a[8:], padded))
    assert after.step == before.step + 1
    for a, b in zip(jax.tree.leaves(after.replace(step=before.step)), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)
    assert metrics["loss"].weight == 0


def test_tokens_count_one_by_one_and_a_row_by_any_of_them():
    """A row with one token left stays; its other tokens may hold labels that are none."""
    weight = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    labels = np.array([[1, -100], [-100, -100], [0, 2]])
    batch = {"x": np.ones((3, 2, 3), np.float32), "y": labels, "weight": weight}
    batch["x"][1] = np.nan
    spec = linear_spec(3, 4)

    def loss(params, batch, ctx):
        return LossOutput(jnn.losses.cross_entropy(linear(params, batch["x"]), batch["y"]), batch["weight"])

    state, metrics = make_step(loss, optax.sgd(0.1), KEY)(create_state(jnn.init(spec, KEY), optax.sgd(0.1)), batch)
    assert metrics["loss"].weight == 3
    assert np.isfinite(np.asarray(state.params["w"])).all()
