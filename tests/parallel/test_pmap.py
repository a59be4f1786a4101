"""The step by pmap is the step; its devices are micro-batches; one all-reduce."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.losses import cross_entropy
from jnn.models import mlp
from jnn.parallel import pmap_step
from jnn.train import LossOutput, create_state, make_step
from tests.parallel.models import CNN, MLP, TRANSFORMER, assert_close, first, of_gradients

OPTIMIZER = optax.sgd(0.1, momentum=0.9)
KEYS = jax.random.split(jax.random.key(0))


def silent(params, batch, ctx):
    logits = mlp(params, batch["x"], key=None)
    metrics = {"accuracy": jnn.metrics.accuracy(logits, batch["y"], batch["weight"])}
    return LossOutput(cross_entropy(logits, batch["y"]), batch["weight"], metrics=metrics)


def create(model):
    stats = None if model.stats is None else jnn.init(model.stats, KEYS[0])
    return create_state(jnn.init(model.spec, KEYS[0]), OPTIMIZER, stats=stats)


def train(step, state, batches):
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


def test_law_it_is_the_step_with_uneven_weights_and_padding():
    """One device has padding alone: a mean of means would differ."""
    batches = [MLP.batch(seed=i) for i in range(3)]
    for batch in batches:
        batch["weight"][-2:] = 0
    found = train(pmap_step(silent, OPTIMIZER, KEYS[1], clip_norm=1.0), create(MLP), batches)
    assert_close(found, train(make_step(silent, OPTIMIZER, KEYS[1], clip_norm=1.0), create(MLP), batches))


@pytest.mark.parametrize("model", [MLP, CNN], ids=lambda model: model.name)
def test_with_noise_and_statistics_devices_are_micro_batches(model):
    batches = [model.batch(seed=i) for i in range(2)]
    order = lambda x: x.reshape(4, -1, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)
    found = train(pmap_step(model.loss, OPTIMIZER, KEYS[1], devices=first(4)), create(model), batches)
    step = make_step(model.loss, OPTIMIZER, KEYS[1], microbatches=4)
    assert_close(found[0], train(step, create(model), jax.tree.map(order, batches))[0])


def test_a_mean_of_means_is_not_the_gradient():
    """The trap that sums avoid."""
    batch = MLP.batch()
    whole = lambda p, b: jnp.sum(silent(p, b, None).values * b["weight"]) / jnp.sum(b["weight"])
    params = jnn.init(MLP.spec, KEYS[0])
    parts = jax.tree.map(lambda x: x.reshape(8, -1, *x.shape[1:]), batch)
    means = jax.pmap(lambda b: jax.lax.pmean(jax.grad(whole)(params, b), "i"), "i", out_axes=None)(parts)
    difference = jax.tree.map(
        lambda a, b: np.abs(np.asarray(a) - np.asarray(b)).max(), means, jax.grad(whole)(params, batch)
    )
    assert max(jax.tree.leaves(difference)) > 1e-3


def test_one_all_reduce_of_gradients_whatever_the_model():
    """And of a batch with weights one row, for those that are padding."""
    step, batch = pmap_step(TRANSFORMER.loss, OPTIMIZER, KEYS[1]), TRANSFORMER.batch()
    (only,) = of_gradients(step.lower(create(TRANSFORMER), batch).compile(), batch)
    assert only.kind == "all-reduce"
    assert only.shapes == (
        (jnn.count_params(TRANSFORMER.spec) + 4,),
    )  # and the loss and its weight, as sums and as a metric


def test_a_batch_that_does_not_divide_is_one_clear_error():
    with pytest.raises(ValueError, match=r"pmap_step: 8 devices do not divide the 12 rows of batch/weight \(12,\)"):
        pmap_step(MLP.loss, OPTIMIZER, KEYS[1])(create(MLP), MLP.batch(12))
