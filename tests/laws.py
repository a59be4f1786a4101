"""The laws, over a table of everything: values and gradients, on eight CPU devices.

Most of their time is XLA's, so that what several laws ask for is made once for each row, here: its params, and its
compiled function.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters.partial_eval import dce_jaxpr
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jnn
from jnn.axes import gathered, use_layout
from jnn.parallel import layout
from tests.table import LAYERS, LOSSES, SEQUENCES, Layer, Loss, Sequence
from tests.tolerance import loosened

layer_table = pytest.mark.parametrize("layer", LAYERS, ids=lambda row: row.name)
learned_table = pytest.mark.parametrize("layer", [row for row in LAYERS if row.spec], ids=lambda row: row.name)
loss_table = pytest.mark.parametrize("loss", LOSSES, ids=lambda row: row.name)
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


def batch_of(row: Layer | Loss | Sequence, *leading: int) -> tuple[jax.Array, ...]:
    """Inputs with these leading axes, from a fixed seed."""
    rng = np.random.default_rng(0)
    examples = [row.example(rng) for _ in range(int(np.prod(leading)))]
    return tuple(
        jnp.asarray(np.stack(column).reshape(*leading, *column[0].shape)) for column in zip(*examples, strict=True)
    )


KEY = jax.random.key(0)


@functools.cache
def drawn(row: Layer | Sequence) -> dict:
    """Its initial parameters, as a part of this name has them in a larger model."""
    return jnn.init(row.spec, jnn.path_key(KEY, row.name))


@functools.cache
def params_of(layer: Layer | Sequence) -> dict:
    """Parameters moved off their special initial values, so that no law holds by a zero or a one."""
    move = lambda x: x + 0.1 * np.cos(np.arange(x.size, dtype=x.dtype)).reshape(x.shape)
    return jax.tree.map(lambda x: jnp.asarray(move(np.asarray(x))), drawn(layer))


@functools.cache
def compiled(layer: Layer) -> Callable[..., Any]:
    """`(params, *inputs, key=...) -> outputs` of a row: laws that call it with equal shapes share its programs."""
    return jax.jit(layer.apply)


def in_bfloat16(tree: Any) -> Any:
    """Its float32 arrays in bfloat16: cast by NumPy, for which nothing is compiled."""
    return jax.tree.map(lambda x: np.asarray(x).astype(jnp.bfloat16) if x.dtype == np.float32 else x, tree)


def noise(layer: Layer) -> jax.Array | None:
    return jax.random.key(1) if layer.noisy else None


def value_and_gradient(fn, *args):
    """Outputs, and the gradients of a fixed random projection of them, with respect to float arguments.

    Outside of `jax.jit` the way forwards is eager, and the way back one program: its operations are JAX's own.
    """
    out, back = jax.vjp(fn, *args)
    grads = jax.jit(lambda back: back(jax.tree.map(direction, out)))(back)
    return out, [g for g in jax.tree.leaves(grads) if jnp.issubdtype(g.dtype, jnp.floating)]


def direction(x: jax.Array) -> np.ndarray:
    """What an output is projected on; integers have no gradient."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return np.zeros(x.shape, jax.dtypes.float0)
    return np.cos(np.arange(x.size, dtype=x.dtype)).reshape(x.shape)


def equations(jaxpr):
    """All of a jaxpr, those of the jaxprs within it included."""
    for eqn in jaxpr.eqns:
        yield eqn
        for value in jax.tree.leaves(list(eqn.params.values())):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def assert_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        near = loosened(**(tolerance or TOLERANCE))
        np.testing.assert_allclose(np.asarray(x, np.float32), np.asarray(y, np.float32), **near)


@layer_table
def test_law_1_init_returns_what_the_spec_declares(layer):
    params = drawn(layer)
    abstract = jnn.abstract(layer.spec)
    assert jax.tree.structure(params) == jax.tree.structure(abstract)
    for x, s in zip(jax.tree.leaves(params), jax.tree.leaves(abstract), strict=True):
        assert (x.shape, x.dtype) == (s.shape, s.dtype)


