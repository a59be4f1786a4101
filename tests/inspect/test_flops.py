"""FLOPs against closed formulas, against XLA's own count where there is no loop, and the laws of `model`."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.custom_derivatives import linear_call
from jax.experimental import pallas as pl
from jax.sharding import AxisType, PartitionSpec

import jnn
from jnn.inspect import flops
from jnn.layers import (
    attention,
    attention_spec,
    depthwise_conv,
    depthwise_conv_spec,
    mixture_of_experts,
    mixture_of_experts_spec,
    scan_layers,
)
from jnn.models import transformer, transformer_spec
from jnn.parallel import model_parallel
from tests.oracle import configurations
from tests.parallel.sharing import some
from tests.table import BLOCKS, layers, models

S = jax.ShapeDtypeStruct


def xla(f, *args):
    """XLA's own count of the same program, where products stay what they are."""
    return jax.jit(f).lower(*args).compile().cost_analysis().get("flops", 0)  # none where there is nothing to do


def normal(rng, *shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_a_multilayer_perceptron_is_six_per_weight_and_example(rng):
    sizes, batch = [int(n) for n in rng.integers(1, 30, 4)], int(rng.integers(1, 9))
    weights = [normal(rng, *pair) for pair in itertools.pairwise(sizes)]

    def loss(weights, x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return jnp.sum(x**2)

    count = flops(jax.grad(loss), weights, normal(rng, batch, sizes[0]))
    first = weights[0].size  # no gradient goes to the data
    assert count.model == count.hardware == batch * (6 * sum(w.size for w in weights) - 2 * first)


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_a_convolution_is_what_xla_counts(rng):
    """With stride, dilation, groups, padding, and both gradients: only products with true elements count."""
    groups = int(rng.integers(1, 4))
    c_in, c_out = (groups * int(n) for n in rng.integers(1, 5, 2))
    x = normal(rng, 2, *rng.integers(7, 12, 2), c_in)
    w = normal(rng, *rng.integers(1, 4, 2), c_in // groups, c_out)
    how = {
        "window_strides": tuple(rng.integers(1, 4, 2)),
        "padding": [tuple(pair) for pair in rng.integers(0, 3, (2, 2))],
        "rhs_dilation": tuple(rng.integers(1, 3, 2)),
        "lhs_dilation": tuple(rng.integers(1, 3, 2)),
    }
    how = jax.tree.map(int, how)

    def convolved(x, w):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, dimension_numbers=numbers, feature_group_count=groups, **how)

    y = convolved(x, w)
    assert flops(convolved, x, w).model == xla(convolved, x, w)
    forward_and_back = flops(lambda x, w: jax.vjp(convolved, x, w)[1](jnp.ones_like(y)), x, w)
    assert forward_and_back.model == 2 * flops(convolved, x, w).model  # of the input and of the kernel: the same pairs


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_a_product_is_what_xla_counts(rng):
    b, m, k, n = (int(size) for size in rng.integers(2, 20, 4))
    f = lambda x, w: jnp.einsum("bmk,bkn->mbn", x, w)
    assert flops(f, S((b, m, k), "float32"), S((b, k, n), "float32")).model == 2 * b * m * k * n
    assert xla(f, normal(rng, b, m, k), normal(rng, b, k, n)) == 2 * b * m * k * n


def loss_of(remat):
    def loss(params, batch, ctx):
        logits = transformer(params, batch["x"], key=ctx.key, remat=remat)
        return jnn.train.LossOutput(jnn.losses.cross_entropy(logits, batch["x"]))

    return loss


@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("remat", [None, "dots", "full"])
def test_a_decoders_train_step_is_six_per_weight_and_token_and_its_attention(remat, calls):
    """The whole step, optimizer included, as made and jitted; what is rematerialized changes the hardware's alone."""
    vocab, d, layers, heads, b, t = 32, 16, 3, 2, 2, 8
    spec = transformer_spec(vocab, t, layers=layers, heads=heads, embed=d)
    optimizer = optax.adam(1e-3)
    state = jax.eval_shape(lambda key: jnn.train.create_state(jnn.init(spec, key), optimizer), jax.random.key(0))
    step = jnn.train.make_step(loss_of(remat), optimizer, jax.random.key(1), steps_per_call=calls)
    count = flops(step, state, {"x": S((calls, b, t)[calls == 1 :], "int32")})
    weights = 12 * layers * d * d + vocab * d
    causal = layers * 2 * 2 * d * t * (t + 1) // 2
    assert count.model == calls * (6 * weights * b * t + 3 * causal * b)
    assert (count.hardware > count.model) == (remat is not None)
    assert sum(model for _, _, model in count.lines()) == count.model
    assert "feed_forward.py" in str(count)


@pytest.mark.parametrize("backend", ["cpu", "tpu"])
@pytest.mark.parametrize(("causal", "window"), [(True, None), (True, 3), (False, 3), (False, None), (True, 99)])
def test_attention_counts_the_pairs_that_see_each_other(causal, window, backend):
    t, d = 10, 8
    p = jnn.abstract(attention_spec(d, 2))
    with jnn.backend.target(backend):
        count = flops(lambda p, x: attention(p, x, causal=causal, window=window), p, S((t, d), "float32"))
    ahead = np.subtract.outer(np.arange(t), np.arange(t))
    seen = np.sum((ahead >= 0 if causal else True) & (np.abs(ahead) < (window or t)))
    assert count.model == 4 * 2 * t * d * d + 2 * 2 * seen * d


X = S((4, 4), "float32")
ONE = 2 * 4**3  # x @ x
twice = lambda x: x @ x @ x
loop = lambda start, test, step: (
    lambda x: jax.lax.while_loop(lambda c: test(c[0]), lambda c: (step(c[0]), c[1] @ c[1]), (start, x))
)
rolled = lambda n, f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, None, length=n)[0]
solved = lambda a, b: jax.lax.custom_linear_solve(
    lambda v: a @ v, b, solve=lambda _, b: a @ b, transpose_solve=lambda _, b: a.T @ b
)
called = lambda a, b: linear_call(lambda a, b: a @ b, lambda a, b: a.T @ b, a, b)

OPERATIONS = {  # function, arguments, FLOPs
    "batched": (lambda x, y: jnp.einsum("bij,bjk->bik", x, y), (S((3, 4, 5), "float32"), S((3, 5, 6), "float32")), 720),
    "batch axes alone": (lambda x, y: jnp.einsum("bi,bi->b", x, y), (S((3, 5), "float32"), S((3, 5), "float32")), 30),
    "scan": (rolled(5, lambda x: x @ x), (X,), 5 * ONE),
    "scan of 0": (rolled(0, lambda x: x @ x), (X,), 0),
    "scan in a scan": (rolled(3, rolled(5, twice)), (X,), 30 * ONE),
    "scan of 0 in a scan": (rolled(3, rolled(0, twice)), (X,), 0),
    "its gradient": (jax.grad(lambda x: rolled(5, lambda x: jnp.sin(x) @ x)(x).sum()), (X,), 15 * ONE),
    "fori": (lambda x: jax.lax.fori_loop(2, 9, lambda _, c: c @ c, x), (X,), 7 * ONE),
    "fori downwards": (lambda x: jax.lax.fori_loop(5, 3, lambda _, c: c @ c, x), (X,), 0),
    "while": (loop(0, lambda i: i < 7, lambda i: i + 2), (X,), 4 * ONE),
    "while, mirrored": (loop(0, lambda i: jax.lax.gt(7, i), lambda i: jax.lax.add(2, i)), (X,), 4 * ONE),
    "while of 0": (loop(0, lambda i: i < 0, lambda i: i + 1), (X,), 0),
    "while of 0, by anything": (loop(0, lambda i: i < 0, lambda i: i * 3), (X,), 0),
    "while up to": (loop(1, lambda i: i <= 7, lambda i: i + 2), (X,), 4 * ONE),
    "while down": (loop(7, lambda i: i > 0, lambda i: i - 2), (X,), 4 * ONE),
    "while not": (loop(8, lambda i: i != 0, lambda i: i - 2), (X,), 4 * ONE),
    "while in floats": (loop(0.0, lambda i: i < 2.5, lambda i: i + 1), (X,), 3 * ONE),
    "while in a scan": (rolled(3, lambda x: loop(0.5, lambda i: i < 2, lambda i: i + 0.5)(x)[1]), (X,), 9 * ONE),
    "the branch of a constant": (lambda x: jax.lax.cond(False, twice, lambda x: x @ x, x), (X,), ONE),
    "a solver, once": (solved, (X, X), ONE),
    "a linear map, once": (called, (X, X), ONE),
    "composite": (jax.lax.composite(twice, "jnn.twice"), (X,), 2 * ONE),
    "associative scan": (lambda x: jax.lax.associative_scan(jnp.matmul, x), (S((8, 4, 4), "float32"),), 11 * ONE),
    "pmap": (jax.pmap(jnp.dot, in_axes=(None, 0)), (X, S((8, 4, 4), "float32")), 8 * ONE),
    "ragged": (
        jax.vmap(jax.lax.ragged_dot),
        (S((3, 9, 4), "float32"), S((3, 2, 4, 5), "float32"), S((3, 2), int)),
        2 * 3 * 9 * 4 * 5,
    ),
    "scaled": (
        jax.nn.scaled_matmul,
        (*[S((2, 4, 64), "float8_e4m3fn")] * 2, *[S((2, 4, 2), "float8_e8m0fnu")] * 2),
        2 * 2 * 4 * 4 * 64,
    ),
    "no products": (lambda x: jnp.fft.fft(jnp.sort(jnp.cumsum(x * x))).real, (X,), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_its_formula(name):
    f, args, expected = OPERATIONS[name]
    count = flops(f, *args)
    assert (count.model, count.hardware, count.notes) == (expected, expected, ())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_a_counting_loop_is_counted_as_it_runs(rng, dtype):
    """Against the loop itself, run, whichever way it counts, in steps that floats round."""
    test, way = [(jax.lax.lt, 1), (jax.lax.le, 1), (jax.lax.gt, -1), (jax.lax.ge, -1), (jax.lax.ne, 1)][rng.integers(5)]
    by, steps, off = way * rng.uniform(1, 4), rng.integers(0, 20), 0 if test is jax.lax.ne else rng.integers(-1, 2)
    start = float(np.asarray(rng.uniform(-9, 9), dtype))
    by = float(np.asarray(by, "int32" if test is jax.lax.ne else dtype))  # else it may never be met
    limit = start + by * float(steps) + off
    start, by, limit = (np.asarray(v, dtype) for v in (start, by, limit))
    program = loop(start, lambda i: test(i, limit), lambda i: i + by)
    with jax.disable_jit():
        ran, i = 0, start
        while bool(test(i, limit)) and ran < 1000:
            ran, i = ran + 1, np.asarray(i + by, dtype)
    count = flops(program, X)
    assert (count.model, count.notes) == (ran * ONE, ()) if ran < 1000 else "counted once" in count.notes[0]


def test_of_branches_the_dearest_counts_and_is_named():
    cond = flops(lambda x: jax.lax.cond(x[0, 0] > 0, twice, lambda x: x @ x, x), X)
    assert cond.model == 2 * ONE
    assert "dearest branch" in cond.notes[0]
    again = flops(jax.grad(lambda x: jax.lax.cond(x[0, 0] > 0, jax.checkpoint(twice), twice, x).sum()), X)
    assert again.model == flops(jax.grad(lambda x: twice(x).sum()), X).model


@pytest.mark.parametrize("axes", [("data",), ("data", "model"), ()])
def test_what_is_alike_on_several_devices_is_the_models_once(axes):
    """Values and gradients, where JAX knows what differs; the hardware does it on each."""
    place = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    rows = PartitionSpec(axes or None)
    sharded = jax.shard_map(lambda w, x: x @ w, mesh=place, in_specs=(PartitionSpec(), rows), out_specs=rows)
    devices = {(): 8, ("data",): 2, ("data", "model"): 1}[axes]
    loss = lambda f: lambda w, x: (f(w, x) ** 2).sum()
    for f in (sharded, jax.grad(loss(sharded), (0, 1))):
        count = flops(f, X, S((8, 4), "float32"))
        expected = 2 * 8 * 4 * 4 * (1 if f is sharded else 3)
        assert (count.model, count.hardware) == (expected, devices * expected)


def gradients_of(layer):
    """Of a sum over a row of the table's outputs, by its parameters and float inputs."""

    def loss(args):
        return sum(jnp.sum(y.astype(jnp.float32)) for y in jax.tree.leaves(layer.apply(*args, key=None)))

    return lambda *args: jax.value_and_grad(loss, allow_int=True)(args)


ONCE = {"spectral_norm"}  # the work on whose weights is the same for any batch


NEWER = [row for row in BLOCKS if row not in (*layers.BLOCKS, *models.BLOCKS)]  # made of the same products


@pytest.mark.parametrize(
    "layer",
    [pytest.param(row, marks=pytest.mark.slow if row in NEWER else ()) for row in BLOCKS],
    ids=lambda row: row.name,
)
def test_no_layer_depends_on_the_formulation_of_a_backend(layer):
    """Values and gradients; and a batch of six is twice one of three, as is a loop over two of these."""
    args = [(jnn.abstract(layer.spec), *layer.inputs(rows)) for rows in (3, 6)]
    counts = {}
    for platform in ("cpu", "tpu"):
        with jnn.backend.target(platform):
            counts[platform] = flops(gradients_of(layer), *args[0]).model
    assert counts["cpu"] == counts["tpu"]
    if layer.per_example and layer.name not in ONCE:
        assert flops(gradients_of(layer), *args[1]).model == 2 * counts["cpu"]
    split = lambda p, *x: jax.lax.map(
        lambda x: gradients_of(layer)(p, *x), [jnp.reshape(leaf, (2, 3, *leaf.shape[1:])) for leaf in x]
    )
    assert flops(split, *args[1]).model == 2 * counts["cpu"]


FORMULAS = {  # of one example, forward; those of a row of the table
    "linear": 2 * 5 * 7,
    "linear-many-axes": 2 * 6 * 20,
    "conv-1d": 2 * (1 + 2 + 4 * 3) * 2 * 4,  # causal: the first two meet fewer
    "conv-of-one": 2 * 4 * 5 * 3 * 4,
    "conv-groups": 2 * 4 * 4 * 9 * 12 * 6,  # mirrored: no zeros
    "conv-3d": 2 * 27 * 8 * 2 * 3,
    "depthwise_conv": 2 * (2 + 3 + 2) ** 2 * 6,  # 5 by strides of 2: each end meets one zero
    "separable_conv": 2 * (2 + 3 + 3 + 2) ** 2 * 3 + 2 * 16 * 3 * 5,
    "conv_transpose": 2 * (3 * 3 - 1) * (4 * 3 - 1) * 2 * 6,  # "SAME" cuts one off
    "unembed": 2 * 5 * 11,
    "attention": 4 * 2 * 5 * 8 * 8 + 2 * 2 * 5 * 5 * 8,
    "attention-causal-grouped": 2 * 5 * 6 * (12 + 6 + 6 + 12) + 2 * 2 * 15 * 12,
    "experts": 5 * 2 * (6 * 4 + 2 * 3 * 6 * 8 + 2 * 6),  # router, two gated experts, their sum
    "rnn_cell": 2 * (3 + 4) * 4,
    "lstm_cell": 4 * 2 * (3 + 4) * 4,
    "gru_cell": 3 * 2 * (3 + 4) * 4,
    "rnn-gru": 6 * 3 * 2 * (3 + 4) * 4,
    "rnn-lstm": 6 * 4 * 2 * (3 + 4) * 4,
    "mlp": 2 * (5 * 8 + 8 * 6 + 6 * 3),
    "transformer": 2 * (6 * 2 * 12 * 8**2 + 2 * 2 * 21 * 8) + 6 * 2 * 8 * 11,
}


@pytest.mark.parametrize("layer", [row for row in BLOCKS if row.name in FORMULAS], ids=lambda row: row.name)
def test_a_layer_is_its_formula(layer):
    count = flops(lambda p, *x: layer.apply(p, *x, key=None), jnn.abstract(layer.spec), *layer.inputs(3))
    assert count.model == 3 * FORMULAS[layer.name]


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_shifted_multiply_adds_are_a_convolution(rng):
    """In every geometry: values, gradients, and tangents."""
    channels, kernel = int(rng.integers(1, 4)), tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
    p = jnn.abstract(depthwise_conv_spec(channels, kernel, multiplier=int(rng.integers(1, 3))))
    x = S((2, *(int(n) for n in rng.integers(7, 12, len(kernel))), channels), "float32")
    padding = ["SAME", "VALID", "CIRCULAR", "REFLECT", [tuple(map(int, rng.integers(0, 3, 2))) for _ in kernel]]
    how = {"stride": int(rng.integers(1, 4)), "dilation": int(rng.integers(1, 3)), "padding": padding[rng.integers(5)]}
    layer = lambda p, x: depthwise_conv(p, x, **how)
    tangents = lambda p, x: jax.jvp(layer, (p, x), (p, x))
    for f in (layer, tangents, jax.grad(lambda p, x: layer(p, x).sum(), (0, 1))):
        counts = []
        for platform in ("cpu", "tpu"):
            with jnn.backend.target(platform):
                counts.append(flops(f, p, x).model)
        assert counts[0] == counts[1] > 0


MESHES = [  # each with another attention
    ("expert=2,data=4", {}, {"causal": True}),
    ("context=4,data=2", {}, {"causal": True}),
    ("context=4", {}, {"window": 3}),
    ("context=2,tensor=2", {"context": "heads"}, {"causal": True, "window": 5}),
    ("stage=2,context=2,expert=2", {"microbatches": 4}, {"causal": True, "window": 5}),
]


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
@pytest.mark.parametrize(("text", "how", "dot_product_attention"), MESHES)
def test_no_model_depends_on_the_mesh(text, how, dot_product_attention, platform):
    """A layer of attention and experts, twice, by value and gradient."""
    spec = jnn.stack({"attention": attention_spec(16, 4), "experts": mixture_of_experts_spec(16, 8, 8)}, 2)
    p, x = jnn.abstract(spec), S((8, 16, 16), "float32")

    def layer(p, x, key, beside):
        x = x + attention(p["attention"], x, **dot_product_attention)
        return x + mixture_of_experts(p["experts"], x, top=2)[0]

    grad = lambda: jax.grad(lambda p, x: scan_layers(layer, p, x, "time", "embed").sum(), (0, 1))
    with jnn.backend.target(platform):
        alone = flops(grad(), p, x)
        count = flops(model_parallel(some(text), **how)(grad()), p, x)
    assert count.model == alone.model
    assert count.hardware >= count.model


def test_a_loop_of_unknown_length_is_counted_once_and_named():
    unknown = lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 7, lambda x: x @ x, x)
    count = flops(unknown, S((4, 4), "float32"))
    assert count.model == 2 * 4**3
    assert "counted once" in count.notes[0]
    assert "test_flops.py" in count.notes[0]
    assert count.notes[0] in str(count)
    assert not flops(lambda x: jax.lax.while_loop(lambda x: x < 7, lambda x: 2 * x, x), S((), "float32")).notes


def test_what_jax_wraps_is_counted_once():
    x = S((4, 4), "float32")
    product = jax.jit(lambda x: x @ x)
    derived = jax.custom_vjp(product)
    derived.defvjp(lambda x: (product(x), x), lambda x, g: (g @ x.T + x.T @ g,))
    one = 2 * 4**3
    assert flops(product, x).model == one
    assert flops(derived, x).model == one
    assert flops(jax.grad(lambda x: derived(x).sum()), x).model == 2 * one  # the forward product is not needed
    assert flops(jax.grad(lambda x: (derived(x) ** 2).sum()), x).model == 3 * one
    assert flops(jax.checkpoint(product), x).model == one
    forward = jax.custom_jvp(product)
    forward.defjvp(lambda primals, tangents: (product(*primals), tangents[0] @ primals[0]))
    assert flops(forward, x).model == one
    assert flops(lambda x: jax.jvp(forward, (x,), (x,)), x).model == 2 * one
    assert flops(jax.vmap(product), S((5, 4, 4), "float32")).model == 5 * one
    assert flops(lambda x: jnp.cumsum(x).sum() + jnp.exp(x).max(), x).model == 0


def test_ragged_products_meet_one_matrix_each():
    rows, matrices, groups = S((10, 4), "float32"), S((3, 4, 5), "float32"), S((3,), "int32")
    one = 2 * 10 * 4 * 5
    assert flops(jax.lax.ragged_dot, rows, matrices, groups).model == one
    loss = lambda x, w, groups: (jax.lax.ragged_dot(x, w, groups) ** 2).sum()
    assert flops(jax.grad(loss, (0, 1)), rows, matrices, groups).model == 3 * one


def test_a_pallas_kernel_counts_its_estimate_or_is_named():
    def kernel(x, y):
        y[...] = 2 * x[...]

    shape = S((8, 128), "float32")
    plain = pl.pallas_call(kernel, out_shape=shape)
    assert flops(plain, shape).model == 0
    assert "Pallas kernel" in flops(plain, shape).notes[0]
    estimate = pl.CostEstimate(flops=1234, transcendentals=0, bytes_accessed=0)
    told = flops(pl.pallas_call(kernel, out_shape=shape, cost_estimate=estimate), shape)
    assert (told.model, told.notes) == (1234, ())
    several = flops(
        jax.vmap(pl.pallas_call(kernel, out_shape=shape, cost_estimate=estimate)), S((5, 8, 128), "float32")
    )
    assert several.model == 5 * 1234


def test_what_has_no_jaxpr_is_named():
    exported = jax.export.export(jax.jit(twice))(X)
    assert "not counted: the call_exported" in flops(exported.call, X).notes[0]
