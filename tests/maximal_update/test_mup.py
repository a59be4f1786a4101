"""Maximal update parametrization: its table, the mup package, weight decay, and activations that stay as large."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.initializers import he_normal, normal, orthogonal, zeros
from jnn.layers import linear_spec
from jnn.maximal_update import Coordinates, coordinate_check, growth, multiplied, scale_by_rates
from jnn.models import mlp, mlp_spec, transformer, transformer_spec
from tests.oracle import configurations

SIZES, BASE = (3, 32, 64, 2), (3, 8, 32, 2)  # the second layer's fans grow 4 and 2 times


def test_the_table_for_adam():
    scaled = jnn.mup(mlp_spec(SIZES), mlp_spec(BASE))
    assert scaled.rates == {
        "fc0": {"b": 1.0, "w": 1.0},
        "fc1": {"b": 1.0, "w": 1 / 4},
        "fc2": {"b": 1.0, "w": 1.0},
    }
    assert scaled.multipliers["fc2"] == {"b": 1.0, "w": 1 / 2}
    assert set(jax.tree.leaves([scaled.multipliers[name] for name in ("fc0", "fc1")])) == {1.0}


def test_the_table_for_sgd_and_in_the_spectral_form():
    rates = jnn.mup(mlp_spec(SIZES), mlp_spec(BASE), optimizer="sgd").rates
    assert [rates[name]["w"] for name in ("fc0", "fc1", "fc2")] == [4, 1 / 2, 2]
    assert [rates[name]["b"] for name in ("fc0", "fc1", "fc2")] == [4, 2, 1]
    spectral = jnn.mup(mlp_spec(SIZES), mlp_spec(BASE), optimizer="sgd", form="spectral")
    assert [spectral.rates[name]["w"] for name in ("fc0", "fc1", "fc2")] == [4, 1 / 2, 1 / 2]
    assert set(jax.tree.leaves(spectral.multipliers)) == {1.0}
    assert jnn.mup(mlp_spec(SIZES), mlp_spec(BASE), form="spectral").rates["fc2"]["w"] == 1 / 2


@pytest.mark.parametrize("form", ["multipliers", "spectral"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_by_itself_a_spec_is_what_it_was(optimizer, form):
    spec = transformer_spec(5, 4, layers=2, heads=2, embed=4)
    scaled = jnn.mup(spec, spec, optimizer=optimizer, form=form, readout=["norm/*"], branches=["blocks/*/o/*"])
    assert jax.tree.leaves(scaled.spec) == jax.tree.leaves(spec)
    assert set(jax.tree.leaves((scaled.multipliers, scaled.rates))) == {1.0}


@pytest.mark.parametrize(
    "init", [he_normal, normal(0.1), orthogonal(), zeros], ids=["he", "normal", "orthogonal", "zeros"]
)
@pytest.mark.parametrize("form", ["multipliers", "spectral"])
def test_initial_scales_are_those_of_the_table_whatever_the_initializer_does_itself(init, form):
    """Of a hidden weight 1 / sqrt(m), of an output 1 or 1 / m, of an input 1."""
    m, key = 4, jax.random.key(0)
    for grows, wanted in (
        ((True, True), 1 / 2),
        ((True, False), 1 if form == "multipliers" else 1 / 4),
        ((False, True), 1),
    ):
        sizes = lambda width, grows=grows: [width if grow else 128 for grow in grows]
        spec, base = (linear_spec(*sizes(width), init=init) for width in (m * 128, 128))
        found, of_base = jnn.init(jnn.mup(spec, base, form=form).spec, key), jnn.init(base, key)
        np.testing.assert_allclose(found["w"].std(), wanted * of_base["w"].std(), rtol=0.06)


def test_stacked_layers_are_drawn_and_scaled_one_by_one():
    spec, base = (jnn.stack(linear_spec(width, width), 3) for width in (32, 8))
    scaled = jnn.mup(spec, base)
    assert scaled.rates["w"] == 1 / 4
    first = dataclasses.replace(scaled.spec["w"], shape=(1, 32, 32))
    key = jax.random.key(0)
    np.testing.assert_array_equal(jnn.init({"w": scaled.spec["w"]}, key)["w"][:1], jnn.init({"w": first}, key)["w"])


def test_what_ends_a_branch_is_divided_by_the_root_of_depth():
    spec, base = (transformer_spec(5, 4, layers=layers, heads=2, embed=4) for layers in (8, 2))
    for optimizer, rate in (("adam", 1 / 2), ("sgd", 1)):
        scaled = jnn.mup(spec, base, optimizer=optimizer, branches=["blocks/*/o/*", "blocks/down/*"])
        found = {path: x for path, x in jnn.flatten(scaled.multipliers).items() if x != 1}
        assert found == dict.fromkeys(
            ("blocks/attention/o/b", "blocks/attention/o/w", "blocks/down/b", "blocks/down/w"), 0.5
        )
        assert {x for path, x in jnn.flatten(scaled.rates).items() if path.startswith("blocks/")} == {rate}
        assert scaled.rates["embed"]["table"] == 1
    assert set(jax.tree.leaves(jnn.mup(spec, base).multipliers)) == {1.0}


def test_a_tied_read_out_is_scaled_through_the_last_norm():
    spec, base = (transformer_spec(5, 4, layers=1, heads=width // 4, embed=width, bias=False) for width in (16, 4))
    scaled = jnn.mup(spec, base, readout=["norm/*"])
    assert {path for path, x in jnn.flatten(scaled.multipliers).items() if x != 1} == {"norm/scale"}
    assert scaled.multipliers["norm"]["scale"] == 1 / 4
    assert scaled.rates["embed"]["table"] == 1


def test_weight_decay_is_that_of_the_base_however_slowly_a_weight_learns():
    params = {"w": jnp.ones(2), "v": jnp.ones(2)}
    optimizer = optax.chain(scale_by_rates({"w": 0.25, "v": 1.0}), optax.add_decayed_weights(0.5), optax.scale(-0.1))
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], updates["v"])
    updates, _ = optax.chain(scale_by_rates({"w": 0.25, "v": 1.0})).update(params, (optax.EmptyState(),), params)
    assert (updates["w"] / updates["v"]).tolist() == [0.25, 0.25]


X = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
OPTIMIZERS = {"adam": (optax.scale_by_adam(), 0.01), "sgd": (optax.identity(), 0.1)}


def learner(scaled, apply, loss, rule, rate, key):
    """What `coordinate_check` asks of a network: its state, a step by Optax's rule, and its logits."""
    update = optax.chain(rule, scale_by_rates(scaled.rates), optax.scale(-rate))
    logits = lambda params: apply(multiplied(params, scaled.multipliers))

    @jax.jit
    def step(state):
        params, inner = state
        updates, inner = update.update(jax.grad(lambda params: loss(logits(params)))(params), inner, params)
        return optax.apply_updates(params, updates), inner

    params = jnn.init(scaled.spec, key)
    return (params, update.init(params)), step, lambda state: {"logits": logits(state[0])}