SPECS = {
    "prelu_spec": (4,),
    "linear_spec": (3, 2),
    "conv_spec": (2, 4, (3,)),
    "conv_transpose_spec": (2, 4, (3,)),
    "depthwise_conv_spec": (2, (3,)),
    "separable_conv_spec": (2, 4, (3,)),
    "batch_norm_spec": (3,),
    "layer_norm_spec": (3,),
    "rms_norm_spec": (3,),
    "group_norm_spec": (4,),
    "instance_norm_spec": (3,),
    "embed_spec": (5, 2),
    "learned_positions_spec": (5, 2),
    "attention_spec": (4, 2),
    "mixture_of_experts_spec": (2, 3, 4),
    "rnn_cell_spec": (2, 3),
    "lstm_cell_spec": (2, 3),
    "gru_cell_spec": (2, 3),
    "perceptron_spec": (3,),
    "mlp_spec": ((3, 4, 2),),
    "cnn_spec": ((8, 8, 1), (2,), 3, 2),
    "recurrent_classifier_spec": (5, 2, 3, 2),
    "transformer_spec": (5, 4),
    "transformer_block_spec": (4, 2, 8),
}
OF_OTHERS = {"bidirectional_spec", "batch_norm_stats_spec"}  # a cell's twice; statistics are float32


def test_law_1_every_spec_takes_a_dtype_and_declares_all_of_it_in_it():
    rooms = (jnn.activations, jnn.layers, jnn.models)
    found = {name: getattr(room, name) for room in rooms for name in room.__all__ if name.endswith("_spec")}
    assert set(found) == set(SPECS) | OF_OTHERS
    sizes = {"transformer_spec": {"layers": 2, "heads": 2, "embed": 4}}
    for name, args in SPECS.items():
        spec = found[name](*args, **sizes.get(name, {}), dtype=jnp.bfloat16)
        assert {jnp.dtype(param.dtype) for param in jax.tree.leaves(spec)} == {jnp.dtype(jnp.bfloat16)}, name


