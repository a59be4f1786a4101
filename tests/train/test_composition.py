"""Several networks: each an update, together a step, run by fit, resumed bit for bit, on eight devices too."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import parallel
from jnn.axes import gather
from jnn.data import Batches
from jnn.laws._dtypes import equations
from jnn.layers import linear, linear_spec
from jnn.models import mlp, mlp_spec
from jnn.parallel import layout
from jnn.train import (
    Checkpoints,
    LossOutput,
    Recovery,
    compile_step,
    create_state,
    digest,
    fit,
    gradient_sums,
    make_eval,
    make_step,
    normalize,
    replay,
    update,
)

KEY = jax.random.key(0)
SPECS = {"generator": mlp_spec((2, 8, 2)), "critic": mlp_spec((2, 8, 1))}
ADAM = optax.adam(3e-3)


def real(rows=48):
    x = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    return {"x": x + np.float32([2, -1])}


def critic_loss(params, batch, ctx):
    noise = jax.random.normal(ctx.draw, batch["x"].shape)
    yes, no = (mlp(params, x, key=None) for x in (batch["x"], mlp(ctx.given, noise, key=None)))
    both = jax.nn.softplus(-yes) + jax.nn.softplus(no)
    return LossOutput(both[:, 0], batch["weight"])


def generator_loss(params, batch, ctx):
    fake = mlp(params, jax.random.normal(ctx.draw, batch["x"].shape), key=None)
    return LossOutput(jax.nn.softplus(-mlp(ctx.given, fake, key=None))[:, 0], batch["weight"])


def gan(state, batch):
    """Two networks, two optimizers: the critic first, then the generator against the new critic."""
    key = lambda name: jnn.path_key(KEY, name)
    critic, of_critic = update(
        critic_loss, ADAM, state["critic"], batch, key("critic"), given=state["generator"].params
    )
    generator, of_generator = update(
        generator_loss, ADAM, state["generator"], batch, key("generator"), given=critic.params
    )
    metrics = {"critic/loss": of_critic["loss"], "generator/loss": of_generator["loss"]}
    return {"step": state["step"] + 1, "critic": critic, "generator": generator}, metrics


def begun(make=create_state):
    networks = {name: create_state(jnn.init(spec, jnn.path_key(KEY, name)), ADAM) for name, spec in SPECS.items()}
    return {"step": jnp.zeros((), jnp.int32), **networks}


def run(folder, step, state, steps=30, **options):
    with Checkpoints(folder) as checkpoints:
        return fit(step, state, Batches(real(), 16, seed=0), steps=steps, every=10, checkpoints=checkpoints, **options)


@pytest.mark.parametrize("steps_per_call", [1, 5])
def test_a_gan_is_run_by_fit_and_resumed_bit_for_bit(tmp_path, steps_per_call):
    step = compile_step(gan, steps_per_call=steps_per_call)
    whole, history = run(tmp_path / "whole", step, begun())
    run(tmp_path / "parts", step, begun(), steps=10)
    parts, again = run(tmp_path / "parts", step, begun())
    assert digest(parts) == digest(whole)
    assert again == history
    assert set(history[0]) == {"step", "train/critic/loss", "train/generator/loss"}


def test_a_gan_on_eight_devices_lies_by_the_fields_of_its_state(tmp_path):
    place = layout(SPECS, "data=4,fsdp=2")
    step = parallel.compile_sharded(gan, place)
    found, history = run(tmp_path / "eight", step, parallel.put_state(begun(), place))
    expected, alone = run(tmp_path / "one", compile_step(gan), begun())
    for path, leaf in jnn.flatten(found).items():
        np.testing.assert_allclose(np.asarray(leaf), np.asarray(jnn.flatten(expected)[path]), rtol=2e-3, atol=2e-4)
    for field in ("critic", "generator"):
        for kept in (found[field].params, found[field].opt_state[0].mu):
            assert kept["fc0"]["w"].sharding.is_equivalent_to(place.parameters[field]["fc0"]["w"], 2)
            assert not kept["fc0"]["w"].sharding.is_fully_replicated
    np.testing.assert_allclose(history[-1]["train/critic/loss"], alone[-1]["train/critic/loss"], rtol=1e-3)


def test_a_state_that_the_layout_does_not_cover_is_refused():
    """Otherwise its parameters would lie whole on every device, in silence."""
    place = layout(SPECS["critic"], "data=4,fsdp=2")
    with pytest.raises(ValueError, match=r"which the state lacks.*layout\(\{'actor'"):
        parallel.compile_sharded(gan, layout({"other": SPECS["critic"]}, "data=4,fsdp=2"))(
            begun(), real() | {"weight": np.ones(48)}
        )
    assert place.like(begun())["critic"].params["fc0"]["w"].spec == place.parameters["fc0"]["w"].spec


def test_a_bad_step_of_one_network_is_left_out(tmp_path):
    class Poisoned(Batches):
        def stack(self, step, k):
            batch = super().stack(step, k)
            return batch | {"x": batch["x"] * (np.float32("nan") if step <= 12 < step + k else 1)}

    recovery = Recovery(on="skip", watch=["critic/loss"], capsules=tmp_path / "capsules")
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        batches = Poisoned(real(), 16, seed=0)
        options = {"checkpoints": checkpoints, "recovery": recovery}
        state, history = fit(compile_step(gan), begun(), batches, steps=30, every=10, **options)
    assert np.isfinite(history[-1]["train/generator/loss"])
    assert state["step"] == 30
    assert state["critic"].step == 29
    found = replay(tmp_path / "capsules" / "step-12", compile_step(gan), begun())
    assert "batch/x" in found.finding.given
    assert np.isnan(found.metrics["critic/loss"])


# teacher and student; frozen parts; LoRA


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


# learning to learn, and what is differentiated through


def test_an_update_is_differentiable():
    """One inner step of gradient descent; its gradient with respect to the rate is minus the products of gradients."""
    params = jnn.init(SPECS["critic"], KEY)
    loss = lambda p, batch, ctx: LossOutput(jnp.square(mlp(p, batch["x"], key=None)[:, 0] - 1))

    def after(rate):
        state, _ = update(loss, optax.sgd(rate), create_state(params, optax.sgd(rate)), real(), KEY)
        return loss(state.params, real(), None).values.mean()

    gradient = jax.jit(jax.grad(lambda p: loss(p, real(), None).values.mean()))
    there = jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient(params))
    expected = -optax.tree.vdot(gradient(there), gradient(params))
    np.testing.assert_allclose(jax.jit(jax.grad(after))(0.01), expected, rtol=1e-4)


def test_weights_may_be_learned_from_outside_and_not_from_within():
    """As data of the inner step they may be what an outer one differentiates: learning to weigh examples."""
    params, x = {"w": jnp.ones(2)}, jnp.asarray(real()["x"])
    outer = lambda w: update(
        lambda p, b, ctx: LossOutput(jnp.square(b["x"] @ p["w"]), jax.nn.sigmoid(w * b["x"][:, 0])),
        optax.sgd(0.1), create_state(params, optax.sgd(0.1)), {"x": x}, KEY,
    )[0].params["w"].sum()  # fmt: skip
    assert np.isfinite(jax.jit(jax.grad(outer))(0.5))
    within = lambda p, b, ctx: LossOutput(jnp.ones_like(b["x"][:, 0]), jax.nn.sigmoid(b["x"] @ p["w"]))
    with pytest.raises(ValueError, match="the weights depend on params"):
        make_step(within, optax.sgd(1.0), KEY)(create_state(params, optax.sgd(1.0)), {"x": x})
    stopped = lambda p, b, ctx: within(p, b, ctx)._replace(weights=jax.lax.stop_gradient(within(p, b, ctx).weights))
    make_step(stopped, optax.sgd(1.0), KEY)(create_state(params, optax.sgd(1.0)), {"x": x})


def test_sums_only_add():
    """The sums of two halves are those of the whole, whoever adds them."""
    params, ctx = jnn.init(SPECS["critic"], KEY), jnn.train.Context(KEY, KEY, jnp.int32(0))
    loss = lambda p, b, ctx: LossOutput(
        jnp.square(mlp(p, b["x"], key=None)[:, 0]), b["weight"], penalty=p["fc0"]["w"].sum()
    )
    batch = real() | {"weight": np.linspace(0, 2, 48, dtype=np.float32)}
    parts = [jax.tree.map(lambda x, s=s: x[s], batch) for s in (np.s_[:17], np.s_[17:], np.s_[:])]
    *halves, whole = jax.jit(lambda params: [gradient_sums(loss, params, part, ctx)[0] for part in parts])(params)
    for a, b in zip(jax.tree.leaves(jax.tree.map(jnp.add, *halves)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    mean = lambda p: jnp.average(loss(p, batch, ctx).values, weights=batch["weight"]) + p["fc0"]["w"].sum()
    expected = jax.jit(jax.grad(mean))(params)
    for a, b in zip(jax.tree.leaves(normalize(whole, params)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# ensembles


def test_an_ensemble_by_vmap_is_run_by_fit():
    """Its step is a number, all else has an axis of members; a row holds each member's loss."""
    spec, n = linear_spec(2, 1), 4
    loss = lambda p, b, ctx: LossOutput(jnn.losses.squared_error(linear(p, b["x"]), b["x"][:, :1]), b["weight"])
    sgd = optax.sgd(0.1)
    states = [create_state(jnn.init(spec, jax.random.key(i)), sgd) for i in range(n)]
    state = jax.tree.map(lambda *x: jnp.stack(x), *states).replace(step=jnp.zeros((), jnp.int32))
    axes = jax.tree.map(lambda _: 0, state).replace(step=None)
    step = compile_step(jax.vmap(lambda s, b: update(loss, sgd, s, b, KEY), in_axes=(axes, None), out_axes=(axes, 0)))
    batches = Batches(real(), 16, seed=0)
    found, history = fit(step, state, batches, steps=6, every=3)
    alone, row = fit(make_step(loss, sgd, KEY), states[2], batches, steps=6, every=3)
    np.testing.assert_allclose(found.params["w"][2], alone.params["w"], rtol=1e-5)
    np.testing.assert_allclose(history[-1]["train/loss/2"], row[-1]["train/loss"], rtol=1e-5)


