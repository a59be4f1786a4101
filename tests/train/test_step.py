"""The train step: one reduction whatever the split, K steps in a call, noise from key and step, averages, errors."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jnn
from jnn.layers import dropout, linear, linear_spec
from jnn.losses import cross_entropy, l2
from jnn.train import Context, LossOutput, create_state, make_eval, make_step

SPEC = {"fc1": linear_spec(5, 8), "fc2": linear_spec(8, 3, axes=("hidden", "classes"))}
KEY = jax.random.key(7)
SGD = optax.sgd(0.1)


@functools.cache
def first_params():
    return jnn.init(SPEC, jax.random.key(0))


def initial(optimizer=SGD, **options):
    return create_state(first_params(), optimizer, **options)


def batch_of(n=16, seed=0):
    """Rows, labels, and uneven weights."""
    rng = np.random.default_rng(seed)
    x, y, weight = rng.normal(size=(n, 5)), rng.integers(0, 3, n), rng.uniform(0.5, 2, n)
    return {
        "x": jnp.asarray(x, jnp.float32),
        "y": jnp.asarray(y, jnp.int32),
        "weight": jnp.asarray(weight, jnp.float32),
    }


def apply(params, x):
    return linear(params["fc2"], jnp.tanh(linear(params["fc1"], x)))


def loss(params, batch, ctx):
    logits = apply(params, batch["x"])
    metrics = {"accuracy": jnn.metrics.accuracy(logits, batch["y"], batch["weight"])}
    return LossOutput(cross_entropy(logits, batch["y"]), batch["weight"], metrics=metrics)


def noisy(params, batch, ctx):
    """Dropout on the input."""
    x = dropout(batch["x"], 0.5, key=ctx.key)
    return LossOutput(cross_entropy(apply(params, x), batch["y"]), batch["weight"])


def averaged(params, batch, ctx):
    """Normalizes by the batch's own mean, or by the running one."""
    h = linear(params["fc1"], batch["x"])
    mean = h.mean(0) if ctx.stats is None else ctx.stats["mean"]
    return LossOutput(cross_entropy(linear(params["fc2"], jnp.tanh(h - mean[None])), batch["y"]), stats={"mean": mean})


PLAIN = make_step(loss, SGD, KEY)  # for all tests one program


@jax.jit
def weighted_mean(params, batch):
    """The objective, written down without the step."""
    values = cross_entropy(apply(params, batch["x"]), batch["y"])
    return jnp.sum(values * batch["weight"]) / jnp.sum(batch["weight"])


def train(step, state, batches):
    for batch in batches:
        state, metrics = step(state, batch)
    return state, metrics


def assert_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **(tolerance or {"rtol": 1e-5, "atol": 1e-6}))


def assert_equal(a, b):
    assert_close(a, b, rtol=0, atol=0)


def stacked(batches):
    return jax.tree.map(lambda *x: jnp.stack(x), *batches)


BATCHES = [batch_of(seed=i) for i in range(4)]


@functools.cache
def plain_run():
    """What the plain step makes of the batches: what others are compared with."""
    return train(PLAIN, initial(), BATCHES)


def test_a_step_is_the_gradient_of_the_weighted_mean():
    state, metrics = make_step(loss, SGD, KEY, clip_norm=np.inf)(initial(), batch_of())
    value, gradient = jax.jit(jax.value_and_grad(weighted_mean))(first_params(), batch_of())
    assert_close(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, first_params(), gradient))
    np.testing.assert_allclose(metrics["loss"].value(), value, rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"].value(), optax.tree.norm(gradient), rtol=1e-5)
    assert state.step == 1


def test_the_step_is_pure():
    assert_equal(PLAIN(initial(), batch_of()), PLAIN(initial(), batch_of()))


# law 8: one reduction


@pytest.mark.parametrize("k", [2, 4, 16])
def test_micro_batches_give_the_same_params_and_metrics(k):
    whole = plain_run()
    assert_close(train(make_step(loss, SGD, KEY, microbatches=k), initial(), BATCHES), whole)


@pytest.mark.parametrize("k", [1, 4])
def test_padding_rows_give_the_same_params_and_metrics(k):
    """Sixteen rows among forty-eight; the rest is garbage of weight 0, whole micro-batches of it."""

    def padded(batch):
        place = np.arange(16) if k == 1 else np.arange(0, 48, 3)
        return {
            "x": jnp.full((48, 5), 1e20).at[place].set(batch["x"]),
            "y": jnp.full(48, -100, jnp.int32).at[place].set(batch["y"]),
            "weight": jnp.zeros(48).at[place].set(batch["weight"]),
        }

    whole = plain_run()
    step = make_step(loss, SGD, KEY, microbatches=k)
    assert_close(train(step, initial(), map(padded, BATCHES)), whole)


@pytest.mark.parametrize("k", [1, 2])
def test_eight_devices_give_the_same_params_and_metrics(k):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    place = lambda tree, *axes: jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*axes)))
    whole = plain_run()
    step = make_step(loss, SGD, KEY, microbatches=k)
    sharded = train(step, place(initial()), [place(batch, "data") for batch in BATCHES])
    assert_close(sharded, whole)
    assert len(sharded[0].params["fc1"]["w"].sharding.device_set) == 8