def test_every_draw_that_is_scaled_by_fans_has_the_variance_of_one_map():
    """Of a stack one layer, of experts one expert, of a cell one gate: whatever lies beside it does not count."""
    rule, cases = jnn.initializers.VarianceScaling(2.0, "fan_avg", "uniform"), {}
    for row in LAYERS:
        for path, param in jnn.flatten(row.spec).items():
            if param.fan_in and len(param.fan_in + param.fan_out) < len(param.axes):
                cases[param.shape, param.stacked, param.receptive] = f"{row.name} {path}", param

    @jax.jit
    def variances(key):
        many = lambda param: jax.random.split(key, 1 + 10_000 // int(np.prod(param.shape)))
        draw = lambda param: jax.vmap(dataclasses.replace(param, init=rule).draw)(many(param))
        return [jnp.var(draw(param)) for _, param in cases.values()]

    for (name, param), variance in zip(cases.values(), variances(jax.random.key(0)), strict=True):
        size = dict(zip(param.axes, param.shape, strict=True))
        of = lambda names, size=size: int(np.prod([size[name] for name in names]))
        fan = of(param.receptive) * (of(param.fan_in) + of(param.fan_out)) / 2
        np.testing.assert_allclose(variance * fan, 2.0, rtol=0.06, err_msg=name)


@layer_table
def test_law_1_every_leaf_is_read(layer):
    params, inputs = params_of(layer), batch_of(layer, 4)

    def outputs_depend_on(params):
        return layer.apply(params, *inputs, key=noise(layer))

    jaxpr = jax.make_jaxpr(outputs_depend_on)(params)
    _, used = dce_jaxpr(jaxpr.jaxpr, [True] * len(jaxpr.jaxpr.outvars))
    unread = [path for path, u in zip(jnn.flatten(params), used, strict=True) if not u]
    assert not unread


def first_divisible(spec: Any) -> str | None:
    """The first axis all of whose sizes are multiples of eight."""
    sizes: dict[str, list[int]] = {}
    for p in jax.tree.leaves(spec):
        for name, size in zip(p.axes, p.shape, strict=True):
            sizes.setdefault(name, []).append(size)
    return next((name for name, found in sizes.items() if all(size % 8 == 0 for size in found)), None)


@functools.cache
def drawn_among_others(axis: str | None) -> dict:
    """One model of the rows whose first axis that eight devices divide is this: spread over them along it."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    rows = {row.name: row.spec for row in LAYERS if first_divisible(row.spec) == axis}
    return jnn.init({"others": jnn.activations.prelu_spec(), **rows}, KEY, mesh=mesh, rules={axis: "x"} if axis else {})


@layer_table
def test_law_2_a_draw_depends_on_its_path_alone(layer):
    """Not on what else is drawn, and not on the devices: alone on one it is as among other rows on eight."""
    assert_close(drawn(layer), drawn_among_others(first_divisible(layer.spec))[layer.name], rtol=0, atol=0)


OPTIONAL = {"b": 0.0, "bias": 0.0, "scale": 1.0}  # a leaf of this name, and what it is where there is none


def without(params, name):
    """Parameters without the leaves of a name."""
    if isinstance(params, list | tuple):
        return type(params)(without(p, name) for p in params)
    if not isinstance(params, dict):
        return params
    return {key: without(p, name) for key, p in params.items() if key != name}


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (row, name)
        for row in LAYERS
        for name in OPTIONAL
        if any(p.split("/")[-1] == name for p in jnn.flatten(row.spec))
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_law_3_what_params_hold_says_what_is_computed(layer, name):
    """No flag: a bias, an offset or a scale is there iff its leaf is; its shape carries what else there is to know."""
    inputs = batch_of(layer, 4)
    neutral = lambda path, x: np.full(x.shape, OPTIONAL[name], x.dtype) if path.split("/")[-1] == name else x
    params = jnn.param.map_paths(neutral, params_of(layer))
    apply = lambda p: compiled(layer)(p, *inputs, key=noise(layer))
    assert_close(apply(without(params, name)), apply(params))


@layer_table
def test_law_4_noise_is_an_argument(layer):
    params, inputs = params_of(layer), batch_of(layer, 4)
    run = lambda key: compiled(layer)(params, *inputs, key=key)
    silent = run(None)
    assert_close(run(jax.random.key(0)), run(jax.random.key(0)), rtol=0, atol=0)
    same = jax.tree.map(np.array_equal, silent, run(jax.random.key(1)))
    assert jax.tree.all(same) != layer.noisy


@pytest.mark.parametrize("layer", [row for row in LAYERS if row.per_example], ids=lambda row: row.name)
def test_law_5_leading_axes_are_free(layer):
    params, inputs = params_of(layer), batch_of(layer, 2, 3)
    apply = lambda p, *x: layer.apply(p, *x, key=None)
    one_by_one = jax.vmap(jax.vmap(apply, in_axes=(None, *[0] * len(inputs))), in_axes=(None, *[0] * len(inputs)))
    assert_close(*jax.jit(lambda *a: [value_and_gradient(f, *a) for f in (apply, one_by_one)])(params, *inputs))


@layer_table
def test_law_6_jit_equals_eager_and_sharded_equals_unsharded(layer):
    params, inputs = params_of(layer), batch_of(layer, 8)
    apply = gathered(lambda p, *x: layer.apply(p, *x, key=noise(layer)))
    run = lambda *args: value_and_gradient(apply, *args)
    jitted = jax.jit(run)
    whole, eager = jitted(params, *inputs), run(params, *inputs)
    assert_close(eager, whole)
    assert [x.dtype for x in jax.tree.leaves(eager)] == [x.dtype for x in jax.tree.leaves(whole)]
    place = layout(layer.spec, "data=2,fsdp=2,tensor=2", uneven="replicate")  # others: tests/parallel/test_gathered.py
    with use_layout(place):
        params, inputs = jax.tree.map(np.asarray, (params, inputs))  # cut by NumPy, not by programs
        sharded = jitted(jax.device_put(params, place.parameters), *jax.device_put(inputs, place.batch()))
    assert_close(sharded, whole)


@layer_table
def test_law_7_dtype_in_is_dtype_out(layer):
    params, inputs = params_of(layer), batch_of(layer, 4)
    out = compiled(layer)(params, *inputs, key=noise(layer))
    low = compiled(layer)(*in_bfloat16((params, *inputs)), key=noise(layer))
    for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(low), strict=True):
        assert (a.dtype, b.dtype) in [(jnp.float32, jnp.bfloat16), (jnp.int32, jnp.int32), (jnp.bool_, jnp.bool_)]
    if not layer.noisy:
        assert_close(low, out, rtol=0.05, atol=0.08)


@learned_table
def test_law_7_long_sums_of_gradients_are_in_float32(layer):
    """In bfloat16 the gradient over a batch and its copies is that over the batch, times how often it is there."""
    rows, copies = 4, 512
    params, inputs = in_bfloat16((params_of(layer), batch_of(layer, rows)))
    inputs = [np.tile(x, (copies, *[1] * (x.ndim - 1))) for x in inputs]

    def counted(params, inputs, weight):  # inputs are arguments: XLA would compute with constants while it compiles
        out = [x for x in jax.tree.leaves(layer.apply(params, *inputs, key=None)) if x.shape[:1] == weight.shape]
        flat = [x.reshape(len(weight), -1).astype(jnp.float32) for x in out]
        return sum(weight @ x @ (1.5 + np.cos(np.arange(x.shape[1], dtype=np.float32))) for x in flat)

    gradient = partial(jax.jit(jax.grad(counted)), params, inputs)
    once = np.repeat(np.eye(copies, dtype=np.float32)[0], rows)
    whole, once = gradient(np.ones_like(once)), gradient(once)
    for (path, a), b in zip(jnn.flatten(whole).items(), jax.tree.leaves(once), strict=True):
        want = copies * np.asarray(b, np.float64)
        assert np.linalg.norm(np.asarray(a, np.float64) - want) <= 2**-8 * np.linalg.norm(want), path


@layer_table
def test_law_7_float64_stays_float64(layer):
    with jax.enable_x64(True):
        wide = lambda x: jax.ShapeDtypeStruct(x.shape, np.float64 if x.dtype == np.float32 else x.dtype)
        params = jax.tree.map(wide, jnn.abstract(layer.spec))
        inputs = [wide(x[None]) for x in layer.example(np.random.default_rng(0))]
        jaxpr = jax.make_jaxpr(partial(value_and_gradient, partial(layer.apply, key=noise(layer))))(params, *inputs)
    outputs = [v for eqn in equations(jaxpr.jaxpr) for v in eqn.outvars]
    assert not {str(v.aval) for v in outputs if v.aval.dtype in (np.float16, np.float32, jnp.bfloat16)}


@loss_table
def test_law_8_losses_return_one_number_per_example(loss):
    predictions, targets = batch_of(loss, 2, 3)
    ways = loss.apply, jax.vmap(jax.vmap(loss.apply))
    whole, one_by_one = jax.jit(lambda *a: [value_and_gradient(f, *a) for f in ways])(predictions, targets)
    assert whole[0].shape[:2] == (2, 3)
    assert_close(whole, one_by_one)


@loss_table
def test_law_6_losses_jit_equals_eager_and_sharded(loss):
    predictions, targets = batch_of(loss, 8)
    run = lambda *a: value_and_gradient(loss.apply, *a)
    whole = jax.jit(run)(predictions, targets)
    assert_close(run(predictions, targets), whole)
    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    on_host = np.asarray(predictions), np.asarray(targets)
    sharded = jax.device_put(on_host, NamedSharding(mesh, PartitionSpec("data")))
    assert_close(jax.jit(run)(*sharded), whole)


@pytest.mark.parametrize("row", SEQUENCES, ids=lambda row: row.name)
def test_law_9_prefill_equals_step_by_step_equals_the_whole(row):
    """However a sequence is cut, and whatever leading axes it has; in one compilation for each size of a chunk."""
    params, x = params_of(row), np.asarray(batch_of(row, 2, 3)[0])
    t = x.shape[2]
    chunk = jax.jit(row.chunk)
    whole = jax.jit(row.whole)(params, x)
    for cuts in ((), (4,), tuple(range(1, t)), (1, 5)):
        memory, found = row.begin(params, t, (2, 3)), []
        for part in np.split(x, cuts, axis=2):
            y, memory = chunk(params, part, memory)
            found.append(y)
        assert_close(np.concatenate(found, axis=2), whole)
