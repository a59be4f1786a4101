"""What a loss is given and does not train: a teacher, frozen parts, a base under LoRA."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import parallel
from jnn.axes import gather
from jnn.laws._dtypes import equations
from jnn.layers import linear, linear_spec
from jnn.models import mlp
from jnn.parallel import layout
from jnn.train import LossOutput, create_state, make_eval, make_step
from tests.train.networks import KEY, SPECS, real


def test_a_teacher_is_given_and_not_trained():
    teacher = jnn.init(SPECS["critic"], KEY)
    loss = lambda params, batch, ctx: LossOutput(
        jnn.losses.squared_error(mlp(params, batch["x"], key=None), mlp(ctx.given, batch["x"], key=None))
    )
    step = make_step(loss, optax.adam(1e-2), KEY, given=teacher)
    state = create_state(jnn.init(SPECS["critic"], jax.random.key(1)), optax.adam(1e-2))
    measure = make_eval(loss, given=teacher)
    first = measure(state, {"x": real()["x"]})["loss"].value()
    for _ in range(200):
        state, _ = step(state, {"x": real()["x"]})
    assert measure(state, {"x": real()["x"]})["loss"].value() < 0.1 * first


def test_frozen_parts_cost_no_gradient_and_no_norm():
    """A head on a frozen body: the norm is the head's, and nothing as large as the body is differentiated."""
    spec = {"body": linear_spec(2, 512), "head": linear_spec(512, 1)}
    params = jnn.init(spec, KEY)

    def loss(params, batch, ctx):
        y = linear(params["head"], jnp.tanh(linear(ctx.given["body"], batch["x"])))
        return LossOutput(jnn.losses.squared_error(y, batch["x"][:, :1]))

    step = make_step(loss, optax.sgd(0.1), KEY, clip_norm=np.inf, given={"body": params["body"]})
    _, metrics = step(create_state({"head": params["head"]}, optax.sgd(0.1)), real())
    whole = lambda head: loss({"head": head}, real(), jnn.train.Context(None, KEY, 0, given={"body": params["body"]}))
    expected = optax.tree.norm(jax.jit(jax.grad(lambda head: whole(head).values.mean()))(params["head"]))
    np.testing.assert_allclose(metrics["grad_norm"].value(), expected, rtol=1e-5)
    jaxpr = step.trace(create_state({"head": params["head"]}, optax.sgd(0.1)), real()).jaxpr
    made = [tuple(v.aval.shape) for eqn in equations(jaxpr.jaxpr) for v in eqn.outvars]
    assert (512, 1) in made  # the head's gradient
    assert (2, 512) not in made  # and none of the body


def test_lora_over_an_int8_base():
    base = jnn.init(linear_spec(2, 4), KEY)
    scale = jnp.abs(base["w"]).max() / 127
    frozen = {"w": jnp.round(base["w"] / scale).astype(jnp.int8), "b": base["b"]}
    params = {"a": jax.random.normal(KEY, (2, 1)), "b": jnp.zeros((1, 4))}

    def loss(params, batch, ctx):
        whole = {"w": ctx.given["w"] * scale + params["a"] @ params["b"], "b": ctx.given["b"]}
        return LossOutput(jnn.losses.squared_error(linear(whole, batch["x"]), batch["x"] @ jnp.ones((2, 4))))

    step, state = make_step(loss, optax.adam(0.05), KEY, given=frozen), create_state(params, optax.adam(0.05))
    first = None
    for _ in range(60):
        state, metrics = step(state, real())
        first = first or metrics["loss"].value()
    assert metrics["loss"].value() < 0.5 * first
    with pytest.raises(TypeError, match=r"create_state: params/w is int8, which has no gradient.*given="):
        create_state(frozen, optax.sgd(0.1))


def test_lora_over_an_int8_base_on_a_mesh():
    """The weights that its loss makes have the names of the model, and are no parameters of the layout."""
    base = jnn.init(linear_spec(8, 16), KEY)
    scale = jnp.abs(base["w"]).max() / 127
    spec = {"a": linear_spec(8, 2)["w"], "b": linear_spec(2, 16, axes=("rank", "hidden"))["w"]}
    frozen = {"w": {"q": jnp.round(base["w"] / scale).astype(jnp.int8)}, "b": base["b"]}
    rows = {"x": np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)}

    def loss(params, batch, ctx):
        whole = {"w": ctx.given["w"]["q"] * scale + params["a"] @ params["b"], "b": ctx.given["b"]}
        return LossOutput(jnp.square(linear(gather(whole, "fc"), batch["x"]) - 1).mean(1))

    sgd, found = optax.sgd(0.1), []
    for mesh in (parallel.mesh("data=2,fsdp=4"), parallel.mesh("data=1", jax.devices()[:1])):
        place = layout(spec, mesh)
        step, state = (
            parallel.sharded_step(loss, sgd, KEY, place, given=frozen),
            parallel.sharded_state(sgd, KEY, place),
        )
        for _ in range(3):
            state, _ = step(state, rows)
        found.append(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *found)
