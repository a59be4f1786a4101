"""FLOPs against closed formulas, and against XLA's own count where there is no loop."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.inspect import flops
from jnn.layers import attention, attention_spec
from jnn.models import transformer, transformer_spec
from tests.oracle import configurations
from tests.table import BLOCKS

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


def test_ragged_products_meet_one_matrix_each():
    rows, matrices, groups = S((10, 4), "float32"), S((3, 4, 5), "float32"), S((3,), "int32")
    one = 2 * 10 * 4 * 5
    assert flops(jax.lax.ragged_dot, rows, matrices, groups).model == one
    loss = lambda x, w, groups: (jax.lax.ragged_dot(x, w, groups) ** 2).sum()
    assert flops(jax.grad(loss, (0, 1)), rows, matrices, groups).model == 3 * one
