"""The same run on any number of devices: within rounding, and with lanes bit for bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.parallel import layout, mesh, sharded_state, sharded_step
from jnn.train import LossOutput, create_state, make_step
from tests.parallel.models import CNN, MLP, TRANSFORMER, Model, assert_close, assert_same
from tests.parallel.sharing import some

OPTIMIZER = optax.adam(3e-3)
KEYS = jax.random.split(jax.random.key(0))
LANES = 8


@functools.cache
def placed(model: Model, text: str, lanes: int | None):
    """The layout, and its step: compiled once."""
    place = layout(model.spec, some(text))
    return place, sharded_step(model.loss, OPTIMIZER, KEYS[1], place, lanes=lanes)


@functools.cache
def run(model: Model, text: str, steps: int, lanes: int | None = None):
    """The losses of every step and the last state."""
    (place, step), losses = placed(model, text, lanes), []
    state = sharded_state(OPTIMIZER, KEYS[0], place, stats=model.stats)
    for i in range(steps):
        state, metrics = step(state, model.batch(seed=i))
        losses.append(metrics["loss"].value())
    return np.asarray(jnp.stack(losses)), jax.tree.map(np.asarray, state)


slowly = functools.partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("text", "steps"), [("data=8", 20), *(slowly(text, 200) for text in ("data=2", "data=4", "data=8", "fsdp=8"))]
)
def test_steps_with_dropout_agree(text, steps):
    """Same batches, masks and initial values: what is left is the order of sums, here below one part in a thousand."""
    found, expected = run(TRANSFORMER, text, steps)[0], run(TRANSFORMER, "data=1", steps)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert found[-1] < found[0] / (2 if steps == 200 else 1.05)


@pytest.mark.parametrize(
    ("model", "text", "steps"),
    [
        (MLP, "data=2,fsdp=4", 5),
        (CNN, "data=2", 5),
        slowly(CNN, "data=8", 20),
        (CNN, "data=4", 5),
        (TRANSFORMER, "data=8", 5),
        slowly(TRANSFORMER, "data=2", 200),
        slowly(TRANSFORMER, "data=4", 200),
        slowly(TRANSFORMER, "data=8", 200),
        slowly(TRANSFORMER, "data=2,fsdp=4", 200),
        slowly(TRANSFORMER, "stage=2,data=4", 20),
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_with_lanes_they_agree_bit_for_bit(model, text, steps):
    losses, state = run(model, text, steps, LANES)
    expected_losses, expected = run(model, "data=1", steps, LANES)
    assert np.array_equal(losses, expected_losses)
    assert_same(state, expected)


@pytest.mark.parametrize(("model", "text"), [(MLP, "data=2,fsdp=4"), (CNN, "data=4")], ids=["mlp", "cnn"])
def test_lanes_are_micro_batches(model, text):
    """Of the same rows: those of `make_step` are every eighth, those of lanes a run."""
    step = make_step(model.loss, OPTIMIZER, KEYS[1], microbatches=LANES)
    stats = None if model.stats is None else jnn.init(model.stats, KEYS[0])
    state = create_state(jnn.init(model.spec, KEYS[0]), OPTIMIZER, stats=stats)
    for i in range(3):
        batch = jax.tree.map(
            lambda x: x.reshape(LANES, -1, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape), model.batch(seed=i)
        )
        state, _ = step(state, batch)
    assert_close(run(model, text, 3, LANES)[1], state, rtol=1e-4, atol=1e-5)


def test_every_lane_has_noise_of_its_own():
    def loss(params, batch, ctx):
        number = jax.random.uniform(ctx.key)
        return LossOutput(batch["x"] * params["w"], metrics={"noise": jnn.metrics.Sum(jnp.stack([number, number**2]))})

    place = layout({"w": jnn.Param((), jax.nn.initializers.ones, ())}, some("data=2"))
    step = sharded_step(loss, OPTIMIZER, KEYS[1], place, lanes=2)
    _, metrics = step(sharded_state(OPTIMIZER, KEYS[0], place), {"x": np.ones(2, np.float32)})
    total, squares = np.asarray(metrics["noise"].total)
    assert squares > total**2 / 2 + 1e-4  # as much as that only if the two are the same


@pytest.mark.parametrize(
    ("text", "lanes", "rows", "message"),
    [
        ("data=8", 4, 16, "lanes: expected a multiple of the 8 devices that share the batch, found 4"),
        ("data=8", 0, 16, "lanes: expected a multiple .* found 0"),
        ("data=8", 16, 8, "16 lanes do not divide the 8 rows of the batch"),
        ("data=4,tensor=2", 8, 16, r"lanes: each is computed on one device, so every mesh axis .* \('data',\) do"),
    ],
)
def test_bad_input_is_one_clear_error(text, lanes, rows, message):
    place = layout(MLP.spec, mesh(text))
    with pytest.raises(ValueError, match=message):
        sharded_step(MLP.loss, OPTIMIZER, KEYS[1], place, lanes=lanes)(
            sharded_state(OPTIMIZER, KEYS[0], place), MLP.batch(rows)
        )
