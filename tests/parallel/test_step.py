"""The sharded step is the step: over a table of meshes and models, optimizers and options; and bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

import jnn
from jnn.parallel import layout, mesh, put_batch, put_state, sharded_eval, sharded_state, sharded_step
from jnn.train import create_state, make_eval, make_step
from tests.parallel.models import MLP, MODELS, TRANSFORMER, Model, assert_close, assert_same, first

OPTIMIZER = optax.sgd(0.1, momentum=0.9)
KEYS = jax.random.split(jax.random.key(0))
PRODUCT = "data=2,fsdp=2,tensor=2"
MESHES = {"data=8": 8, "fsdp=8": 8, "tensor=4": 4, PRODUCT: 8, "stage=2,data=2,tensor=2": 8}


def place(model: Model, text: str, **options):
    return layout(model.spec, mesh(text, first(MESHES.get(text, 8))), **options)


def create(model: Model, optimizer=OPTIMIZER, **options):
    stats = None if model.stats is None else jnn.init(model.stats, KEYS[0])
    return create_state(jnn.init(model.spec, KEYS[0]), optimizer, stats=stats, **options)


def train(step, state, model, steps=3):
    """The state and the losses after some steps, each with its own batch."""
    losses = []
    for i in range(steps):
        state, metrics = step(state, model.batch(seed=i))
        losses.append(metrics["loss"].value())
    return state, jnp.stack(losses)


@functools.cache
def alone(model: Model):
    """The same on one device; and evaluation after it."""
    state, losses = train(make_step(model.loss, OPTIMIZER, KEYS[1]), create(model), model)
    return state, losses, make_eval(model.loss)(state, model.batch())


@functools.cache
def sharded(model: Model, text: str):
    """The layout, and its step: compiled once."""
    where = place(model, text)
    return where, sharded_step(model.loss, OPTIMIZER, KEYS[1], where)


# every model on all axes but stages, every mesh with a model that has a use for it
FAST = {(MLP, "data=8"), (MLP, "fsdp=8"), (MLP, "tensor=4"), (TRANSFORMER, "stage=2,data=2,tensor=2")}
LAW = [
    pytest.param(model, text, marks=[] if text == PRODUCT or (model, text) in FAST else pytest.mark.slow)
    for model in MODELS
    for text in MESHES
]


@pytest.mark.parametrize(("model", "text"), LAW, ids=lambda x: getattr(x, "name", x))
def test_law_sharded_equals_unsharded(model, text):
    where, step = sharded(model, text)
    state, losses = train(step, sharded_state(OPTIMIZER, KEYS[0], where, stats=model.stats), model)
    expected, expected_losses, expected_eval = alone(model)
    assert_close(losses, expected_losses)
    assert_close(state, expected)
    assert jax.tree.all(jax.tree.map(lambda x, s: x.sharding.is_equivalent_to(s, x.ndim), state, where.like(state)))
    if text == PRODUCT:
        assert_close(sharded_eval(model.loss, where)(state, model.batch()), expected_eval, rtol=1e-4)


def test_sequence_parallel_the_stream_between_megatrons_pairs_lies_in_pieces():
    """Along time, where a product has no use for the axis; values are the same, and less is held."""
    where = place(TRANSFORMER, PRODUCT, activations={"time": ("context", "tensor")})
    pieces = sharded_step(TRANSFORMER.loss, OPTIMIZER, KEYS[1], where)
    state = sharded_state(OPTIMIZER, KEYS[0], where)
    whole, less = (
        step.lower(state, step.put(TRANSFORMER.batch())).compile()
        for step in (sharded(TRANSFORMER, PRODUCT)[1], pieces)
    )
    put = lambda state, batch: less(state, pieces.put(batch))
    state, losses = train(put, state, TRANSFORMER)
    assert_close(losses, alone(TRANSFORMER)[1])
    assert_close(state, alone(TRANSFORMER)[0])
    stream, products = (where.activation((8, 6, 16), ("time", name)).spec for name in ("embed", "hidden"))
    assert (stream, products) == (P(("data", "fsdp"), ("tensor",), None), P(("data", "fsdp"), None, ("tensor",)))
    assert jnn.inspect.memory(less).temporaries < jnn.inspect.memory(whole).temporaries


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_law_initial_values_are_those_of_one_device(model):
    where = place(model, "data=2,fsdp=2,tensor=2")
    found = sharded_state(OPTIMIZER, KEYS[0], where, stats=model.stats, ema=True)
    assert_same(found, create(model, ema=True))


OPTIMIZERS = {
    "adam": optax.adam(1e-2),
    "clipped adamw, masked": optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(1e-2, mask=jnn.weight_mask(MLP.spec))
    ),
    "adafactor": optax.adafactor(1e-2, min_dim_size_to_factor=4, momentum=0.9),
    "muon": optax.contrib.muon(1e-2, muon_weight_dimension_numbers=jnn.muon_dimension_numbers(MLP.spec)),
    "lion": optax.lion(1e-3),
    "lamb": optax.lamb(1e-2),
    "every second": optax.MultiSteps(optax.adam(1e-2), 2),
    "scheduled": optax.adam(optax.cosine_decay_schedule(1e-2, 10)),
}


def assert_lies_well(state):
    """What has a parameter's shape lies as it does; what has one of its axes, where these differ, is not whole."""
    params = jnn.flatten(state.params)
    for path, x in jnn.flatten(state.opt_state).items():
        (param,) = [p for end, p in params.items() if path.endswith(f"/{end}")] or [None]
        if param is not None and x.shape == param.shape:
            assert x.sharding.is_equivalent_to(param.sharding, x.ndim), path
        elif param is not None and param.shape == (8, 16) and x.shape in [(8,), (16,)]:
            assert not x.sharding.is_fully_replicated, path


