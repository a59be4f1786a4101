"""What moves between devices, and what each holds: read from the compiled program."""

import functools
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding

import jnn
from jnn.models import mlp_spec
from jnn.parallel import layout, mesh, sharded_step
from jnn.train import create_state, make_step
from tests.parallel.models import CNN, MLP, Model, collectives, decoder, first, mlp_loss, of_gradients, text, text_loss

OPTIMIZER = optax.adam(1e-2)
KEY = jax.random.key(0)
LAYERS = 3
DECODER = Model("decoder", decoder(layers=LAYERS, embed=32, hidden=64), text_loss, text)
QUIET = Model("decoder without noise", DECODER.spec, functools.partial(text_loss, rate=0.0), text)
PAIRS = Model("two pairs", mlp_spec((8, 16, 16, 16, 4)), mlp_loss, MLP.batch)


def abstract_state(model: Model):
    make = lambda key: create_state(
        jnn.init(model.spec, key), OPTIMIZER, stats=None if model.stats is None else jnn.init(model.stats, key)
    )
    return jax.eval_shape(make, KEY)


@functools.cache
def compiled(model: Model, text: str, devices: int = 8, named: bool = True):
    """The train step on a mesh, from shapes alone; if not `named`, without the layout that it should be traced in."""
    place = layout(model.spec, mesh(text, first(devices)))
    on = lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    state, batch = abstract_state(model), model.batch()
    args = jax.tree.map(on, state, place.like(state)), jax.tree.map(lambda x: on(x, place.batch()), batch)
    step = sharded_step(model.loss, OPTIMIZER, KEY, place) if named else make_step(model.loss, OPTIMIZER, KEY)
    return step.lower(*args).compile()


def kinds(model: Model, text: str, devices: int = 8) -> Counter:
    return Counter(found.kind for found in collectives(compiled(model, text, devices)))


def gradients(model: Model, text: str) -> list:
    """Those collectives that move the gradient of some parameter: more than one number for each row and channel."""
    sizes = {int(np.prod(p.shape)) for p in jax.tree.leaves(model.spec)}
    return [
        c for c in collectives(compiled(model, text)) if any(int(np.prod(s)) in sizes and len(s) > 1 for s in c.shapes)
    ]


def test_data_parallel_has_one_fused_all_reduce():
    """Of all gradients and of the loss, in one collective."""
    (only,) = of_gradients(compiled(MLP, "data=8"), MLP.batch())
    assert only.kind == "all-reduce"
    assert sorted(map(np.prod, only.shapes))[-6:] == sorted(np.prod(p.shape) for p in jax.tree.leaves(MLP.spec))


def test_and_batch_statistics_add_no_more_than_their_own():
    assert set(kinds(CNN, "data=8")) == {"all-reduce"}
    (one,) = gradients(CNN, "data=8")
    assert len(one.shapes) >= len(jax.tree.leaves(CNN.spec))
    others = [c for c in collectives(compiled(CNN, "data=8")) if c != one]
    # the count of rows; mean and variance of 8 channels; a real row
    assert {s for c in others for s in c.shapes} == {(), (8,), (6, 6, 3)}


def test_of_scanned_layers_one_for_each_in_the_backward_loop():
    """One of all gradients of a layer, as each turn of the loop ends, and one of all the rest; on a TPU as well.

    A loop cannot carry out a sum of which every device has its share: the compiler has no name for where that lies. The
    bytes are those of one all-reduce for everything, the latencies as many as layers, each beside whatever work does
    not wait for it. Who wants just one has `pmap_step` and `lanes`, where each device's rows are a batch of its own;
    here noise and batch statistics are those of all rows.
    """
    found = of_gradients(compiled(DECODER, "data=8"), DECODER.batch())
    assert Counter((c.kind, c.inside == "ENTRY") for c in found) == {("all-reduce", True): 1, ("all-reduce", False): 1}


def test_fsdp_gathers_one_layer_at_a_time_and_scatters_its_gradients():
    found = collectives(compiled(QUIET, "fsdp=8"))
    assert {c.kind for c in found} <= {"all-gather", "all-reduce", "reduce-scatter"}
    block = {p.shape for p in jax.tree.leaves(QUIET.spec["blocks"])}
    inside = [c for c in found if c.inside != "ENTRY"]
    gathered = {s for c in inside if c.kind == "all-gather" for s in c.shapes}
    assert {(32, 64), (64, 32)} <= {s[-2:] for s in gathered}  # up and down, whole
    assert not gathered & block  # never all layers
    # XLA:CPU reduces a layer's gradients in one piece, then cuts it; where there is a reduce-scatter it makes one
    assert len([c for c in inside if c.kind != "all-gather"]) == 1
    # the stacks of weights, of gradients and of moments are in pieces everywhere
    for shape in [(LAYERS, 32, 64), (LAYERS, 64, 32)]:
        assert not re.search(rf"f32\[{','.join(map(str, shape))}\]", compiled(QUIET, "fsdp=8").as_text())


