"""FLOPs against closed formulas, against XLA's own count where there is no loop, and the conventions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import pallas as pl
from jax.sharding import AxisType, PartitionSpec

import jnn
from jnn.inspect import flops
from jnn.layers import attention, attention_spec, conv, conv_spec
from jnn.models.transformer import transformer, transformer_spec
from tests.oracle import configurations

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
    assert "transformer_block.py" in str(count)


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


def test_loops_branches_and_shards():
    x = S((4, 4), "float32")
    one = 2 * 4**3
    scan = lambda x: jax.lax.scan(lambda c, _: (c @ c, None), x, None, length=5)[0]
    assert flops(scan, x).model == 5 * one
    assert flops(lambda x: jax.lax.fori_loop(2, 9, lambda _, c: c @ c, x), x).model == 7 * one
    counted = lambda x: jax.lax.while_loop(lambda c: c[0] < 7, lambda c: (c[0] + 2, c[1] @ c[1]), (0, x))
    assert flops(counted, x).model == 4 * one
    assert not flops(counted, x).notes
    cond = flops(lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, lambda x: x @ x, x), x)
    assert cond.model == 2 * one
    assert "dearest branch" in cond.notes[0]
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    sharded = jax.shard_map(
        lambda x: x @ x.T, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data")
    )
    assert flops(sharded, S((8, 4), "float32")).model == 8 * 2 * 2 * 2 * 4


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


def test_the_grouped_and_depthwise_layers_of_this_house():
    p = jnn.abstract(conv_spec(8, 8, (3, 3), groups=4))
    with jnn.backend.target("tpu"):
        count = flops(lambda p, x: conv(p, x, padding="VALID", groups=4), p, S((2, 6, 6, 8), "float32"))
    assert count.model == 2 * 2 * 16 * 8 * 9 * 2
