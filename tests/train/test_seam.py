"""What a loss is given and returns: the context, kinds of metrics, and one clear error for each mistake."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn import metrics as M
from jnn import parallel
from jnn.data import Batches
from jnn.layers import linear, linear_spec
from jnn.train import Checkpoints, LossOutput, create_state, evaluate_on, fit, make_eval, make_step

KEY = jax.random.key(0)
SPEC, SGD = linear_spec(3, 1), optax.sgd(0.1)
X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
BATCH = {"x": X, "y": X.sum(1, keepdims=True)}


def state(**options):
    return create_state(jnn.init(SPEC, KEY), SGD, **options)


def loss(params, batch, ctx):
    return LossOutput(jnn.losses.squared_error(linear(params, batch["x"]), batch["y"]))


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


# errors


OLD = lambda params, batch, running, rng: loss(params, batch, None)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (
            lambda p, b, ctx: loss(p, b, ctx).values,
            TypeError,
            r"the loss returned float32\[16\], expected .*LossOutput",
        ),
        (lambda p, b, ctx: (loss(p, b, ctx).values.mean(), {}), TypeError, "the loss returned a tuple of 2, expected"),
        (lambda p, b, ctx: LossOutput(loss(p, b, ctx).values.mean()), ValueError, "one value per example"),
        (
            lambda p, b, ctx: loss(p, b, ctx)._replace(penalty=p["w"]),
            ValueError,
            "a penalty is one number, found shape",
        ),
        (
            lambda p, b, ctx: loss(p, b, ctx)._replace(weights=jnp.ones((16, 1))),
            ValueError,
            "expected that of its values .* or of their leading axes",
        ),
        (
            lambda p, b, ctx: loss(p, b, ctx)._replace(weights=jnp.ones(8)),
            ValueError,
            "expected that of its values .* or of their leading axes",
        ),
        (lambda p, b, ctx: loss(p, b, ctx)._replace(rows={"k": jnp.ones(3)}), ValueError, r"rows/k has shape \(3,\)"),
        (lambda p, b, ctx: loss(p, b, ctx)._replace(stats=jnp.ones(3)), TypeError, "stats are dicts by name"),
        (lambda p, b, ctx: loss(p, b, ctx)._replace(stats={"m": jnp.ones(3)}), ValueError, "extra: m float32"),
    ],
)
def test_what_a_loss_returns_wrongly_is_one_clear_error(made, error, message):
    with pytest.raises(error, match=message):
        make_step(made, SGD, KEY)(state(), BATCH)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_step(OLD, SGD, KEY),
            r"called as loss\(params, batch, ctx\), found \(params, batch, running, rng\)",
        ),
        (lambda: make_step(lambda p, b: None, SGD, KEY), r"called as loss\(params, batch, ctx\), found \(p, b\)"),
        (lambda: make_eval(OLD), r"make_eval: the loss is called as"),
        (lambda: make_step(loss, SGD, 0), r"make_step: expected one PRNG key, found 0"),
        (lambda: create_state(SPEC, SGD), r"params/b is a Param, expected an array. A spec becomes arrays by jnn.init"),
        (lambda: state(stats=SPEC), r"stats/b is a Param, expected an array"),
        (
            lambda: create_state({"w": jnp.ones(2), "n": jnp.arange(3)}, SGD),
            r"params/n is int32, which has no gradient",
        ),
        (lambda: make_step(loss, SGD, KEY, microbatch=2), "make_step: no option microbatch; there are .*microbatches"),
        (lambda: make_step(loss, SGD, jax.random.split(KEY, 3)), "make_step: expected one PRNG key, found"),
    ],
)
def test_what_a_step_is_made_of_wrongly_is_one_clear_error(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_state_is_used_once():
    step, first = make_step(loss, SGD, KEY), state()
    step(first, BATCH)
    with pytest.raises(RuntimeError, match="a step donates its state, so a state is used once"):
        step(first, BATCH)


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ((BATCH for _ in range(4)), TypeError, r"found a generator. Give jnn.data.Batches"),
        ([BATCH] * 2, ValueError, "there is no batch of step 2"),
        (BATCH, TypeError, r"found one batch. Give \[batch\] \* steps"),
        (iter([BATCH]), TypeError, "found a list_iterator"),
        ([(BATCH["x"], BATCH["y"])] * 4, None, None),
    ],
)
def test_batches_that_are_none_are_one_clear_error(batches, error, message):
    if error is None:  # any tree of arrays
        pair = lambda p, b, ctx: loss(p, {"x": b[0], "y": b[1]}, ctx)
        fit(make_step(pair, SGD, KEY), state(), batches, steps=4, every=2)
        return
    with pytest.raises(error, match=message):
        fit(make_step(loss, SGD, KEY), state(), batches, steps=4, every=2)


def test_a_list_is_stacked_for_calls_of_several_steps():
    found, _ = fit(make_step(loss, SGD, KEY, steps_per_call=2), state(), [BATCH] * 4, steps=4, every=4)
    expected, _ = fit(make_step(loss, SGD, KEY), state(), [BATCH] * 4, steps=4, every=4)
    np.testing.assert_allclose(found.params["w"], expected.params["w"], rtol=1e-6)


@pytest.mark.parametrize("bad", [{"params": {}}, {"step": 0}, {"step": jnp.zeros(2, int)}])
def test_a_state_without_a_step_is_one_clear_error(bad):
    with pytest.raises(TypeError, match="expected a state with a step, a scalar integer array"):
        fit(lambda s, b: (s, {}), bad, [BATCH] * 2, steps=2, every=1)


def test_any_metrics_will_do():
    step = lambda s, b: ({"step": s["step"] + 1, "w": s["w"] - 1}, {"d": M.mean(jnp.ones(3))})
    found, history = fit(step, {"step": jnp.int32(0), "w": jnp.zeros(2)}, [BATCH] * 4, steps=4, every=2)
    assert history == [{"step": 2, "train/d": 1.0}, {"step": 4, "train/d": 1.0}]
    assert found["w"].tolist() == [-4, -4]


def test_one_rollback_of_many_updates_is_one_setback(tmp_path):
    class Poisoned(Batches):
        def stack(self, step, k):
            batch = super().stack(step, k)
            return batch | {
                "x": batch["x"] * (np.float32("nan") if any(step <= i < step + k for i in (70, 120)) else 1)
            }

    weighted = lambda p, b, ctx: loss(p, b, ctx)._replace(weights=b["weight"])
    with Checkpoints(tmp_path) as checkpoints:
        options = {"checkpoints": checkpoints, "recovery": jnn.train.Recovery(on="rollback", max_skips=2)}
        found, history = fit(
            make_step(weighted, SGD, KEY), state(), Poisoned(BATCH, 4, seed=0), steps=200, every=50, **options
        )
    assert found.step == 200
    assert len(history) == 4


@pytest.mark.parametrize("options", [{"on": "ignore"}, {"max_skips": -1}, {"spike": 0.5}])
def test_a_recovery_that_means_nothing_is_refused(options):
    with pytest.raises(ValueError, match="Recovery: expected"):
        jnn.train.Recovery(**options)


def test_what_is_watched_must_be_there():
    with pytest.raises(KeyError, match=r"watch names \['critic'\], the step's metrics are \['loss'\]"):
        fit(
            make_step(loss, SGD, KEY), state(), [BATCH], steps=1, every=1, recovery=jnn.train.Recovery(watch=["critic"])
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_number_that_is_not_finite_is_bad(value):
    step = lambda s, b: ({"step": s["step"] + 1}, {"loss": M.mean(b["x"])})
    batches = [{"x": np.full(3, value if i == 2 else 1.0, np.float32)} for i in range(4)]
    with pytest.raises(FloatingPointError, match="the loss of step 2 is"):
        fit(step, {"step": jnp.int32(0)}, batches, steps=4, every=4)


def test_a_spike_of_one_member_of_an_ensemble_is_a_spike(tmp_path):
    step = lambda s, b: ({"step": s["step"] + 1}, {"loss": M.Mean(b["x"], jnp.ones(3))})
    batches = [{"x": np.float32([1, 1, 50 if i == 3 else 1])} for i in range(6)]
    with Checkpoints(tmp_path) as checkpoints:
        options = {"checkpoints": checkpoints, "recovery": jnn.train.Recovery(on="skip", spike=10.0)}
        _, history = fit(step, {"step": jnp.int32(0)}, batches, steps=6, every=2, **options)
    assert [row["train/loss/2"] for row in history] == [1, 1, 1]
