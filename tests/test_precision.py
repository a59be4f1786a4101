"""Gradients in 16 bits against float32's, where a parameter is used thousands of times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import activations, backend, graphs, layers, models
from jnn.precision import add_bias, over_steps, take

TIMES = 8192


def normal(*shape):
    return 1 + np.random.default_rng(0).normal(size=shape).astype(np.float32)


def recurrent(cell):
    return lambda p, x: layers.rnn(cell, p, x)[0]


MANY = {
    "linear": (layers.linear_spec(4, 3), layers.linear, normal(4 * TIMES, 4)),
    "conv": (layers.conv_spec(3, 4, (3, 3)), layers.conv, normal(64, 32, 32, 3)),
    "conv_transpose": (layers.conv_transpose_spec(2, 3, (2, 2)), layers.conv_transpose, normal(64, 16, 16, 2)),
    "depthwise_conv": (layers.depthwise_conv_spec(3, (3, 3)), layers.depthwise_conv, normal(64, 16, 16, 3)),
    "prelu": (activations.prelu_spec(), activations.prelu, normal(TIMES) - 1),
    "embed": (layers.embed_spec(3, 2), layers.embed, np.arange(TIMES + 2).clip(max=2)),
    "positions": (layers.learned_positions_spec(4, 2), layers.learned_positions, np.arange(4 * TIMES) % 4),
    "layer_norm": (layers.layer_norm_spec(4), layers.layer_norm, normal(TIMES, 4)),
    "batch_norm": (layers.batch_norm_spec(4), lambda p, x: (layers.batch_norm(p, x)[0] + 1) ** 2, normal(TIMES, 4)),
    "group_norm": (
        layers.group_norm_spec(4),
        lambda p, x: (layers.group_norm(p, x, 2) + 1) ** 2,
        normal(32, 16, 16, 4),
    ),
    "experts": (
        layers.mixture_of_experts_spec(3, 4, 8),
        lambda p, x: layers.mixture_of_experts(p, x, top=2)[0],
        normal(TIMES, 3),
    ),
    "rnn": (layers.rnn_cell_spec(2, 8, recurrent_bias=True), recurrent(layers.rnn_cell), normal(2, 2048, 2)),
    "gru": (layers.gru_cell_spec(2, 8), recurrent(layers.gru_cell), normal(2, 2048, 2)),
    "lstm": (layers.lstm_cell_spec(2, 8), recurrent(layers.lstm_cell), normal(2, 2048, 2)),
}


@pytest.mark.parametrize(
    ("name", "platform"),
    [*((name, "cpu") for name in MANY), ("linear", "tpu"), ("depthwise_conv", "tpu")],
)
def test_a_gradient_in_bfloat16_is_within_one_percent_of_float32s(name, platform):
    spec, apply, x = MANY[name]
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), jnn.init(spec, jax.random.key(0)))

    def loss(params, x):
        y = apply(params, x).astype(jnp.float32)
        return jnp.sum(y @ jnp.linspace(1.0, 2.0, y.shape[-1]))

    with backend.target(platform):
        narrow, wide = jax.jit(lambda *both: [jax.grad(loss)(*args) for args in both])(*in_both(params, jnp.asarray(x)))
    for (path, a), b in zip(jnn.flatten(narrow).items(), jax.tree.leaves(wide), strict=True):
        assert (a.dtype, b.dtype) == (jnp.bfloat16, jnp.float32)
        assert np.linalg.norm(a.astype(jnp.float32) - b) <= 0.01 * np.linalg.norm(b), path


def in_both(params, x):
    """The same values in bfloat16 and in float32."""
    cast = lambda tree, d: jax.tree.map(lambda x: x.astype(d) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
    narrow = cast((params, x), jnp.bfloat16)
    return narrow, cast(narrow, jnp.float32)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_sum_is_as_long_under_vmap_remat_and_in_forward_mode(dtype):
    b, table = jnp.zeros(3, dtype), jnp.zeros((2, 3), dtype)
    rows, x = jnp.ones((64, 64), int), jnp.zeros((64, 64, 3), dtype)

    def use(b, table):
        each = jax.checkpoint(lambda i, x: add_bias(x, b) + take(table, i))
        return jax.vmap(jax.vmap(each))(rows, x).sum((0, 1), dtype=jnp.float32)

    backwards, forwards = (jax.jit(mode(use, (0, 1)))(b, table) for mode in (jax.jacrev, jax.jacfwd))
    for of_b, of_table in (backwards, forwards):
        np.testing.assert_array_equal(of_b, 4096 * np.eye(3))
        np.testing.assert_array_equal(of_table[:, 1], 4096 * np.eye(3))
        np.testing.assert_array_equal(of_table[:, 0], 0)


def test_second_derivatives_and_integer_leaves_of_a_loop():
    p = {"w": jnp.array(0.5, jnp.bfloat16), "n": jnp.array(3), "key": jax.random.key(0)}

    def power(w):
        now = over_steps(p | {"w": w})
        return jax.lax.scan(lambda y, _: (y * now()["w"], now()["n"]), jnp.ones((), w.dtype), length=4)[0]

    assert jax.grad(jax.grad(power))(p["w"]) == 12 * 0.5**2
    assert jax.jvp(power, (p["w"],), (jnp.ones((), jnp.bfloat16),)) == (0.5**4, 4 * 0.5**3)


def test_float32_is_the_plain_formula():
    x, b, table, rows = jnp.ones((5, 3)), jnp.ones(3), jnp.ones((7, 3)), jnp.arange(4)
    same = lambda f, g, *args: str(jax.make_jaxpr(f)(*args)) == str(jax.make_jaxpr(g)(*args))
    assert same(add_bias, lambda x, b: x + b.reshape(1, 3), x, b)
    assert same(lambda t, r: take(t, r, known=True), lambda t, r: t[r], table, rows)
    assert same(lambda t: over_steps(t)(), lambda t: t, table)


@pytest.mark.parametrize(
    "count",
    [
        lambda i: layers.one_hot(i, 300),
        lambda i: graphs.segment_sum(jnp.ones(2), i, 300),
        lambda i: graphs.segment_softmax(jnp.ones(2), i, 300),
        lambda i: graphs.segment_sum(jnp.ones((90, 2)), jnp.tile(i[None] % 2, (90, 1)), 2),
        lambda i: models.prototypes(jnp.ones((2, 1)), i, 300),
    ],
)
def test_integers_of_8_bits_count_beyond_their_range(count):
    """3 is 259 where places are numbered in 8 bits; and 90 times 2 segments are more than int8 has."""
    for dtype in (jnp.uint8, jnp.int8):
        np.testing.assert_array_equal(count(jnp.array([100, 3], dtype)), count(jnp.array([100, 3])))