@pytest.mark.parametrize("text", ["data=2,fsdp=4", "data=2,fsdp=2,tensor=2"])
def test_products_have_no_all_to_all(text):
    assert set(kinds(DECODER, text)) <= {"all-gather", "all-reduce", "reduce-scatter"}


@pytest.mark.parametrize("text", ["data=2,fsdp=4", "data=2,fsdp=2,tensor=2"])
def test_gradients_are_scattered_along_fsdp_and_only_pieces_of_them_cross_data(text):
    """Of linear maps, that is; biases and norms are summed whole over both."""
    where = mesh(text)
    of_layer = lambda maps: (
        4 * sum(int(np.prod(p.shape[1:])) for p in jax.tree.leaves(DECODER.spec["blocks"]) if bool(p.fan_in) == maps)
    )
    weights, others = (of_layer(maps) // where.shape.get("tensor", 1) for maps in (True, False))
    sent = Counter()
    for row in jnn.inspect.collectives(compiled(DECODER, text), where):
        if row.loops and row.kind != "all-gather":
            sent[row.axes] += row.bytes
    assert sent["fsdp",] == weights  # XLA:CPU has no reduce-scatter: it sums them whole, then cuts
    assert sent["data",] == weights // where.shape["fsdp"]
    assert sent["data", "fsdp"] <= 2 * others


def test_of_convolutions_too_no_all_to_all():
    assert set(kinds(CNN, "data=2,fsdp=4")) <= {"all-gather", "all-reduce", "reduce-scatter"}


def test_tensor_parallel_reduces_once_a_pair_forward_and_once_backward():
    assert kinds(PAIRS, "tensor=4", 4) == {"all-reduce": 3}  # two pairs; the gradient of the input is not asked for
    loops = Counter(c.inside for c in collectives(compiled(QUIET, "tensor=4", 4)) if c.inside != "ENTRY")
    assert sorted(loops.values()) == [2, 2]  # attention and MLP, in the forward loop and in the backward one
    assert set(kinds(QUIET, "tensor=4", 4)) == {"all-reduce"}


def test_memory_falls_as_one_over_n_and_a_constant():
    """A device's state: a line in 1/n, that goes through n = 1 and 8, goes through 2 and 4."""
    sizes = {n: compiled(QUIET, f"fsdp={n}", n).memory_analysis() for n in (1, 2, 4, 8)}
    state = {n: size.argument_size_in_bytes for n, size in sizes.items()}
    slope = (state[1] - state[8]) * 8 / 7
    for n in (2, 4):
        assert state[n] == pytest.approx(state[1] - slope * (1 - 1 / n), rel=0.01)
    assert slope > 0.9 * state[1]
    temporary = [size.temp_size_in_bytes for size in sizes.values()]
    assert temporary == sorted(temporary, reverse=True)
    assert sizes[8].alias_size_in_bytes > 0.99 * (state[8] - 16 * (6 + 6 + 1) * 4 // 8)  # donated: updated in place


def test_without_names_activations_lie_anywhere():
    """The trap: a step that is traced in no layout gathers the batch, and keeps it."""
    bad, good = compiled(QUIET, "fsdp=8", named=False), compiled(QUIET, "fsdp=8")
    assert bad.memory_analysis().temp_size_in_bytes > 2 * good.memory_analysis().temp_size_in_bytes


def test_a_pmean_moved_from_pmap_into_shard_map_is_eight_times_too_large():
    """The trap, and what is right in both: the gradient of what varies from device to device."""
    where, rows, whole = mesh("data=8"), jax.P("data"), jax.P()
    w, x = jnp.ones(3), np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    loss = lambda w, x: jnp.mean((x @ w) ** 2)
    idiom = lambda w, x: jax.lax.pmean(jax.grad(loss)(w, x), "data")
    varying = lambda w, x: idiom(jax.lax.pcast(w, "data", to="varying"), x)
    mapped = lambda f, **options: jax.jit(
        jax.shard_map(f, mesh=where, in_specs=(whole, rows), out_specs=whole, **options)
    )
    expected = jax.grad(loss)(w, x)
    np.testing.assert_allclose(mapped(idiom)(w, x), 8 * expected, rtol=1e-5)
    for check in (True, False):
        np.testing.assert_allclose(mapped(varying, check_vma=check)(w, x), expected, rtol=1e-5)
    assert where.axis_types[0].name == "Auto"
    assert NamedSharding(where, rows).spec == rows
