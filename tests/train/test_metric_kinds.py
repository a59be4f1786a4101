"""What a loss is given and returns: the context, and metrics that combine by their kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import metrics as M
from jnn import parallel
from jnn.train import Checkpoints, evaluate_on, fit, make_eval, make_step
from tests.train.least_squares import BATCH, KEY, SGD, SPEC, X, loss, state


def with_metrics(**made):
    return lambda p, b, ctx: loss(p, b, ctx)._replace(metrics={k: f(p, b, ctx) for k, f in made.items()})


# the context


def test_a_loss_reads_step_key_draw_ema_and_memory():
    seen = []

    def spy(params, batch, ctx):
        seen.append(ctx)
        return loss(params, batch, ctx)._replace(
            metrics={"step": M.Last(ctx.step), "draw": M.Last(jax.random.uniform(ctx.draw))}
        )

    step = make_step(spy, SGD, KEY, ema_decay=0.5)
    at, draws = state(ema=True, memory={"m": jnp.ones(2)}), set()
    for i in range(3):
        at, metrics = step(at, BATCH)
        assert metrics["step"].value() == i
        draws.add(float(metrics["draw"].value()))
    assert len(draws) == 3
    (ctx,) = seen
    assert ctx.stats is None
    assert ctx.ema["w"].shape == (3, 1)
    assert ctx.memory["m"].shape == (2,)
    metrics = make_eval(spy)(at, BATCH)
    assert seen[-1].key is None
    assert metrics["draw"].value() == make_eval(spy)(at, BATCH)["draw"].value()  # so that evaluations compare


def test_noise_and_draws_are_of_their_own():
    same = with_metrics(d=lambda p, b, ctx: M.Last(jax.random.uniform(ctx.key) - jax.random.uniform(ctx.draw)))
    assert make_step(same, SGD, KEY)(state(), BATCH)[1]["d"].value() != 0


# kinds of metrics


KINDS = with_metrics(
    rate=lambda p, b, ctx: M.Last(b["y"][-1, 0]),
    top=lambda p, b, ctx: M.Max(b["x"].max()),
    rows=lambda p, b, ctx: M.Sum(jnp.asarray(float(b["x"].shape[0]))),
    error=lambda p, b, ctx: M.mean(jnp.abs(b["y"][:, 0])),
    scores=lambda p, b, ctx: M.concatenation(b["y"][:, 0]),
)


@pytest.mark.parametrize("way", ["one", "parts", "calls", "mesh", "lanes", "pmap"])
def test_metrics_combine_by_their_kind(way):
    place = parallel.layout(SPEC, "data=8")
    steps = {
        "one": make_step(KINDS, SGD, KEY),
        "parts": make_step(KINDS, SGD, KEY, microbatches=4),
        "calls": make_step(KINDS, SGD, KEY, steps_per_call=2),
        "mesh": parallel.sharded_step(KINDS, SGD, KEY, place),
        "lanes": parallel.sharded_step(KINDS, SGD, KEY, place, lanes=8),
        "pmap": parallel.pmap_step(KINDS, SGD, KEY),
    }
    _, ((row),) = fit(steps[way], state(), [BATCH] * 2, steps=2, every=2)
    assert row["train/rate"] == BATCH["y"][-1, 0]
    assert row["train/top"] == X.max()
    assert row["train/rows"] == 32
    np.testing.assert_allclose(row["train/error"], np.abs(BATCH["y"]).mean(), rtol=1e-6)
    assert "train/scores" not in row


def test_evaluations_put_rows_together_and_leave_padding_out():
    batches = [BATCH, jax.tree.map(lambda x: x[:5], BATCH)]
    found = evaluate_on(make_eval(KINDS), batches, state())
    np.testing.assert_array_equal(found["scores"].value(), np.concatenate([b["y"][:, 0] for b in batches]))
    assert found["rows"].value() == 21


@pytest.mark.parametrize("made", [lambda p, b, ctx: jnp.ones(()), lambda p, b, ctx: 0.5])
def test_what_is_no_metric_is_refused_by_name(made):
    with pytest.raises(TypeError, match=r"metrics\['lr'\] is .* which does not say how it combines.*Last\(x\)"):
        make_step(with_metrics(lr=made), SGD, KEY)(state(), BATCH)


@pytest.mark.parametrize("found", [0.5, M.BoxAveragePrecision(np.ones((2, 1)), np.ones((2, 1)))])
def test_what_only_whole_arrays_say_is_refused_wherever_batches_combine(found):
    scored = with_metrics(ap=lambda p, b, ctx: found)
    by_hand = lambda at, batch: (at.replace(step=at.step + 1), {"ap": found})
    for run in (
        lambda: make_step(scored, SGD, KEY, microbatches=2)(state(), BATCH),
        lambda: make_eval(scored)(state(), BATCH),
        lambda: evaluate_on(lambda at, batch: {"ap": found}, [BATCH] * 3, state()),
        lambda: fit(by_hand, state(), [BATCH], steps=1, every=1),
    ):
        with pytest.raises(TypeError, match=r"metrics\['ap'\] is a .* gather the rows of all batches by jnn"):
            run()
    _, (row,) = fit(make_step(loss, SGD, KEY), state(), [BATCH], steps=1, every=1, evaluate=lambda at: {"ap": found})
    assert row["val/ap"] == (0.5 if found == 0.5 else 1)  # of the whole, asked once


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_the_steps_own_names_are_taken(name):
    taken = with_metrics(**{name: lambda p, b, ctx: M.mean(b["x"])})
    with pytest.raises(ValueError, match=rf"metrics\['{name}'\] is the step's own"):
        make_step(taken, SGD, KEY, clip_norm=1.0)(state(), BATCH)


def test_metrics_renamed_within_a_row_are_refused(tmp_path):
    """A run that was cut off within a row goes on with the names it had, and not by their position."""
    step = make_step(with_metrics(a=lambda p, b, ctx: M.mean(b["x"])), SGD, KEY)
    with Checkpoints(tmp_path) as checkpoints:
        run = lambda steps, every: fit(step, state(), [BATCH] * 9, steps=steps, every=every, checkpoints=checkpoints)
        run(4, 2)
        saved = checkpoints.restore(state())
        records = saved.records | {"sums": {"b": [[1.0], [1.0]], "loss": [[1.0], [1.0]]}}
        checkpoints.save(saved.state.replace(step=saved.state.step + 1), records)
        with pytest.raises(ValueError, match=r"metrics are \['a', 'loss'\], and were \['b', 'loss'\]"):
            run(9, 3)


def test_evaluate_may_return_numbers():
    _, history = fit(make_step(loss, SGD, KEY), state(), [BATCH] * 4, steps=4, every=4, evaluate=lambda s: {"acc": 0.5})
    assert history[-1]["val/acc"] == 0.5


def test_any_metrics_will_do():
    step = lambda s, b: ({"step": s["step"] + 1, "w": s["w"] - 1}, {"d": M.mean(jnp.ones(3))})
    found, history = fit(step, {"step": jnp.int32(0), "w": jnp.zeros(2)}, [BATCH] * 4, steps=4, every=2)
    assert history == [{"step": 2, "train/d": 1.0}, {"step": 4, "train/d": 1.0}]
    assert found["w"].tolist() == [-4, -4]
