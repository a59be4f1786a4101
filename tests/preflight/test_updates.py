"""A pre-flight of several updates: it counts and compiles what two networks' step does, and is not searched."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.inspect import flops
from jnn.parallel import layout
from jnn.preflight import UpdatesJob, main, preflight
from jnn.train import LossOutput, compile_step, create_state, update
from tests.train.networks import KEY, SPECS, real

ADAM = optax.adam(1e-3)


def loss(params, batch, ctx):
    y = jnn.models.mlp(params, batch["x"], key=None) + jnn.models.mlp(ctx.given, batch["x"], key=None).mean()
    return LossOutput(jnp.square(y).mean(-1), batch["weight"])


def begin(key):
    states = {name: create_state(jnn.init(spec, jnn.path_key(key, name)), ADAM) for name, spec in SPECS.items()}
    return {"step": jnp.int32(0), **states}


def updates(state, batch, **how):
    """Both networks, one after the other."""
    one, other = state["critic"], state["generator"]
    one, told = update(loss, ADAM, one, batch, KEY, given=other.params, **how)
    other, _ = update(loss, ADAM, other, batch, KEY, given=one.params, **how)
    return {"step": state["step"] + 1, "critic": one, "generator": other}, {"loss": told["loss"]}


def job(**how):
    return UpdatesJob(SPECS, updates, begin, real() | {"weight": np.ones(48, np.float32)}, **how)


@pytest.mark.parametrize("lanes", [None, 4])
def test_it_reports_on_the_whole_step(lanes):
    report = preflight(job(lanes=lanes), "cpu:4", "data=4")
    state = begin(KEY)
    assert report.work.model == flops(compile_step(updates), state, job().batch).model
    assert report.work.parameters == sum(map(jnn.count_params, SPECS.values()))
    assert report.fit.fits


def test_the_step_on_a_mesh_is_that_of_one_device():
    place = layout(SPECS, "data=4,fsdp=2")
    found, _ = job().sharded(place, whole_batches=True)(jnn.parallel.put_state(begin(KEY), place), job().batch)
    expected, _ = job().step()(begin(KEY), job().batch)
    for path, leaf in jnn.flatten(jax.device_get(found)).items():
        np.testing.assert_allclose(leaf, jnn.flatten(expected)[path], rtol=2e-4, atol=1e-6, err_msg=path)


def test_a_search_needs_one_loss():
    with pytest.raises(ValueError, match="several updates have not"):
        main(job(), "cpu:2", "data=2", searching=True)
