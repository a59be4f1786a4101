"""Members of a sweep: each is its own run, whoever is beside it and wherever it is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import backend, program
from jnn.layers import batch_norm, batch_norm_spec, batch_norm_stats_spec, linear, linear_spec
from jnn.models import mlp, mlp_spec
from jnn.param import flatten
from jnn.sweep import Sweep, join
from jnn.train import LossOutput, fit
from tests.sweep import small


def same(a, b, *, atol=None):
    """Whether two trees have the same bits, or are near."""
    for path, x in flatten(a).items():
        y = flatten(b)[path]
        if atol is None:
            np.testing.assert_array_equal(np.asarray(x), np.asarray(y), err_msg=path)
        else:
            np.testing.assert_allclose(x, y, rtol=0, atol=atol, err_msg=path)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_member_is_its_own_run(platform):
    """Over twenty steps in float64: whether members go one by one, as on a CPU, or side by side, as on a GPU."""
    with jax.enable_x64(True), backend.target(platform):
        sweep = small.sweep(dtype=np.float64, clip_norm=1.0, ema_decay=0.9)
        members = sweep.begin(small.points(5), seeds=[3, 1, 4, 1, 5])
        trained, metrics = sweep.train(members, 20)
        for i in (1, 3):
            step, state, batches = sweep.alone(members, i)
            alone, history = fit(step, state, batches, steps=20, every=20)
            _, own, _ = sweep.alone(trained, i)
            assert own.params["fc0"]["w"].dtype == np.float64
            same(own, alone, atol=1e-12)
            np.testing.assert_allclose(metrics["loss"][i], history[-1]["train/loss"], rtol=1e-12)


def test_steps_add_up_and_companions_do_not_matter():
    sweep = small.shared(8)
    members = sweep.begin(small.points(5))
    once, _ = sweep.train(members, 45)
    some = members.take([3, 1])
    for steps in (7, 33, 5):
        some, _ = sweep.train(some, steps)
    same(some, once.take([3, 1]))
    same(join(members.take([0]), members.take([1, 2, 3, 4])), members)
    same(members.put([1, 3], members.take([1, 3])), members)


@pytest.mark.parametrize("rows", [[], [5], [-6], [0.5], [True, False]])
def test_rows_that_are_none_are_one_clear_error(rows):
    members = small.shared(8).begin(small.points(5))
    with pytest.raises(IndexError, match=r"Members.take: expected one row or more from 0 to 4, found .*flatnonzero"):
        members.take(rows)


def test_members_of_one_seed_begin_alike_and_read_the_same():
    sweep = small.shared(8)
    members = sweep.begin([small.points(1)[0]] * 2, seeds=[7, 7])
    trained, _ = sweep.train(members, 10)
    same(trained.take([0]), trained.take([1]))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_who_breaks_down_does_so_alone(platform):
    with backend.target(platform):
        sweep = small.sweep()
        points = small.points(4)
        members = sweep.begin(points)
        whole, _ = sweep.train(members, 40)
        broken = sweep.begin([points[0], points[1] | {"learning_rate": 1e30}, *points[2:]])
        found, metrics = sweep.train(broken, 40)
        assert found.alive.tolist() == [True, False, True, True]
        assert np.isnan(metrics["loss"]).tolist() == [False, True, False, False]
        others = [0, 2, 3]
        same(found.take(others), whole.take(others))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(found.state.params))
        later, metrics = sweep.train(found, 5)
        same(later.take([1]), found.take([1]))
        assert np.isnan(sweep.evaluate(later, small.arrays(20, 1))["accuracy"]).tolist() == [False, True, False, False]


@pytest.mark.parametrize("block", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_devices_share_members_out(block):
    whole = small.shared(8)
    shared = small.sweep(devices=jax.devices()[:4], block=block)
    members = whole.begin(small.points(6))
    same(shared.begin(small.points(6)), members)
    one, metrics = whole.train(members, 10)
    four, others = shared.train(members, 10)
    same(four.state.params, one.state.params, atol=1e-6)
    np.testing.assert_allclose(others["loss"], metrics["loss"], atol=1e-6)
    held_out = small.arrays(20, 1)
    np.testing.assert_allclose(
        shared.evaluate(four, held_out)["loss"], whole.evaluate(one, held_out)["loss"], atol=1e-6
    )


def test_evaluation_is_that_of_each_member():
    sweep = small.shared(8)
    members, _ = sweep.train(sweep.begin(small.points(3)), 5)
    held_out = small.arrays(21, 1)
    found = sweep.evaluate(members, held_out)
    for i in range(3):
        logits = mlp(sweep.alone(members, i)[1].params, jnp.asarray(held_out["x"]), key=None)
        assert found["accuracy"][i] == pytest.approx(float((logits.argmax(-1) == held_out["y"]).mean()))


def test_running_statistics_are_each_members_own():
    def loss(params, batch, ctx):
        x, stats = batch_norm(params["norm"], batch["x"], ctx.stats)
        values = jnn.losses.cross_entropy(linear(params["out"], x), batch["y"])
        return LossOutput(values, batch["weight"], stats=stats)

    spec, stats = {"norm": batch_norm_spec(5), "out": linear_spec(5, 2)}, batch_norm_stats_spec(5)
    sweep = Sweep(spec, loss, lambda h: optax.sgd(h["rate"]), small.arrays(), 8, stats=stats, stats_momentum=0.5)
    members, _ = sweep.train(sweep.begin([{"rate": 0.1}, {"rate": 0.2}]), 7)
    step, state, batches = sweep.alone(sweep.begin([{"rate": 0.1}, {"rate": 0.2}]), 1)
    alone, _ = fit(step, state, batches, steps=7, every=7)
    same(sweep.alone(members, 1)[1], alone, atol=1e-6)
    assert np.isfinite(sweep.evaluate(members, small.arrays(20, 1))["loss"]).all()


@pytest.mark.parametrize("devices", [1, 4])
def test_few_programs_are_compiled(devices):
    sweep = small.sweep(devices=jax.devices()[:devices] if devices > 1 else None)
    compiled = lambda: sweep._train._whole(backend.machine(), program._refused.options)._cache_size()
    members = sweep.begin(small.points(8))
    for n in (8, 7, 2, 1):
        sweep.train(members.take(range(n)), 70 // n)
    assert compiled() == 1
    with backend.target("gpu"):
        assert [len(sweep._packed(n)) for n in (1, 3, 8)] == [max(1, devices), 4, 8]
    sweep.train(join(members, members.take([0])), 4)
    assert compiled() == 2


def test_a_width_may_be_a_number_that_the_loss_masks():
    """Units beyond it are multiplied by 0: the function and its gradient are the narrower network's."""
    wide = jax.tree.map(
        lambda x: np.random.default_rng(0).normal(size=x.shape).astype("f"),
        mlp_spec((5, 8, 2)),
        is_leaf=lambda x: hasattr(x, "axes"),
    )
    narrow = {
        "fc0": {"w": wide["fc0"]["w"][:, :3], "b": wide["fc0"]["b"][:3]},
        "fc1": wide["fc1"] | {"w": wide["fc1"]["w"][:3]},
    }
    x, y = jnp.asarray(small.arrays()["x"]), small.arrays()["y"]

    def masked(p, width):
        relu = lambda h: jax.nn.relu(h) * (jnp.arange(8) < width)[None]
        return mlp(p, x, key=None, activation=relu)

    total = lambda logits: optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
    value, grad = jax.value_and_grad(lambda p: total(masked(p, jnp.float32(3))))(wide)
    expected, own = jax.value_and_grad(lambda p: total(mlp(p, x, key=None)))(narrow)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(grad["fc0"]["w"][:, :3], own["fc0"]["w"], atol=1e-6)
    assert not np.any(grad["fc0"]["w"][:, 3:])
    assert not np.any(grad["fc1"]["w"][3:])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": optax.adam(0.1)}, TypeError, "expected a function of hyperparameters, found a GradientTransf"),
        ({"block": 3}, ValueError, "expected a block that is a power of two, found 3"),
        ({"devices": jax.devices()[:3]}, ValueError, "expected a power of two of devices, found 3"),
        ({"given": {}}, TypeError, r"Sweep: given cannot be said here: ctx\.given are a member's hyperparameters"),
        ({"clipnorm": 1.0}, TypeError, "Sweep: no option clipnorm"),
        ({"spec": {"w": np.ones(2)}}, TypeError, "Sweep: expected a spec, found ndarray at 'w'"),
        ({"arrays": [small.arrays()]}, TypeError, "expected a dict of arrays, such as .* found list"),
    ],
)
def test_what_is_no_sweep(options, error, message):
    of = {
        "spec": mlp_spec((5, 8, 2)),
        "loss": small.loss,
        "optimizer": small.adam,
        "arrays": small.arrays(),
        "batch_size": 8,
    }
    with pytest.raises(error, match=message):
        Sweep(**of | options)