@functools.cache
def plain_loss():
    return lambda p, b, ctx: LossOutput(jnn.losses.squared_error(linear(p, b["x"]), b["x"][:, :1]))


def test_a_step_of_other_strides_than_it_says_is_refused():
    """In silence it would make a tenth of the updates, or of the epochs."""
    state = lambda: create_state(jnn.init(linear_spec(2, 1), KEY), optax.sgd(0.1))
    one = make_step(plain_loss(), optax.sgd(0.1), KEY)
    many = lambda s, b: one(s, jax.tree.map(lambda x: x[0], b))
    many.steps_per_call = 10
    with pytest.raises(ValueError, match=r"the state's step is 2, expected 20: .*steps_per_call=10"):
        fit(many, state(), [real()] * 40, steps=40, every=20)
    two = make_step(plain_loss(), optax.sgd(0.1), KEY, steps_per_call=2)
    with pytest.raises(ValueError, match=r"leading size|expects batches stacked"):
        fit(functools.partial(two), state(), [real()] * 4, steps=4, every=2)
    stacked = lambda s, b: two(s, jax.tree.map(lambda x: jnp.stack([x, x]), b))
    with pytest.raises(ValueError, match=r"the state's step is 4, expected 2: .*steps_per_call=1.*an attribute"):
        fit(stacked, state(), [real()] * 4, steps=4, every=2)