ALIKE = ("adam", "lion", "lamb", "scheduled")  # what they keep, others keep as well


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in OPTIMIZERS]
)
def test_what_an_optimizer_keeps_lies_as_its_parameters_do(name):
    state = sharded_state(OPTIMIZERS[name], KEYS[0], place(MLP, "fsdp=4,tensor=2"))
    assert_lies_well(state)
    assert_same(state, create(MLP, OPTIMIZERS[name]))


@pytest.mark.parametrize("name", ["adafactor", "every second"])
def test_and_still_does_after_a_step(name):
    optimizer, where = OPTIMIZERS[name], place(MLP, "fsdp=4,tensor=2")
    expected, expected_losses = train(make_step(MLP.loss, optimizer, KEYS[1]), create(MLP, optimizer), MLP)
    state = sharded_state(optimizer, KEYS[0], where)
    state, losses = train(sharded_step(MLP.loss, optimizer, KEYS[1], where), state, MLP)
    assert_lies_well(state)
    assert_close(losses, expected_losses, rtol=1e-4)
    assert_close(state.params, expected.params, rtol=1e-3, atol=1e-4)


def test_options_are_those_of_make_step():
    options = {
        "microbatches": 2,
        "steps_per_call": 3,
        "clip_norm": 0.5,
        "ema_decay": 0.9,
        "compute_dtype": jnp.bfloat16,
    }
    where = place(MLP, "data=2,fsdp=4")
    batches = [MLP.batch(seed=i) for i in range(3)]
    stacked = jax.tree.map(lambda *x: np.stack(x), *batches)
    state = sharded_state(OPTIMIZER, KEYS[0], where, ema=True)
    state, metrics = sharded_step(MLP.loss, OPTIMIZER, KEYS[1], where, **options)(state, stacked)
    expected, expected_metrics = make_step(MLP.loss, OPTIMIZER, KEYS[1], **options)(create(MLP, ema=True), stacked)
    assert_close(metrics, expected_metrics, rtol=1e-2)
    assert_close(state, expected, rtol=1e-2, atol=1e-3)  # in bfloat16