def test_what_are_no_points():
    sweep = small.shared(8)
    for points, seeds in (([], None), ([{"a": 1.0}, {"b": 1.0}], None), (small.points(2), [1])):
        with pytest.raises(
            ValueError, match=r"Sweep\.begin: expected one or more points of the same names, with a seed"
        ):
            sweep.begin(points, seeds)
    with pytest.raises(ValueError, match=r"found a single one of .* Put it into a list: \[point\]"):
        sweep.begin(small.points(1)[0])
    with pytest.raises(ValueError, match=r"found 2 points of \['a'\] and others of \['b'\], and 2 seeds"):
        sweep.begin([{"a": 1.0}, {"b": 1.0}])
    with pytest.raises(ValueError, match="expected numbers, or arrays of one shape, as 'dropout'; found"):
        sweep.begin(small.points(2, dropout="some"))


def test_a_hyperparameter_that_the_points_lack_is_named():
    reads = lambda params, batch, ctx: LossOutput(ctx.given["decay"] * batch["x"][:, 0])
    with pytest.raises(KeyError, match="reads a hyperparameter 'learning_rate'; the points, or the space, have rate"):
        small.shared(8).begin([{"rate": 0.1}])
    sweep = Sweep(mlp_spec((5, 8, 2)), reads, small.adam, small.arrays(), 8)
    members = sweep.begin([{"learning_rate": 0.1}])
    for do in (lambda: sweep.train(members, 1), lambda: sweep.evaluate(members, small.arrays())):
        with pytest.raises(
            KeyError, match="reads a hyperparameter 'decay'; the points, or the space, have learning_rate"
        ):
            do()