def of_mlps(optimizer, **how):
    """Networks of any width, that learn one batch; by `jnn.mup` where it is told how."""

    def build(width, key):
        spec, base = mlp_spec((8, width, width, 4)), mlp_spec((8, 32, 32, 4))
        scaled = jnn.mup(spec, base if how else spec, optimizer=optimizer, **how)
        loss = lambda logits: jnp.square(logits - X[:, :4]).mean()
        return learner(scaled, lambda params: mlp(params, X, key=None), loss, *OPTIMIZERS[optimizer], key)

    return build


@pytest.mark.parametrize("form", ["multipliers", "spectral"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_activations_keep_their_size_as_width_grows(optimizer, form):
    keys = [jax.random.key(i) for i in range(2)]
    rows = coordinate_check(of_mlps(optimizer, form=form), (32, 128, 512), steps=3, keys=keys)
    assert abs(growth(rows, "logits")) < 0.3
    assert growth(rows, "logits", of="size") < 0.2


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_without_it_they_grow(optimizer):
    rows = coordinate_check(of_mlps(optimizer), (32, 128, 512), steps=1, keys=[jax.random.key(0)])
    assert growth(rows, "logits") > 0.4


@pytest.mark.slow
def test_logits_of_a_transformer_keep_their_size_and_grow_without():
    tokens = np.random.default_rng(0).integers(0, 7, (4, 17))

    def build(width, key, *, scaled_by):
        spec_of = lambda width: transformer_spec(7, 16, layers=2, heads=width // 16, embed=width, bias=False)
        scaled = jnn.mup(spec_of(width), spec_of(scaled_by or width), readout=["norm/*"])
        apply = lambda params: transformer(params, tokens[:, :-1], key=None)
        loss = lambda logits: jnn.losses.cross_entropy(logits, tokens[:, 1:]).mean()
        return learner(scaled, apply, loss, *OPTIMIZERS["adam"], key)

    keys, widths = [jax.random.key(0)], (32, 64, 128, 256)
    by = lambda base: coordinate_check(lambda *of: build(*of, scaled_by=base), widths, steps=3, keys=keys)
    assert abs(growth(by(32), "logits")) < 0.25
    assert growth(by(None), "logits") > 0.5


@pytest.mark.parametrize("rng", configurations(20, fast=range(3)), ids=range(20))
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_factors_are_those_of_the_mup_package(optimizer, rng):
    """Rates of every parameter, initial scales and the read-out's multiplier, of its own authors' code."""
    torch, theirs = pytest.importorskip("torch"), pytest.importorskip("mup")
    base = (5, *(int(n) for n in rng.integers(4, 12, 2)), 3)
    sizes = (5, *(int(n * rng.integers(2, 6)) for n in base[1:3]), 3)

    def network(sizes):
        return torch.nn.Sequential(
            torch.nn.Linear(*sizes[0:2]), torch.nn.Linear(*sizes[1:3]), theirs.MuReadout(*sizes[2:4])
        )

    wide = network(sizes)
    untouched = [layer.weight.detach().clone() for layer in wide]
    theirs.set_base_shapes(wide, network(base), delta=network(tuple(n + i % 3 for i, n in enumerate(base))))
    groups = {"adam": theirs.MuAdam, "sgd": theirs.MuSGD}[optimizer](wide.parameters(), lr=1.0).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    ours = jnn.mup(mlp_spec(sizes), mlp_spec(base), optimizer=optimizer)
    for i, layer in enumerate(wide):
        found = ours.rates[f"fc{i}"]
        np.testing.assert_allclose([found["w"], found["b"]], [rates[id(layer.weight)], rates[id(layer.bias)]])
        # theirs begins with values of 1 / sqrt(fan_in), as ours do, and brings an output's back to the base's scale
        spec = mlp_spec(sizes)[f"fc{i}"]["w"], ours.spec[f"fc{i}"]["w"]
        factor = getattr(spec[1].init, "factor", 1.0)
        np.testing.assert_allclose(factor, float((layer.weight.detach() / untouched[i]).mean()), rtol=1e-5)
    np.testing.assert_allclose(1 / ours.multipliers["fc2"]["w"], wide[2].width_mult())


def test_a_second_time_it_changes_nothing():
    spec, base = linear_spec(32, 64), linear_spec(8, 16)
    once = jnn.mup(spec, base).spec
    other = dataclasses.replace(spec["w"], init=normal(0.02))
    scaled = jnn.mup({"w": other}, {"w": dataclasses.replace(base["w"], init=normal(0.02))}).spec
    again = jnn.mup(scaled, {"w": base["w"]}).spec["w"]
    assert jnn.mup(once, base).spec == once
    assert scaled["w"].init.factor == again.init.factor == 0.5


def test_initial_values_that_go_with_the_shape_unsaid_are_refused():
    drawn_by_jax = lambda *sizes: linear_spec(*sizes, init=jax.nn.initializers.he_normal(), bias=False)
    spec = drawn_by_jax(32, 64)
    assert jnn.mup(spec, spec).spec == spec
    with pytest.raises(ValueError, match="scales by the shape itself"):
        jnn.mup(spec, drawn_by_jax(8, 16))


def test_what_does_not_fit_is_said():
    spec = mlp_spec(SIZES)
    for base, message in (
        (mlp_spec((3, 8, 2)), "same paths, found in one alone fc2/b, fc2/w"),
        ({**spec, "fc0": linear_spec(3, 32, axes=("in", "hidden"))}, "expected axes"),
    ):
        with pytest.raises(ValueError, match=message):
            jnn.mup(spec, base)
    with pytest.raises(ValueError, match="heads of 8"):
        jnn.mup(*(transformer_spec(5, 4, layers=1, heads=2, embed=width) for width in (16, 8)))
    with pytest.raises(ValueError, match="no parameter has a path such as 'out"):
        jnn.mup(spec, spec, readout=["out/*"])
    with pytest.raises(ValueError, match=r'expected optimizer to be one of .*"adam" is for AdamW'):
        jnn.mup(spec, spec, optimizer="lion")
    with pytest.raises(TypeError, match="expected a spec"):
        jnn.mup(spec, jnn.init(spec, jax.random.key(0)))
    with pytest.raises(ValueError, match="found 2 and 0"):
        coordinate_check(of_mlps("adam"), (8, 16), keys=[])
    with pytest.raises(TypeError, match=r"expected a list of keys, found a single one\. Give \[key\]"):
        coordinate_check(of_mlps("adam"), (8, 16), keys=jax.random.key(0))
    assert (
        jnn.mup(spec, mlp_spec(BASE), readout="fc2/*").multipliers
        == jnn.mup(spec, mlp_spec(BASE), readout=["fc2/*"]).multipliers
    )
    with pytest.raises(ValueError, match="expected one of"):
        growth([], "logits")
    rows = [Coordinates("x", n, 1, 3.0, change) for n, change in ((4, 0.0), (16, 1.0))]
    assert growth(rows, "x", of="size") == 0
    with pytest.raises(ValueError, match=r"of positive numbers, and change of .x. is .4: 0.0, 16: 1.0"):
        growth(rows, "x")
    assert math.isfinite(sum(jax.tree.leaves(jnn.mup(spec, mlp_spec(BASE)).rates)))