def test_micro_batches_of_a_sharded_batch_stay_on_their_devices():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    state = jax.device_put(initial(), NamedSharding(mesh, PartitionSpec()))
    batch = jax.device_put(batch_of(64), NamedSharding(mesh, PartitionSpec("data")))
    text = make_step(loss, SGD, KEY, microbatches=4).lower(state, batch).compile().as_text()
    assert re.search(r"all-reduce(-start)?\(", text)
    assert not re.search(r"(all-gather|all-to-all|collective-permute)(-start)?\(", text)


@pytest.mark.parametrize("k", [1, 2])
def test_tokens_are_weighted_one_by_one(k):
    """Values (batch, time) with weights of the same shape: an example of two tokens counts twice one of one."""
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(4, 6, 5)), jnp.float32), jnp.asarray(rng.integers(0, 3, (4, 6)), jnp.int32)
    weight = jnp.asarray(rng.integers(0, 2, (4, 6)), jnp.float32)
    rows = np.argwhere(weight > 0)
    packed = {"x": x[tuple(rows.T)], "y": y[tuple(rows.T)], "weight": jnp.ones(len(rows))}
    plain = lambda params, batch, ctx: loss(params, batch, ctx)._replace(metrics={})
    ours = make_step(plain, SGD, KEY, microbatches=k)(initial(), {"x": x, "y": y, "weight": weight})
    assert_close(ours, make_step(plain, SGD, KEY)(initial(), packed))


def test_weights_of_examples_spread_over_their_tokens():
    batch = batch_of()
    values = lambda p, b: jnp.stack([cross_entropy(apply(p, b["x"]), b["y"])] * 2, -1)
    by_example = make_step(lambda p, b, ctx: LossOutput(values(p, b), b["weight"]), SGD, KEY)
    assert_close(by_example(initial(), batch)[0], PLAIN(initial(), batch)[0])


def test_a_batch_of_padding_alone_changes_nothing():
    batch = batch_of() | {"weight": jnp.zeros(16)}
    state, metrics = PLAIN(initial(), batch)
    assert_equal(state.params, first_params())
    assert np.isnan(metrics["loss"].value())


@pytest.mark.parametrize("k", [1, 2, 8])
def test_a_penalty_counts_once(k):
    def penalised(params, batch, ctx):
        return loss(params, batch, ctx)._replace(penalty=0.3 * l2(SPEC, params))

    state, metrics = make_step(penalised, SGD, KEY, microbatches=k)(initial(), batch_of())
    gradient = jax.jit(jax.grad(lambda p: weighted_mean(p, batch_of()) + 0.3 * l2(SPEC, p)))(first_params())
    assert_close(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, first_params(), gradient))
    np.testing.assert_allclose(metrics["loss"].value(), weighted_mean(first_params(), batch_of()), rtol=1e-6)


# K steps in a call


@pytest.mark.parametrize("options", [{}, {"microbatches": 2}, {"ema_decay": 0.9, "clip_norm": 0.1}])
def test_steps_per_call_equal_that_many_calls(options):
    optimizer, keep = optax.adam(1e-2), "ema_decay" in options
    one = make_step(noisy, optimizer, KEY, **options)
    state, each = initial(optimizer, ema=keep), []
    for batch in BATCHES:
        state, metrics = one(state, batch)
        each.append(metrics)
    at_once, together = make_step(noisy, optimizer, KEY, steps_per_call=4, **options)(
        initial(optimizer, ema=keep), stacked(BATCHES)
    )
    assert_close(at_once, state)
    assert_close(together, stacked(each))
    assert together["loss"].value().shape == (4,)
    assert at_once.step == 4


def test_many_steps_compile_once():
    traces = []

    def counted(params, batch, ctx):
        traces.append(None)
        return loss(params, batch, ctx)

    step = make_step(counted, optax.adam(1e-2), KEY, clip_norm=1.0)
    train(step, initial(optax.adam(1e-2)), BATCHES * 3)
    assert len(traces) == 1


