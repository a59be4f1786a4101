"""make_eval: running statistics, no noise, the average by choice; parts that are merged are the whole."""

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from jnn.train import Context, make_eval
from tests.train.classifier import KEY, assert_close, averaged, batch_of, initial, loss, weighted_mean


def test_evaluation_uses_running_statistics_no_noise_and_the_average_by_choice():
    seen = []

    def spy(params, batch, ctx):
        seen.append((ctx.stats, ctx.key))
        return averaged(params, batch, ctx)

    state = initial(stats={"mean": jnp.full(8, 0.5)}, ema=True)
    state = state.replace(ema=jax.tree.map(lambda x: 2 * x, state.params))
    for params_of in (lambda state: state.params, lambda state: state.ema):
        metrics = make_eval(spy, params_of=params_of)(state, batch_of())
        ctx = Context(None, KEY, state.step, stats=state.stats)
        expected = np.average(averaged(params_of(state), batch_of(), ctx).values, weights=batch_of()["weight"])
        np.testing.assert_allclose(metrics["loss"].value(), expected, rtol=1e-6)
        assert seen[-1][0] is not None
        assert seen[-1][1] is None


def test_evaluation_without_statistics_passes_none_and_changes_nothing():
    state = initial()
    metrics = make_eval(loss)(state, batch_of())
    np.testing.assert_allclose(metrics["loss"].value(), weighted_mean(state.params, batch_of()), rtol=1e-6)
    assert not any(x.is_deleted() for x in jax.tree.leaves(state))


def test_merged_evaluation_of_uneven_batches_is_that_of_the_whole():
    state, batch, evaluate = initial(), batch_of(), make_eval(loss)
    parts = [jax.tree.map(lambda x, s=s: x[s], batch) for s in (slice(0, 3), slice(3, 16))]
    merged, whole = jnn.metrics.merge(*(evaluate(state, part) for part in parts)), evaluate(state, batch)
    assert_close(merged, jax.tree.map(np.asarray, whole))
