"""Names of axes: the identity without a layout, a placement with one; under every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.axes import constrain, gather, use_layout
from jnn.inspect import collectives
from jnn.layers import embed_spec, feed_forward, feed_forward_spec, linear_spec
from jnn.parallel import layout, mesh
from jnn.param import stack

SPEC = {"fc": linear_spec(8, 16), "blocks": stack(linear_spec(16, 32), 3)}
X = np.arange(8 * 4 * 16, dtype=np.float32).reshape(8, 4, 16)


def place(text="data=2,fsdp=2,tensor=2", **options):
    return layout(SPEC, mesh(text), **options)


def test_without_a_layout_nothing_is_traced():
    jaxpr = jax.make_jaxpr(lambda x, p: (constrain(x, "time", "hidden"), gather(p, "fc")))(X, {"w": X})
    assert not jaxpr.eqns


def test_named_axes_lie_by_their_rules_and_the_first_of_the_others_is_the_batch():
    with use_layout(place()):
        y = jax.jit(lambda x: constrain(x, "time", "hidden") * 2)(X)
    assert y.sharding.spec == jax.P(("data", "fsdp"), None, "tensor")
    np.testing.assert_array_equal(y, X * 2)


def test_axes_between_the_batch_and_the_names_are_free():
    spec = place().activation((8, 3, 4, 16), ("time", "hidden")).spec
    assert spec == jax.P(("data", "fsdp"), jax.P.UNCONSTRAINED, None, "tensor")


def model(p, x):
    def layer(x, p):
        return constrain(jnp.tanh(x @ gather(p, "blocks")["w"]), "time", "hidden")[..., :16], None

    x, _ = jax.lax.scan(jax.checkpoint(layer), x, p["blocks"])
    return x.sum((-2, -1))


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: f,
        jax.jit,
        lambda f: lambda p, x: jax.grad(lambda p: f(p, x).sum())(p)["blocks"]["w"],
        lambda f: jax.vmap(f, in_axes=(None, 0)),
        lambda f: jax.jit(jax.vmap(jax.grad(lambda p, x: f(p, x).sum()), in_axes=(None, 0))),
    ],
    ids=["eager", "jit", "grad", "vmap", "vmap of grad"],
)
def test_transformations_change_nothing(transform):
    p = {"blocks": {"w": np.random.default_rng(0).normal(size=(3, 16, 32)).astype(np.float32) / 4}}
    x = X / X.size
    expected = transform(model)(p, x)
    with use_layout(place()):
        found = transform(model)(p, x)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_under_vmap_the_mapped_axis_stays_where_it_is():
    """A constraint that made it whole would gather the batch."""
    with use_layout(place("data=8")):
        f = jax.jit(jax.vmap(lambda x: constrain(x, "time", "embed") * 2))
        x = jax.device_put(X, place("data=8").batch())
        assert f(x).sharding.spec == jax.P("data")
        assert "all-gather" not in f.lower(x).compile().as_text()


def test_what_was_compiled_without_a_layout_is_not_used_with_one():
    f = jax.jit(lambda x: constrain(x, "time", "hidden") * 2)
    f(X)
    with use_layout(place()):
        assert f(X).sharding.spec == jax.P(("data", "fsdp"), None, "tensor")
    with use_layout(place(activations={"hidden": None})):
        assert f(X).sharding.spec == jax.P(("data", "fsdp"))


def test_gathered_parameters_are_whole_where_the_batch_lies_and_only_there():
    kept, used, _ = place().parameter("fc/w", (8, 16))
    assert (kept.spec, used.spec) == (jax.P("fsdp", "tensor"), jax.P(None, "tensor"))
    kept, used, _ = place().parameter("blocks/w", (16, 32))  # one layer of the stack
    assert (kept.spec, used.spec) == (jax.P("fsdp", "tensor"), jax.P(None, "tensor"))
    kept, *_ = place().parameter("w", (3, 16, 32))  # the end of a path will do
    assert kept.spec == jax.P(None, "fsdp", "tensor")


def test_gradients_of_linear_maps_are_summed_in_pieces_others_whole():
    spec = {"fc": linear_spec(8, 16, axes=("hidden", "embed")), "embed": embed_spec(6, 8)}
    where = layout(spec, mesh("data=2,fsdp=4"))
    summed = lambda path, *shape: where.parameter(path, shape)[2].spec
    assert summed("fc/w", 8, 16) == jax.P(None, "fsdp")
    assert summed("fc/b", 16) == jax.P(None)
    assert summed("embed/table", 6, 8) == jax.P(None, None)


def stages(p, x):
    """Two of them, side by side: a stack of weights (2, 3, ...) and of rows (2, 8, ...)."""
    return jax.vmap(model, spmd_axis_name="stage")({"blocks": {"w": p}}, x)


def test_gathered_weights_stay_on_the_axis_of_a_vmap_and_their_gradients_too():
    """As the stages of a pipeline do: nothing goes from one to another."""
    rng = np.random.default_rng(0)
    p = rng.normal(size=(2, 3, 16, 32)).astype(np.float32) / 4
    x = rng.normal(size=(2, 8, 4, 16)).astype(np.float32)
    gradient = lambda p, x: jax.grad(lambda p: stages(p, x).sum())(p)
    rules = {"parameters": {"layers": None}, "activations": {"batch": ("data", "fsdp")}}
    expected, where = gradient(p, x), layout(SPEC, mesh("stage=2,data=2,fsdp=2"), **rules)
    put = lambda a, *axes: jax.device_put(a, jax.NamedSharding(where.mesh, jax.P("stage", *axes)))
    with use_layout(where):
        compiled = jax.jit(gradient).lower(put(p, None, "fsdp"), put(x, ("data", "fsdp"))).compile()
    found = compiled(put(p, None, "fsdp"), put(x, ("data", "fsdp")))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    moved = collectives(compiled, where.mesh)
    assert {row.kind for row in moved} == {"all-gather", "all-reduce"}
    assert not any("stage" in (row.axes or ("stage",)) for row in moved)


@pytest.mark.parametrize(
    ("shape", "over"), [((8, 16), jax.P("data")), ((8, 16), jax.P(None)), ((8, 4, 16), jax.P("data"))]
)
def test_a_feed_forward_network_leaves_a_batch_of_vectors_where_it_is(shape, over):
    spec = feed_forward_spec(16, 32)
    where = layout(spec, mesh("data=8"))
    x = jax.device_put(np.ones(shape, np.float32), jax.NamedSharding(where.mesh, over))
    with use_layout(where):
        compiled = jax.jit(feed_forward).lower(jnn.init(spec, jax.random.key(0)), x).compile()
    assert not collectives(compiled, where.mesh)


def test_gathered_weights_have_derivatives_in_both_modes():
    p = {"blocks": {"w": np.random.default_rng(0).normal(size=(3, 16, 32)).astype(np.float32) / 4}}
    forward = lambda x: jax.jvp(lambda p: model(p, x), (p,), (p,))[1]
    expected = forward(X / X.size)
    with use_layout(place()):
        np.testing.assert_allclose(jax.jit(forward)(X / X.size), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: constrain(X[0, 0], "time", "hidden"), r"constrain: found an activation \(16,\), named .* more names"),
        (
            lambda: constrain(X[:3], "time", "hidden"),
            r"an activation \(3, 4, 16\) has 3 along 'batch', which 4 devices",
        ),
    ],
)
def test_bad_input_is_one_clear_error(ask, message):
    with use_layout(place()), pytest.raises(ValueError, match=message):
        ask()


@pytest.mark.parametrize(("w", "path"), [(X, "fc"), (X[0], "fd")], ids=["another shape", "another name"])
def test_what_is_no_parameter_of_the_layout_stays_where_it_is(w, path):
    """As weights are that a loss makes itself: the product of two adapters, a frozen network without a spec."""
    with use_layout(place()):
        jaxpr = jax.make_jaxpr(lambda w: gather({"w": w}, path)["w"])(w)
    assert not jaxpr.eqns


def test_a_parameter_that_could_be_two_is_an_error():
    square = {"a": linear_spec(8, 8), "b": linear_spec(8, 8, axes=("hidden", "embed"))}
    with pytest.raises(ValueError, match=r"gather: .* several parameters, which lie differently, at 'w'"):
        layout(square, mesh("fsdp=4,tensor=2")).parameter("w", (8, 8))