def test_a_step_is_part_of_a_callers_program():
    scanned = jax.jit(lambda state, batches: jax.lax.scan(PLAIN, state, batches)[0])
    assert_close(scanned(initial(), stacked(BATCHES)), plain_run()[0])


# compute dtype


def test_half_precision_compute_keeps_float32_masters():
    seen = {}

    def spy(params, batch, ctx):
        seen.update({"w": params["fc1"]["w"].dtype, **{name: x.dtype for name, x in batch.items()}})
        return loss(params, batch, ctx)

    optimizer = optax.adam(1e-2)
    half, _ = train(make_step(spy, optimizer, KEY, compute_dtype=jnp.bfloat16), initial(optimizer), BATCHES)
    full, _ = train(make_step(loss, optimizer, KEY), initial(optimizer), BATCHES)
    assert seen == {"w": jnp.bfloat16, "x": jnp.bfloat16, "y": jnp.int32, "weight": jnp.float32}
    assert {x.dtype for x in jax.tree.leaves((half.params, half.opt_state[0].mu))} == {jnp.dtype("float32")}
    assert_close(half.params, full.params, rtol=0.05, atol=0.02)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(half.params), jax.tree.leaves(full.params), strict=True))


def test_updates_below_the_resolution_of_bfloat16_add_up():
    """2**-10 on top of 1 is lost in bfloat16; a thousand of them are not."""
    objective = lambda params, batch, ctx: LossOutput(-params["w"] * batch["x"])
    tiny = optax.sgd(2.0**-10)
    step = make_step(objective, tiny, KEY, compute_dtype=jnp.bfloat16, steps_per_call=1024)
    state, _ = step(create_state({"w": jnp.ones(())}, tiny), {"x": jnp.ones((1024, 2))})
    assert state.params["w"] == 2


def test_compute_dtype_needs_no_x():
    tokens = lambda params, batch, ctx: LossOutput(params["table"][batch["tokens"]].sum(-1))
    step = make_step(tokens, SGD, KEY, compute_dtype=jnp.bfloat16)
    state, _ = step(create_state({"table": jnp.ones((4, 2))}, SGD), {"tokens": jnp.array([0, 1])})
    assert state.params["table"].dtype == jnp.float32


# averages, clipping, optimizers


def test_the_average_of_params_is_the_recursion_on_paper():
    state, expected = initial(ema=True), first_params()
    step = make_step(loss, SGD, KEY, ema_decay=0.75)
    for batch in BATCHES:
        state, _ = step(state, batch)
        expected = jax.tree.map(lambda e, p: 0.75 * e + 0.25 * p, expected, state.params)
    assert_close(state.ema, expected)


