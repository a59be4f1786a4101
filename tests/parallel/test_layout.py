"""Layouts: two tables of rules and their changes, what is kept for a parameter, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import jnn
from jnn.layers import attention_spec, linear_spec
from jnn.parallel import layout, mesh
from tests.parallel.models import TRANSFORMER, first

SPEC = {"fc1": linear_spec(8, 16), "fc2": linear_spec(16, 8, axes=("hidden", "embed"))}


def test_rules_hold_for_the_axes_that_the_mesh_has():
    specs = lambda text, n=8: jax.tree.map(lambda s: s.spec, layout(SPEC, mesh(text, first(n))).parameters["fc1"])
    assert specs("data=8") == {"w": jax.P(None, None), "b": jax.P(None)}
    assert specs("fsdp=8") == {"w": jax.P("fsdp", None), "b": jax.P(None)}
    assert specs("fsdp=4,tensor=2") == {"w": jax.P("fsdp", "tensor"), "b": jax.P("tensor")}


def test_a_mesh_may_come_as_a_string_or_with_axes_of_ones_own():
    assert layout(SPEC, "data=-1").batch().spec == jax.P("data")
    own = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
    found = layout(SPEC, own, parameters={"embed": "rows"}, activations={"batch": "rows"})
    assert (found.parameters["fc1"]["w"].spec, found.batch(calls=2).spec) == (jax.P("rows", None), jax.P(None, "rows"))


def test_changes_to_the_rules():
    found = layout(SPEC, mesh("fsdp=4,tensor=2"), parameters={"embed": None, "hidden": ("fsdp", "tensor")})
    assert found.parameters["fc1"]["w"].spec == jax.P(None, ("fsdp", "tensor"))


def test_uneven_dimensions_are_whole_if_asked_for():
    spec = attention_spec(8, 2, kv_heads=1)
    with pytest.raises(ValueError, match=r"k/w \(8, 1, 4\) with axes \('embed', 'kv_heads', 'head'\).*divi") as error:
        layout(spec, mesh("fsdp=4,tensor=2"))
    assert "v/b (1, 4)" in str(error.value)
    assert "q/w" not in str(error.value)
    found = layout(spec, mesh("fsdp=4,tensor=2"), uneven="replicate")
    assert found.parameters["k"]["w"].spec == jax.P("fsdp", None, None)
    assert found.parameters["q"]["w"].spec == jax.P("fsdp", "tensor", None)
    assert found.activation((8, 5, 1, 4), ("time", "kv_heads", "head")).spec == jax.P("fsdp", None, None, None)


def test_arrays_kept_for_a_parameter_lie_as_it_does():
    place = layout(TRANSFORMER.spec, mesh("data=2,fsdp=2,tensor=2"))
    shape = lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.float32)
    up = lambda x: (
        place.like({"inner": [{"mu": {"blocks": {"up": {"w": x}}}}]})["inner"][0]["mu"]["blocks"]["up"]["w"].spec
    )
    assert up(shape(2, 16, 32)) == jax.P(None, "fsdp", "tensor")
    assert up(shape(5, 2, 16, 32)) == jax.P(None, None, "fsdp", "tensor")  # a history of them
    assert up(shape(2, 16)) == jax.P(None, "fsdp")  # factored
    assert up(shape(2, 32)) == jax.P(None, "tensor")
    assert up(shape(2)) == jax.P(None)
    assert up(shape()) == up(shape(1)) == jax.P()  # a count, a placeholder
    assert up(shape(7, 7)) == jax.P()


def test_what_is_left_out_of_equal_sizes_is_not_guessed():
    place = layout({"w": linear_spec(8, 8)["w"]}, mesh("fsdp=4,tensor=2"))
    assert place.like({"row": {"w": np.zeros(8)}})["row"]["w"].spec == jax.P(None)


def test_the_longest_path_decides():
    spec = {"w": linear_spec(8, 8)["w"], "out": {"w": linear_spec(8, 8, axes=("hidden", "embed"))["w"]}}
    found = layout(spec, mesh("fsdp=4,tensor=2")).like({"mu": {"w": np.zeros((8, 8)), "out": {"w": np.zeros((8, 8))}}})
    assert (found["mu"]["w"].spec, found["mu"]["out"]["w"].spec) == (jax.P("fsdp", "tensor"), jax.P("tensor", "fsdp"))


def test_a_jitted_optimizer_init_loses_its_shardings():
    """The trap for which `sharded_state` names them: in Auto mode the moments come out whole on every device."""
    place = layout(SPEC, mesh("fsdp=8"))
    params = jax.device_put(jnn.init(SPEC, jax.random.key(0)), place.parameters)
    assert params["fc1"]["w"].sharding.spec == jax.P("fsdp", None)
    assert jax.jit(optax.adam(1e-3).init)(params)[0].mu["fc1"]["w"].sharding.is_fully_replicated


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"embd": "fsdp"}}, "rules: nothing has an axis 'embd'. There are .*embed"),
        ({"parameters": {"embed": "model"}}, "rules: 'embed' is to lie on 'model', which is no mesh axis: data, fsdp"),
        ({"activations": {"batch": "rows"}}, "rules: 'batch' is to lie on 'rows', which is no mesh axis"),
        ({"parameters": {"embed": "tensor"}}, "cannot be sharded by the rules:\n  fc1/w .*'embed', 'hidden'"),
        ({"parameters": {"hidden": "data"}, "uneven": "pad"}, "layout: uneven is 'error' or 'replicate', found 'pad'"),
    ],
)
def test_bad_rules_are_one_clear_error(changes, message):
    with pytest.raises(ValueError, match=message):
        layout(SPEC, mesh("data=2,fsdp=2,tensor=2"), **changes)


def test_what_is_kept_in_pieces_is_told_whatever_its_gradient_does():
    """A linear map's is scattered, a table's and a bias's are summed whole."""
    spec = {"embed": jnn.layers.embed_spec(16, 8), "out": linear_spec(8, 8, axes=("hidden", "embed"))}
    params = {"embed": {"table": np.zeros((16, 8))}, "out": {"w": np.zeros((8, 8)), "b": np.zeros(8)}}
    assert set(layout(spec, mesh("fsdp=8")).kept_in_pieces(params)) == {"embed/table", "out/w", "out/b"}
    assert layout(spec, mesh("tensor=8")).kept_in_pieces(params) == {}
