"""Several networks: each an update, together a step, run by fit, resumed bit for bit, on eight devices too."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import parallel
from jnn.data import Batches
from jnn.models import mlp
from jnn.parallel import layout
from jnn.train import Checkpoints, LossOutput, Recovery, compile_step, create_state, digest, fit, replay, update
from tests.train.networks import KEY, SPECS, real

ADAM = optax.adam(3e-3)


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