def test_the_state_is_donated_and_a_batch_on_the_mesh_stays():
    where, step = sharded(MLP, "fsdp=8")
    state, batch = put_state(create(MLP), where), put_batch(MLP.batch(), where)
    again = put_batch(batch, where)
    pointers = lambda x: [shard.data.unsafe_buffer_pointer() for shard in x.addressable_shards]
    assert pointers(again["x"]) == pointers(batch["x"])
    step(state, batch)
    assert all(x.is_deleted() for x in jax.tree.leaves(state))
    assert not any(x.is_deleted() for x in jax.tree.leaves(batch))


def test_a_state_moves_to_another_mesh():
    """A run begun on eight devices goes on on two."""
    (eight, step), two = sharded(MLP, "fsdp=8"), layout(MLP.spec, mesh("data=2", first(2)))
    state, _ = train(step, put_state(create(MLP), eight), MLP)
    moved = put_state(state, two)
    assert_same(moved, state)
    assert_close(train(sharded_step(MLP.loss, OPTIMIZER, KEYS[1], two), moved, MLP)[1], train(step, state, MLP)[1])


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (12, {}, r"put_batch: 8 devices do not divide the 12 rows of batch/weight \(12,\)"),
        (16, {"activations": {"hiden": None}}, "rules: nothing has an axis 'hiden'. There are batch, embed"),
        (
            8,
            {"microbatches": 2},
            r"constrain: an activation \(4, 16\) has 4 along 'batch', which 8 devices .* data.* by microbatches",
        ),
    ],
)
def test_bad_input_is_one_clear_error(rows, options, message):
    where = place(MLP, "data=8", **{name: x for name, x in options.items() if name == "activations"})
    options = {name: x for name, x in options.items() if name != "activations"}
    step = sharded_step(MLP.loss, OPTIMIZER, KEYS[1], where, **options)
    with pytest.raises(ValueError, match=message):
        step(create(MLP), MLP.batch(rows))


def test_a_batch_without_rows_is_one_clear_error():
    with pytest.raises(ValueError, match=r"put_batch: expected leaves \(rows, ...\), found batch/rate \(\)"):
        put_batch({"rate": 0.5}, place(MLP, "data=8"))


def test_a_network_that_is_not_trained_lies_by_the_layout_too():
    body, head, sgd = jnn.models.mlp_spec((8, 32, 16)), jnn.layers.linear_spec(16, 4), optax.sgd(0.1)
    batch = {"x": np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32), "y": np.arange(16) % 4}
    given = {"body": jnn.init(body, jax.random.key(1))}
    state = lambda: create_state({"head": jnn.init(head, jax.random.key(2))}, sgd)

    def loss(params, batch, ctx):
        logits = jnn.layers.linear(params["head"], jnn.models.mlp(ctx.given["body"], batch["x"], key=None))
        return jnn.train.LossOutput(jnn.losses.cross_entropy(logits, batch["y"]))

    whole, _ = make_step(loss, sgd, jax.random.key(0), given=given)(state(), batch)
    place = layout({"head": head, "body": body}, "data=2,fsdp=4")
    placed = put_state(given, place)
    assert placed["body"]["fc0"]["w"].sharding.spec == P("fsdp", None)
    for one in (given, placed):
        cut, _ = sharded_step(loss, sgd, jax.random.key(0), place, given=one)(put_state(state(), place), batch)
        assert_close(cut.params, whole.params)

    alone = layout({"head": head}, "data=2,fsdp=4")
    cut, _ = sharded_step(loss, sgd, jax.random.key(0), alone, given=given)(put_state(state(), alone), batch)
    assert_close(cut.params, whole.params)  # without a spec it lies whole
    with pytest.raises(ValueError, match=r"declares body/fc0/b.* which the state lacks.* what is given"):
        sharded_step(loss, sgd, jax.random.key(0), place)(put_state(state(), place), batch)
