"""Dtypes through a step: params and optimizer keep theirs, sums are wide, the compute dtype reaches everything."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.data import Batches
from jnn.layers import conv, conv_spec, embed, embed_spec, linear, linear_spec
from jnn.train import Checkpoints, LossOutput, create_state, fit, make_eval, make_step

KEY = jax.random.key(0)
HALVES = [jnp.bfloat16, jnp.float16]


def line(p, batch, ctx):
    return LossOutput(jnn.losses.squared_error(linear(p, batch["x"]), batch["y"]))


def data(dtype=np.float32, n=8):
    x = np.random.default_rng(0).normal(size=(n, 3))
    return {"x": x.astype(dtype), "y": x.sum(1, keepdims=True).astype(np.float32)}


def dtypes(tree):
    return {path: x.dtype for path, x in jnn.flatten(tree).items()}


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("make", [optax.adam, lambda r: optax.sgd(r, momentum=0.9), optax.lion, optax.adafactor])
def test_params_and_optimizer_keep_their_dtypes(dtype, make):
    optimizer = make(1e-2)
    state = create_state(jnn.init(linear_spec(3, 1, dtype=dtype), KEY), optimizer)
    before = dtypes(state)
    step = make_step(line, optimizer, KEY, steps_per_call=3, clip_norm=1.0)
    state, _ = step(state, jax.tree.map(lambda x: np.stack([x] * 3), data(dtype)))
    assert dtypes(state) == before
    assert state.params["w"].dtype == dtype


def test_a_run_in_bfloat16_goes_on(tmp_path):
    optimizer, spec = optax.adam(1e-2), linear_spec(3, 1, dtype=jnp.bfloat16)
    step, batches = make_step(line, optimizer, KEY), [data(jnp.bfloat16)] * 4
    for steps in (2, 4):
        with Checkpoints(tmp_path) as checkpoints:
            state = create_state(jnn.init(spec, KEY), optimizer)
            state, _ = fit(step, state, batches, steps=steps, every=2, checkpoints=checkpoints)
    assert state.step == 4


@pytest.mark.parametrize("k", [1, 256, 1024])
def test_micro_batches_are_added_up_in_float32(k):
    loss = lambda p, b, ctx: LossOutput((p["w"] * b["x"]).astype(jnp.float32))
    state = create_state({"w": jnp.zeros((), jnp.bfloat16)}, optax.sgd(1.0))
    state, _ = make_step(loss, optax.sgd(1.0), KEY, microbatches=k)(state, {"x": jnp.ones(1024, jnp.bfloat16)})
    assert state.params["w"] == -1


def test_an_average_of_bfloat16_moves():
    loss = lambda p, b, ctx: LossOutput(0 * (p["w"] * b["x"]).astype(jnp.float32))
    state = create_state({"w": jnp.ones((), jnp.bfloat16)}, optax.sgd(0.0), ema=True)
    state = state.replace(params={"w": jnp.full((), 2.0, jnp.bfloat16)})
    state, _ = make_step(loss, optax.sgd(0.0), KEY, ema_decay=0.999, steps_per_call=500)(
        state, {"x": jnp.ones((500, 1))}
    )
    np.testing.assert_allclose(state.ema["w"], 2 - 0.999**500, rtol=1e-4)


def test_gradients_of_float64_are_float64s():
    with jax.enable_x64(True):
        params = jnn.init(linear_spec(3, 1, dtype=np.float64), KEY)
        batch = {k: v.astype(np.float64) for k, v in data(np.float64, 7).items()} | {"weight": np.linspace(0.1, 1, 7)}
        loss = lambda p, b, ctx: line(p, b, ctx)._replace(weights=b["weight"])
        mean = lambda p: jnp.average(line(p, batch, None).values, weights=batch["weight"])
        expected = jax.tree.map(lambda p, g: p - g, params, jax.grad(mean)(params))
        for k in (1, 7):
            state, metrics = make_step(loss, optax.sgd(1.0), KEY, microbatches=k)(
                create_state(params, optax.sgd(1.0)), batch
            )
            for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected), strict=True):
                assert a.dtype == np.float64
                np.testing.assert_allclose(a, b, rtol=1e-13)
            assert metrics["loss"].total.dtype == np.float64


def test_complex_params_go_downhill():
    loss = lambda p, b, ctx: LossOutput(jnp.abs(p["w"]) ** 2 * b["x"])
    state = create_state({"w": jnp.asarray(1 + 1j, jnp.complex64)}, optax.sgd(0.1))
    state, _ = make_step(loss, optax.sgd(0.1), KEY, clip_norm=100.0)(state, {"x": jnp.ones(2)})
    np.testing.assert_allclose(state.params["w"], 0.8 + 0.8j, rtol=1e-6)  # as torch has it


# what a step computes in


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ["x", "image", "frames"])
def test_compute_dtype_reaches_every_input_but_targets_and_weights(dtype, name):
    seen = {}

    def loss(p, batch, ctx):
        seen.update({key: x.dtype for key, x in batch.items()} | {"w": p["w"].dtype, "given": ctx.given["w"].dtype})
        seen["out"] = linear(p, batch[name]).dtype
        return LossOutput(jnn.losses.squared_error(linear(p, batch[name]), batch["y"]), batch["weight"])

    batch = {name: data()["x"], "y": data()["y"], "weight": np.ones(8, np.float32), "time": np.ones(8, np.float32)}
    params = jnn.init(linear_spec(3, 1), KEY)
    options = {"compute_dtype": dtype, "keep": ["time"], "given": params}
    state, _ = make_step(loss, optax.sgd(0.1), KEY, **options)(create_state(params, optax.sgd(0.1)), batch)
    half, full = jnp.dtype(dtype), jnp.dtype("float32")
    expected = {name: half, "y": full, "weight": full, "time": full, "w": half, "given": half, "out": half}
    assert seen == expected
    assert state.params["w"].dtype == full
    seen.clear()
    make_eval(loss, **options)(state, batch)
    assert seen == expected


@pytest.mark.parametrize("compute", [lambda x: x.astype(jnp.float32) / 255, lambda x: x / 255])
def test_compute_dtype_reaches_what_a_loss_casts_from_integers(compute):
    spec = {"c": conv_spec(3, 4, (3, 3)), "out": linear_spec(4, 2)}
    seen = []

    def loss(p, batch, ctx):
        h = conv(p["c"], compute(batch["x"]))
        seen.extend([h.dtype, linear(p["out"], h).dtype])
        return LossOutput(linear(p["out"], h).astype(jnp.float32).mean((1, 2, 3)))

    state = create_state(jnn.init(spec, KEY), optax.sgd(0.1))
    make_step(loss, optax.sgd(0.1), KEY, compute_dtype=jnp.bfloat16)(state, {"x": np.ones((4, 5, 5, 3), np.uint8)})
    assert set(seen) == {jnp.dtype(jnp.bfloat16)}


# float16


def scaled(loss, params, x, steps=1, **options):
    sgd = optax.sgd(options.pop("rate", 1e-3))
    state = create_state(params, sgd)
    step = make_step(loss, sgd, KEY, compute_dtype=jnp.float16, **options)
    for _ in range(steps):
        state, metrics = step(state, {"x": x})
    return state, metrics


@pytest.mark.parametrize("k", [1, 8])
def test_in_float16_a_sum_over_the_batch_does_not_overflow(k):
    """The mean's gradient is 100, the sum's over 1,024 rows more than float16 holds."""
    loss = lambda p, b, ctx: LossOutput((100 * p["w"] * b["x"]).astype(jnp.float32))
    state, metrics = scaled(loss, {"w": jnp.ones(())}, jnp.ones(1024), microbatches=k)
    np.testing.assert_allclose(state.params["w"], 0.9, rtol=1e-3)
    assert np.log2(metrics["loss_scale"].value()) % 1 == 0


@pytest.mark.parametrize("size", [1e-7, 1e-5, 1e4])
def test_in_float16_gradients_of_any_size_are_those_of_float32(size):
    """Of 1e-7, too, where float16 ends."""
    loss = lambda p, b, ctx: LossOutput(linear(p, b["x"]).astype(jnp.float32)[:, 0] * size)
    params, x = jnn.init(linear_spec(3, 1), KEY), data(n=64)["x"]
    state, _ = scaled(loss, params, x, rate=1 / size)
    np.testing.assert_allclose((params["w"] - state.params["w"])[:, 0], x.mean(0), rtol=2e-2, atol=1e-3)


def test_in_float16_a_gradient_that_cannot_be_held_changes_nothing_but_step_and_scale():
    loss = lambda p, b, ctx: LossOutput(
        jnp.where(p["w"] > 0, 1.0, 0.0) * jnp.sqrt(p["w"] * 0 * b["x"]).astype(jnp.float32)
    )
    state, metrics = scaled(loss, {"w": jnp.ones(())}, jnp.ones(4))
    assert state.params["w"] == 1
    assert state.step == 1
    assert metrics["loss"].value() == 0


def test_in_float16_one_gradient_that_cannot_be_held_spoils_no_later_one():
    """`sqrt` at 0 has a value and no gradient, at any scale: the next batch finds the scale that was there before."""
    loss = lambda p, b, ctx: LossOutput((p["w"] * b["x"] + jnp.sqrt(p["w"] * b["bad"])).astype(jnp.float32))
    step = make_step(loss, optax.sgd(0.1), KEY, compute_dtype=jnp.float16)
    state = create_state({"w": jnp.ones(())}, optax.sgd(0.1))
    good = {"x": jnp.ones(4), "bad": jnp.ones(4)}
    state, _ = step(state, good)
    scale, after = float(state.loss_scale), float(state.params["w"])
    zero = state.replace(params={"w": jnp.zeros(())})
    spoilt, _ = step(zero, good)
    assert spoilt.loss_scale == scale
    found, _ = step(spoilt.replace(params={"w": jnp.asarray(after)}), good)
    assert found.params["w"] < after


@pytest.mark.parametrize("dtype", HALVES)
def test_a_row_of_a_table_that_is_used_often(dtype):
    loss = lambda p, b, ctx: LossOutput(embed(p, b["t"]).astype(jnp.float32)[..., 0])
    spec = embed_spec(3, 1)
    state = create_state(jax.tree.map(lambda p: jnp.zeros(p.shape), spec), optax.sgd(1.0))
    state, _ = make_step(loss, optax.sgd(1.0), KEY, compute_dtype=dtype)(state, {"t": jnp.zeros((8, 1024), int)})
    np.testing.assert_allclose(state.params["table"][:, 0], [-1, 0, 0], rtol=1e-2)


@pytest.mark.parametrize("dtype", HALVES)
def test_biases_of_many_rows(dtype):
    many = lambda p, b, ctx: LossOutput(conv(p, b["x"]).astype(jnp.float32).mean((1, 2, 3)))
    params = {"w": jnp.zeros((3, 3, 3, 1)), "b": jnp.zeros(1)}
    step = make_step(many, optax.sgd(1.0), KEY, compute_dtype=dtype)
    state, _ = step(create_state(params, optax.sgd(1.0)), {"x": jnp.ones((64, 32, 32, 3))})
    np.testing.assert_allclose(state.params["b"], [-1], rtol=1e-2)


def test_half_precision_trains_like_float32(tmp_path):
    x = np.random.default_rng(0).normal(size=(256, 3)).astype(np.float32)
    batches = Batches({"x": x, "y": x.sum(1, keepdims=True)}, 32, seed=0)
    loss = lambda p, b, ctx: line(p, b, ctx)._replace(weights=b["weight"])
    ends = []
    for dtype in (None, *HALVES):
        step = make_step(loss, optax.adam(1e-2), KEY, compute_dtype=dtype)
        _, history = fit(
            step, create_state(jnn.init(linear_spec(3, 1), KEY), optax.adam(1e-2)), batches, steps=100, every=100
        )
        ends.append(history[-1]["train/loss"])
    np.testing.assert_allclose(ends[1:], ends[0], rtol=0.05)