@pytest.mark.parametrize("k", [1, 2])
def test_the_average_of_statistics_is_the_recursion_on_paper(k):
    state, expected = initial(stats={"mean": jnp.zeros(8)}), jnp.zeros(8)
    step = make_step(averaged, SGD, KEY, stats_momentum=0.75, microbatches=k)
    for batch in BATCHES:
        mean = linear(state.params["fc1"], batch["x"]).mean(0)  # micro-batches are equally long
        state, _ = step(state, batch)
        expected = 0.75 * expected + 0.25 * mean
    np.testing.assert_allclose(state.stats["mean"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("limit", [1e-3, 0.1, 1e3])
def test_clipping_is_optaxs(limit):
    theirs = optax.chain(optax.clip_by_global_norm(limit), SGD)
    ours, metrics = train(make_step(loss, SGD, KEY, clip_norm=limit), initial(), BATCHES)
    expected, plain = train(make_step(loss, theirs, KEY, clip_norm=np.inf), initial(theirs), BATCHES)
    assert_close(ours.params, expected.params)
    assert_close(metrics["grad_norm"], plain["grad_norm"])


OPTIMIZERS = {
    "adamw": optax.adamw(1e-2, mask=jnn.weight_mask(SPEC)),
    "adafactor": optax.adafactor(1e-2),
    "lamb": optax.lamb(1e-2),
    "lion": optax.lion(1e-3),
    "momentum": optax.sgd(1e-2, momentum=0.9, nesterov=True),
    "multi_steps": optax.MultiSteps(optax.adam(1e-2), 2),
    "plateau": optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau(patience=1)),
    "polyak_sgd": optax.polyak_sgd(),
    "rmsprop": optax.rmsprop(1e-2),
    "schedule_free": optax.contrib.schedule_free_sgd(1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_is_optaxs_own_loop(name):
    optimizer = OPTIMIZERS[name]
    state, _ = train(make_step(loss, optimizer, KEY), initial(optimizer), BATCHES)
    params, opt_state = first_params(), optimizer.init(first_params())
    transform = optax.with_extra_args_support(optimizer)

    @jax.jit
    def update(params, opt_state, batch):
        value, gradient = jax.value_and_grad(weighted_mean)(params, batch)
        updates, opt_state = transform.update(gradient, opt_state, params, value=value)
        return optax.apply_updates(params, updates), opt_state

    for batch in BATCHES:
        params, opt_state = update(params, opt_state, batch)
    assert_close((state.params, state.opt_state), (params, opt_state), rtol=1e-4, atol=1e-5)


def test_a_schedule_follows_the_step():
    """Warm-up and cosine: with a gradient of 1, each update is minus that step's learning rate."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=4, decay_steps=12, end_value=0.1)
    optimizer = optax.sgd(schedule)
    step = make_step(lambda params, batch, ctx: LossOutput(params["w"] * batch["x"]), optimizer, KEY)
    state, places = create_state({"w": jnp.zeros(())}, optimizer), [0.0]
    for i in range(14):
        assert state.step == i
        state, _ = step(state, {"x": jnp.ones(2)})
        places.append(float(state.params["w"]))
    rates = -np.diff(places)
    np.testing.assert_allclose(rates, [schedule(i) for i in range(14)], atol=1e-6)
    np.testing.assert_allclose(rates[:5], [0, 0.25, 0.5, 0.75, 1.0], atol=1e-6)
    np.testing.assert_allclose(rates[12:], 0.1, atol=1e-6)


# buffers


def test_the_state_is_donated_and_the_callers_params_survive():
    params = first_params()
    optimizer = optax.adam(1e-2)
    state, step = create_state(params, optimizer, ema=True), make_step(loss, optimizer, KEY, ema_decay=0.9)
    size = sum(x.nbytes for x in jax.tree.leaves(state))
    memory = step.lower(state, batch_of()).compile().memory_analysis()
    assert memory.alias_size_in_bytes == size  # every leaf is updated in place
    step(state, batch_of())
    assert all(x.is_deleted() for x in jax.tree.leaves(state))
    assert not any(x.is_deleted() for x in jax.tree.leaves(params))


def test_a_state_and_its_step_in_the_abstract():
    """To compile without allocating: nothing asks a tracer for its values."""
    optimizer = optax.adam(1e-2)
    state = jax.eval_shape(lambda: create_state(jnn.init(SPEC, KEY), optimizer, ema=True))
    new, _ = jax.eval_shape(make_step(loss, optimizer, KEY, ema_decay=0.9), state, batch_of())
    assert jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, state)


def test_an_optimizer_that_keeps_the_params_leaves_the_callers_alone():
    params, optimizer = first_params(), optax.contrib.schedule_free_sgd(0.1)
    make_step(loss, optimizer, KEY)(create_state(params, optimizer), batch_of())
    assert not any(x.is_deleted() for x in jax.tree.leaves(params))


# noise


def draws(step, state, batch, n=3):
    """What the noise did in n steps: losses of a model that never moves."""
    found = []
    for _ in range(n):
        state, metrics = step(state, batch)
        found.append(float(metrics["loss"].value()))
    return found


def test_noise_is_a_function_of_the_key_and_the_step():
    still = optax.sgd(0.0)
    step, batch = make_step(noisy, still, KEY), batch_of()
    first = draws(step, initial(still), batch)
    assert len(set(first)) == 3
    assert draws(step, initial(still), batch) == first
    assert draws(step, initial(still).replace(step=jnp.array(1)), batch, 2) == first[1:]
    assert not set(draws(make_step(noisy, still, jax.random.key(8)), initial(still), batch)) & set(first)


def test_micro_batches_draw_their_own_noise():
    """Each from the key folded with the step, then with its own number; a whole batch without that."""
    marks = {}

    def marked(params, batch, ctx):
        out = noisy(params, batch, ctx)
        return out._replace(metrics={"noise": jnn.metrics.Mean(jax.random.normal(ctx.key) ** 2, jnp.ones(()))})

    for k in (1, 2):
        marks[k] = make_step(marked, SGD, KEY, microbatches=k)(initial(), batch_of())[1]["noise"]
    assert marks[2].weight == 2
    of_step = jax.random.fold_in(jax.random.fold_in(KEY, 0), 0)
    keys = [jax.random.fold_in(of_step, i) for i in range(2)]
    np.testing.assert_allclose(marks[2].total, sum(jax.random.normal(k) ** 2 for k in keys), rtol=1e-6)
    np.testing.assert_allclose(marks[1].total, jax.random.normal(of_step) ** 2, rtol=1e-6)


def test_resumed_equals_uninterrupted_bit_for_bit():
    optimizer = optax.adamw(1e-2)
    step = make_step(noisy, optimizer, KEY, ema_decay=0.9)
    whole, metrics = train(step, initial(optimizer, ema=True), BATCHES)
    halfway, _ = train(step, initial(optimizer, ema=True), BATCHES[:2])
    saved = jax.tree.map(np.asarray, jax.device_get(halfway))
    again = make_step(noisy, optimizer, KEY, ema_decay=0.9)
    resumed = train(again, jax.tree.map(jnp.asarray, saved), BATCHES[2:])
    assert_equal(resumed, (whole, metrics))
    assert not any(jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in jax.tree.leaves(whole))


# evaluation


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


# errors


def cut(batch, name, size):
    return batch | {name: batch[name][:size]}


@pytest.mark.parametrize(
    ("options", "batch", "message"),
    [
        ({}, jax.tree.map(lambda x: x[:0], batch_of()), r"non-empty leading size, found .*batch\['x'\] \(0,\)"),
        ({}, cut(batch_of(), "y", 7), r"one common, non-empty leading size, found .*batch\['y'\] \(7,\)"),
        ({}, batch_of() | {"y": jnp.array(1)}, r"common, non-empty leading size, found .*batch\['y'\] \(\)"),
        ({}, {}, "expected leaves with one common"),
        ({"microbatches": 3}, batch_of(), r"3 micro-batches do not divide the 16 rows of the batch"),
        ({"steps_per_call": 4}, batch_of(), r"steps_per_call=4 expects batches stacked to \(4, rows, ...\)"),
        ({"steps_per_call": 4}, stacked(BATCHES[:3]), r"steps_per_call=4 expects batches stacked to \(4, rows, ...\)"),
        ({"ema_decay": 0.9}, batch_of(), "ema_decay=... and create_state\\(ema=True\\) go together"),
    ],
)
def test_a_bad_batch_is_one_clear_error(options, batch, message):
    with pytest.raises(ValueError, match=message):
        make_step(loss, SGD, KEY, **options)(initial(), batch)


def output(**changes):
    return lambda params, batch, ctx: loss(params, batch, ctx)._replace(**changes)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            lambda p, b, ctx: LossOutput(loss(p, b, ctx).values.mean()),
            r"one value per example \(or token\), for 16 examples; found shape \(\). Reduce nothing",
        ),
        (lambda p, b, ctx: LossOutput(loss(p, b, ctx).values[:5]), r"for 16 examples; found shape \(5,\)"),
        (output(weights=jnp.ones(4)), r"weights have shape \(4,\), expected that of its values \(16,\)"),
        (output(stats={"mean": jnp.ones(3)}), r"the loss returned stats that are not .*:\n  extra: mean float32\[3\]"),
    ],
)
def test_a_bad_loss_is_one_clear_error(bad, message):
    with pytest.raises(ValueError, match=message):
        make_step(bad, SGD, KEY)(initial(), batch_of())


@pytest.mark.parametrize("stats", [{"mean": jnp.zeros(3)}, {"other": jnp.zeros(8)}])
def test_statistics_that_the_state_was_not_created_for_are_an_error(stats):
    with pytest.raises(ValueError, match=r"(misshapen|extra): mean .*float32\[8\](?s:.*)Give create_state\(stats="):
        make_step(averaged, SGD, KEY)(initial(stats=stats), batch_of())


def test_a_loss_that_returns_no_statistics_to_a_state_that_has_some_is_an_error():
    with pytest.raises(ValueError, match=r"the loss returned stats that are not .*:\n  missing: mean float32\[8\]"):
        PLAIN(initial(stats={"mean": jnp.zeros(8)}), batch_of())


def test_averages_kept_but_not_updated_and_asked_for_but_not_kept_are_errors():
    with pytest.raises(ValueError, match="go together; found an average in the state, and no ema_decay"):
        PLAIN(initial(ema=True), batch_of())
    with pytest.raises(ValueError, match=r"params_of\(state\) is None. An average is kept by create_state\(ema=True\)"):
        make_eval(loss, params_of=lambda state: state.ema)(initial(), batch_of())


def test_a_key_forgotten_is_named():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'key'"):
        make_step(loss, SGD)
    forgetful = lambda params, batch, ctx: LossOutput(dropout(batch["x"], 0.5).sum(-1))
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'key'"):
        make_step(forgetful, SGD, KEY)(initial(), batch_of())
