"""What is blamed for a number that is not finite: what was given, written or made, and no infinity that is meant."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

import jnn
from jnn import layers, models
from jnn.inspect.nonfinite import Summary, examine, first_bad
from jnn.train import LossOutput, create_state, make_step

ONES = jnp.ones(3)
WITH_ZERO = jnp.array([1.0, 2.0, 0.0, 4.0])
MEANT = {
    "masked softmax": lambda x: jax.nn.softmax(jnp.where(x > 1, x, -jnp.inf)),
    "logarithm chosen away": lambda x: jnp.where(x > 0, jnp.log(x), 0.0),
    "bool of an infinity": lambda x: jnp.isinf(jnp.log(x)),
    "minimum with infinity": lambda x: jnp.minimum(x, jnp.inf),
    "infinity in a loop": lambda x: jax.lax.scan(lambda c, r: (jnp.minimum(c, r), c), jnp.inf, x)[0],
    "integers": lambda x: jnp.arange(3),
    "keys": lambda x: jax.random.split(jax.random.key(3)),
    "nothing": lambda x: (),
    "a loop of no iterations": lambda x: jax.lax.scan(lambda c, r: (c, jnp.log(r)), 1.0, x[:0]),
}


@pytest.mark.parametrize("f", MEANT.values(), ids=MEANT)
def test_what_is_meant_is_no_finding(f):
    result, found = examine(f, WITH_ZERO)
    assert found is None
    assert jax.tree.structure(result) == jax.tree.structure(jax.jit(f)(WITH_ZERO))


def test_a_bad_argument_is_named_with_its_first_use():
    def f(w, batch):
        return jnp.sum(jnp.tanh(batch["x"] @ w)) + batch["y"].sum()

    batch = {"x": np.array([[1.0, 2.0, np.nan]]), "y": np.ones(2)}
    found = first_bad(f, ONES, batch)
    assert (found.primitive, found.given) == ("dot_general", ("batch/x",))
    assert str(found.inputs[0]).endswith("bad 1 of 3, first at [0, 2]")
    assert "the first to use batch/x, which came with bad numbers" in str(found)


def test_what_made_its_own_is_blamed_before_what_was_given():
    assert first_bad(lambda x, y: (x * 2, jnp.log(y - y)), jnp.full(3, jnp.inf), ONES).primitive == "log"


def test_an_argument_that_only_passes_is_nobodys_fault():
    assert first_bad(lambda x: (x, {"same": x}), jnp.full(3, jnp.nan)) is None


def test_an_infinity_that_the_program_wrote_and_returns():
    found = first_bad(lambda x: jnp.where(x > 1, x, -jnp.inf) * 2, WITH_ZERO)
    assert found.constant
    assert "-jnp.inf" in found.lines[0].code
    assert "written in the program" in str(found)


def test_rows_of_a_loop_that_came_bad_and_rows_that_were_written_so():
    def f(x):
        rows = jax.lax.scan(lambda c, r: (c + 1, jnp.where(c > 2, -jnp.inf, r)), 0, x)[1]
        return rows * 2

    found = first_bad(f, jnp.array([1.0, jnp.inf, 2.0, 3.0]))
    assert found.given == ("x",)


def test_nan_comes_from_nan_and_not_from_a_mask():
    def f(x):
        scores = jnp.log(x - 2)  # NaN, and -inf at 2
        mask = jnp.log(jnp.where(jnp.arange(4) < 3, 1.0, 0.0))
        return jax.nn.softmax(scores + mask)

    found = first_bad(f, WITH_ZERO)
    assert found.primitive == "log"
    assert "scores" in found.lines[0].code


def test_one_weight_of_a_transformer_block():
    spec = models.transformer_spec(11, 6, layers=3, heads=2, embed=8)
    params = jnn.init(spec, jax.random.key(0))
    path = next(path for path in jnn.flatten(params) if re.search(r"blocks.*/w$", path))
    broken = jnn.map_paths(lambda name, x: x.at[1].mul(jnp.inf) if name == path else x, params)
    tokens = jnp.zeros((2, 6), jnp.int32)
    forward = lambda params: models.transformer(params, tokens, key=None)
    assert first_bad(forward, params) is None
    found = first_bad(jax.grad(lambda params: forward(params).sum()), broken)
    assert found.given == (f"params/{path}",)
    assert "scan iteration 1 of 3" in found.loops


def test_a_train_step_with_an_overflow_in_its_loss():
    def loss(params, batch, ctx):
        x = layers.dropout(layers.linear(params, batch["x"]), 0.5, key=ctx.key)
        return LossOutput(jnp.exp(x)[:, 0])  # overflows

    state = create_state(jnn.init(layers.linear_spec(3, 1), jax.random.key(0)), optax.adam(0.1))
    for settings, loops in [({}, ()), ({"microbatches": 2}, ("scan iteration 0 of 2",))]:
        step = make_step(loss, optax.adam(0.1), jax.random.key(1), **settings)
        x = jnp.full((4, 3), 1e4) * jnp.sign(state.params["w"]).T
        found = first_bad(step, state, {"x": x})
        assert (found.primitive, found.loops, found.backward) == ("exp", loops, False)
        assert "# overflows" in found.lines[0].code
        assert first_bad(step, state, {"x": x * 0}) is None


def test_the_backward_pass_is_told():
    @jax.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, x), lambda x, g: (g * jnp.log(x - x),))
    found = first_bad(jax.grad(lambda x: jnp.sum(f(x))), ONES)
    assert found.backward
    assert "within the backward pass" in str(found)


def test_within_shard_map_it_is_one_equation():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    each = jax.shard_map(jnp.log, mesh=mesh, in_specs=PartitionSpec("x"), out_specs=PartitionSpec("x"))
    found = first_bad(lambda x: each(x) * 2, jnp.arange(8.0))
    assert (found.primitive, found.outputs[0].first) == ("shard_map", (0,))


@pytest.mark.parametrize("seed", range(20))
def test_the_index_and_the_count(seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 2, tuple(rng.integers(1, 5, rng.integers(1, 4)))).astype(np.float32)
    x[rng.uniform(size=x.shape) < 0.3] = 0
    found = first_bad(jnp.log, jnp.asarray(x))
    if (x > 0).all():
        assert found is None
    else:
        assert found.outputs[0].bad == (x == 0).sum()
        assert found.outputs[0].first == tuple(np.argwhere(x == 0)[0])
        assert found.inputs[0].norm == pytest.approx(np.linalg.norm(x), rel=1e-6)


def test_summaries():
    assert str(Summary.of(jnp.array([True, False]))) == "bool[2]  min 0  max 1  norm 1"
    assert str(Summary.of(jnp.array([jnp.nan]))) == "float32[1]  bad 1 of 1, first at [0]"
    assert Summary.of(jnp.array([1, 2], jnp.bfloat16)).high == 2
    assert Summary.of(jax.random.key(0)).size == 1
    assert Summary.of(jnp.array([3 + 4j])).high == 5
