"""Gradients between slices in few bits: what is sent and what is kept, training, what moves, bad input."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.inspect import collectives
from jnn.parallel import (
    compressed_sums,
    error_feedback_step,
    layout,
    put_batch,
    sharded_eval,
    sharded_state,
    sharded_step,
    zero_residual,
)
from jnn.parallel._codecs import bfloat16, encode_with_feedback, signs
from jnn.train import LossOutput, create_state, make_step
from tests.parallel.models import TRANSFORMER
from tests.parallel.sharing import assert_close, some

SPEC = jnn.models.mlp_spec((8, 16, 4))
KEY = jax.random.key(0)


def loss(params, batch, ctx):
    logits = jnn.models.mlp(params, batch["x"], key=None, rate=0.0)
    return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]), batch["weight"])


def batch_of(n=16):
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, n).astype(np.float32)
    weight[: n // 4] = 0  # padding, all in the first slice
    x, y = rng.normal(size=(n, 8)).astype(np.float32), rng.integers(0, 4, n).astype(np.int32)
    return {"x": x, "y": y, "weight": weight}


def begun(optimizer, place):
    return sharded_state(optimizer, KEY, place, memory=lambda params: zero_residual(params, place))


@pytest.mark.parametrize("codec", [bfloat16, signs])
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 16)])
def test_what_is_understood_and_what_is_kept_make_up_the_whole(codec, shape):
    x, residual = jax.random.normal(KEY, (2, *shape))
    sent, kept = encode_with_feedback(codec, x, residual)
    whole = np.asarray(x + residual)
    tolerance = {"rtol": 0, "atol": 0} if codec is bfloat16 else {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(codec.decode(sent, x) + kept, whole, **tolerance)
    assert sum(a.nbytes for a in jax.tree.leaves(sent)) <= (2 * x.size if codec is bfloat16 else x.size // 8 * 2 + 10)


def test_what_is_kept_of_float64():
    with jax.enable_x64(True):
        x = jnp.array([1 + 1e-9, 1e3, -3e-50])
        for codec, tolerance in ((bfloat16, 0), (signs, 1e-12)):
            sent, kept = encode_with_feedback(codec, x, jnp.zeros(3))
            np.testing.assert_allclose(codec.decode(sent, x) + kept, x, rtol=0, atol=tolerance)


def test_over_many_steps_all_of_a_gradient_arrives():
    x, residual, arrived = jax.random.normal(KEY, (50,)), jnp.zeros(50), jnp.zeros(50)
    for _ in range(200):
        sent, residual = encode_with_feedback(signs, x, residual)
        arrived += signs.decode(sent, x)
    np.testing.assert_allclose(arrived + residual, 200 * x, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(arrived / 200, x, atol=0.2)


@pytest.mark.parametrize("text", ["slice=2,data=4", "slice=4", "slice=2,fsdp=2,tensor=2"])
def test_in_bfloat16_training_is_that_of_one_device_to_rounding(text):
    optimizer, batch = optax.sgd(0.2), batch_of()
    place = layout(SPEC, some(text))
    state, alone = sharded_state(optimizer, KEY, place), create_state(jnn.init(SPEC, KEY), optimizer)
    step, step_alone = (
        sharded_step(loss, optimizer, KEY, place, sums=compressed_sums(place)),
        make_step(loss, optimizer, KEY),
    )
    for _ in range(20):
        state, metrics = step(state, batch)
        alone, metrics_alone = step_alone(alone, batch)
    assert_close(metrics["loss"].value(), metrics_alone["loss"].value(), 1e-2)
    assert_close(state.params, alone.params, 1e-2)


def test_with_feedback_training_comes_as_far_as_without_compression():
    optimizer, batch = optax.sgd(0.2), batch_of()
    place = layout(SPEC, some("slice=4,data=2"))
    alone = create_state(jnn.init(SPEC, KEY), optimizer)
    state, step = begun(optimizer, place), error_feedback_step(loss, optimizer, KEY, place)
    step_alone = make_step(loss, optimizer, KEY)
    first = None
    for _ in range(150):
        state, metrics = step(state, batch)
        alone, metrics_alone = step_alone(alone, batch)
        first = first or metrics["loss"].value()
    ours, theirs = metrics["loss"].value(), metrics_alone["loss"].value()
    assert theirs < 0.5 * first
    assert abs(ours - theirs) < 0.1 * first


def test_the_first_step_with_feedback_sends_and_keeps_the_gradient():
    batch, place, optimizer = batch_of(), layout(SPEC, some("slice=2,tensor=2")), optax.sgd(1.0)
    params = jnn.init(SPEC, KEY)
    state, metrics = error_feedback_step(loss, optimizer, KEY, place)(begun(optimizer, place), batch)
    alone, _ = make_step(loss, optimizer, KEY)(create_state(jnn.init(SPEC, KEY), optimizer), batch)
    gradient = jax.tree.map(jnp.subtract, params, alone.params)
    sent = jax.tree.map(jnp.subtract, params, jax.device_get(state.params))
    weight = metrics["loss"].weight  # what is kept is of the sum
    later = jax.tree.map(lambda r: np.asarray(r).sum(0) / weight, state.memory["slice_residual"])
    assert_close(jax.tree.map(jnp.add, sent, later), gradient)


def test_a_gradient_that_is_not_finite_leaves_nothing_for_later():
    """With Optax's guard the update is refused, and the run goes on as if there had been no such step."""
    place, optimizer = layout(SPEC, some("slice=2,data=2")), optax.apply_if_finite(optax.sgd(0.2), 5)
    step, batch, bad = error_feedback_step(loss, optimizer, KEY, place), batch_of(), batch_of()
    bad["x"][9, 3] = np.inf
    state, _ = step(begun(optimizer, place), batch)
    params, memory = jax.tree.map(np.asarray, (state.params, state.memory))
    state, _ = step(state, bad)
    assert_close((state.params, state.memory), (params, memory), tolerance=0)
    state, metrics = step(state, batch)
    assert np.isfinite(float(metrics["loss"].value()))
    moved = jax.tree.map(lambda new, old: bool((np.asarray(new) != old).any()), state.params, params)
    assert all(jax.tree.leaves(moved))


def test_with_feedback_layers_become_what_a_mesh_makes_of_them():
    place = layout(TRANSFORMER.spec, some("slice=2,context=2"))
    step = error_feedback_step(TRANSFORMER.loss, optax.sgd(0.1), KEY, place)
    assert "ppermute" in str(jax.make_jaxpr(step)(begun(optax.sgd(0.1), place), TRANSFORMER.batch(8, time=8)))
    place = layout(SPEC, some("slice=2"), activations={"nonsense": "data"})
    state = begun(optax.sgd(0.1), place)
    with pytest.raises(ValueError, match="nothing has an axis 'nonsense'"):
        error_feedback_step(loss, optax.sgd(0.1), KEY, place)(state, batch_of())
    with pytest.raises(ValueError, match="nothing has an axis 'nonsense'"):
        sharded_eval(loss, place)(state, batch_of())


def test_between_slices_goes_nothing_but_few_bits():
    place, optimizer = layout(SPEC, some("slice=2,data=2,tensor=2")), optax.sgd(0.2)
    state = sharded_state(optimizer, KEY, place)
    step = sharded_step(loss, optimizer, KEY, place, sums=compressed_sums(place))
    program = step.lower(state, put_batch(batch_of(), place)).compile()
    between = [row for row in collectives(program, place.mesh) if row.axes is None or "slice" in row.axes]
    assert {row.axes for row in between} <= {("slice",), ("slice", "data")}
    gradients = [row for row in between if row.dtypes == ("u16",)]
    assert len(gradients) == 4  # one for each parameter, and of each the pieces of one device
    share = lambda param, kept: 2 * 2 * math.prod(kept.shard_shape(param.shape))  # two bytes, from two slices
    sizes = jax.tree.leaves(jax.tree.map(share, SPEC, place.parameters))
    assert sorted(row.bytes for row in gradients) == sorted(sizes)
    of_the_batch = sum(x[0].nbytes for x in batch_of().values())  # a row, for those that are padding
    assert sum(row.bytes for row in between if row not in gradients) <= 32 + of_the_batch  # metrics, and their weights


def test_what_is_kept_lies_with_its_slice():
    place = layout(SPEC, some("slice=2,tensor=4"))
    residual = begun(optax.sgd(0.1), place).memory["slice_residual"]
    assert residual["fc0"]["w"].shape == (2, 8, 16)
    assert residual["fc0"]["w"].sharding.shard_shape((2, 8, 16)) == (1, 8, 4)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("compressed_sums", compressed_sums),
        ("error_feedback_step", lambda place: error_feedback_step(loss, optax.sgd(0.1), KEY, place)),
        ("zero_residual", lambda place: zero_residual({}, place)),
    ],
)
def test_a_mesh_without_slices_is_one_clear_error(name, call):
    with pytest.raises(ValueError, match=f"{name}: the mesh has axes data, no 'slice'"):
        call(layout(SPEC, some("data=8")))
