"""The maps over specs: init, abstract, shardings, stack, weights, count, summary."""

import copy
import dataclasses
import pickle
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jnn
from jnn import Param
from jnn.initializers import he_normal, normal, ones, zeros
from jnn.layers import linear_spec

KEY = jax.random.key(0)
RULES = {"embed": "x", "hidden": ("y",)}


def mesh_of(**axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def spec_of(embed=64, hidden=32):
    return {
        "fc": linear_spec(embed, hidden),
        "deep": jnn.stack(linear_spec(hidden, hidden, axes=("hidden", "wide")), 3),
        "heads": {
            "w": Param(
                (embed, 4, 8), he_normal, ("embed", "heads", "head"), jnp.bfloat16, ("embed",), ("heads", "head")
            )
        },
    }


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x, np.float32), np.asarray(y, np.float32))


def test_path_key_folds_name_by_name_and_tells_names_apart():
    keys = [jnn.path_key(KEY, path) for path in ("", "a", "b", "a/b", "b/a", "ab", "w", "w1")]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)
    assert keys[0] == KEY


def test_names_with_one_crc_32_draw_other_values():
    a, b = "plumless", "buckeroo"
    assert zlib.crc32(a.encode()) == zlib.crc32(b.encode())
    params = jnn.init({name: Param((4,), normal(), ("embed",)) for name in (a, b)}, KEY)
    assert not np.isin(params[a], params[b]).any()


@pytest.mark.parametrize(
    "tree", [{"a/b": 1, "a": {"b": 2}}, {"": {"b": 1}, "b": 2}, {"a": [1, 2], "a/1": 3}], ids=["slash", "empty", "list"]
)
def test_two_leaves_of_one_path_are_an_error(tree):
    with pytest.raises(ValueError, match=r"Two leaves of the tree have the path '(a/b|b|a/1)': rename one"):
        jnn.flatten(tree)
    with pytest.raises(ValueError, match="Two leaves"):
        jnn.init(jax.tree.map(lambda _: Param((2,), normal(), ("embed",)), tree), KEY)


def test_flatten_and_map_paths_name_every_leaf():
    tree = {"a": {"b": 1, "c": [2, 3]}, "d": 4}
    assert jnn.flatten(tree) == {"a/b": 1, "a/c/0": 2, "a/c/1": 3, "d": 4}
    assert jnn.map_paths(lambda path, x, y: (path, x + y), tree, tree)["a"]["c"] == [("a/c/0", 4), ("a/c/1", 6)]


@pytest.mark.parametrize("axes", [{"x": 8}, {"x": 2, "y": 4}, {"x": 4, "y": 1}])
def test_init_on_a_mesh_gives_the_same_values_where_the_rules_say(axes):
    mesh = mesh_of(**axes)
    rules = {"embed": "x"} | ({"hidden": "y"} if "y" in axes else {})
    placed = jnn.init(spec_of(), KEY, mesh=mesh, rules=rules)
    assert_equal(placed, jnn.init(spec_of(), KEY))
    assert jax.tree.map(lambda x: x.sharding, placed) == jnn.shardings(spec_of(), mesh, rules)
    assert placed["fc"]["w"].addressable_shards[0].data.shape[0] == 64 // mesh.shape["x"]


@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
@pytest.mark.parametrize("stacked", [False, True])
def test_init_on_a_mesh_makes_every_shard_in_place(distribution, stacked):
    """Neither the outputs nor the temporaries of the compiled draw hold a full array on any device."""
    init = jnn.initializers.VarianceScaling(1.0, "fan_in", distribution)
    spec = {"fc": linear_spec(1024, 512, init=init, bias=False)}
    spec = jnn.stack(spec, 4) if stacked else spec
    mesh = mesh_of(x=8)
    compiled = jax.jit(lambda key: jnn.init(spec, key, mesh=mesh, rules={"embed": "x"})).lower(KEY).compile()
    memory, share = compiled.memory_analysis(), jnn.count_params(spec) * 4 // 8
    assert share <= memory.output_size_in_bytes < share + 1024
    assert memory.temp_size_in_bytes < 4 * share  # half of a full array; the random bits take three shares
    assert "1024,512]" not in compiled.as_text()
    assert "all-gather" not in compiled.as_text()


def test_abstract_is_what_init_returns():
    mesh = mesh_of(x=2, y=4)
    params = jnn.init(spec_of(), KEY, mesh=mesh, rules=RULES)
    for shape, x in zip(
        jax.tree.leaves(jnn.abstract(spec_of(), mesh=mesh, rules=RULES)), jax.tree.leaves(params), strict=True
    ):
        assert (shape.shape, shape.dtype, shape.sharding) == (x.shape, x.dtype, x.sharding)
    assert jax.tree.leaves(jnn.abstract(spec_of()))[0].sharding is None


def test_shardings_follow_the_names_alone():
    mesh = mesh_of(x=2, y=4)
    placed = jnn.shardings(spec_of(), mesh, RULES)
    assert placed["fc"]["w"] == NamedSharding(mesh, PartitionSpec("x", "y"))
    assert placed["deep"]["w"] == NamedSharding(mesh, PartitionSpec(None, "y", None))
    assert placed["heads"]["w"] == NamedSharding(mesh, PartitionSpec("x", None, None))


@pytest.mark.parametrize(
    ("rules", "paths"),
    [
        ({"embed": "z"}, ["fc/w (64, 33)", "heads/w (64, 4, 8)"]),
        ({"embed": "x", "hidden": "x"}, ["deep/w (3, 33, 33)", "fc/b (33,)", "fc/w (64, 33)"]),
        ({"wide": ("x", "y"), "heads": "x"}, ["deep/b (3, 33)", "deep/w (3, 33, 33)"]),
    ],
)
def test_shardings_name_every_parameter_that_cannot_be_placed(rules, paths):
    """An axis that the mesh lacks, one used twice, sizes that do not divide."""
    with pytest.raises(ValueError, match="cannot be sharded by the rules") as error:
        jnn.shardings(spec_of(hidden=33), mesh_of(x=2, y=4), rules)
    assert [line.strip().split(" with axes")[0] for line in str(error.value).splitlines()[1:]] == paths


def test_stack_layer_i_does_not_depend_on_n_and_layers_differ():
    two, five = (jnn.init(jnn.stack(linear_spec(8, 8, init=normal()), n), KEY)["w"] for n in (2, 5))
    np.testing.assert_array_equal(two, five[:2])
    assert len({x.tobytes() for x in np.asarray(five)}) == 5


def test_a_stack_of_stacks_draws_each_layer_apart():
    spec = jnn.stack(jnn.stack(linear_spec(4, 4), 3, axis="inner"), 2, axis="outer")
    assert spec["w"].axes == ("outer", "inner", "embed", "hidden")
    w = jnn.init(spec, KEY)["w"]
    assert w.shape == (2, 3, 4, 4)
    assert len({x.tobytes() for x in np.asarray(w).reshape(6, -1)}) == 6


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "change", [{"dtype": jnp.bfloat16}, {"init": he_normal}, {"init": ones}, {"init": jnn.initializers.orthogonal()}]
)
def test_a_stack_that_is_changed_is_drawn_as_the_stack_of_the_changed(change, times):
    """Law 1, and each layer as one layer: for replacements of dtype and init before and after stacking."""
    stacked = lambda spec: stacked_once(stacked_once(spec, "outer") if times == 2 else spec, "layers")
    stacked_once = lambda spec, axis: jnn.stack(spec, 3, axis=axis)
    changed = lambda spec: {**spec, "w": dataclasses.replace(spec["w"], **change)}
    spec = changed(stacked(linear_spec(8, 6)))
    params, shapes = jnn.init(spec, KEY), jnn.abstract(spec)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), params) == jax.tree.map(lambda s: (s.shape, s.dtype), shapes)
    assert_equal(params, jnn.init(stacked(changed(linear_spec(8, 6))), KEY))


def test_a_stack_along_a_name_that_is_taken_is_an_error():
    with pytest.raises(ValueError, match="distinct names"):
        jnn.stack(linear_spec(4, 4), 2, axis="embed")


@pytest.mark.parametrize("n", [1, 3])
def test_fans_go_by_name_inside_a_stack_too(n):
    """he_normal of (embed, heads, head) has variance 2 / embed, wherever the axes stand."""
    std = (2 / 256) ** 0.5
    for axes, shape in [
        (("embed", "heads", "head"), (256, 4, 64)),
        (("heads", "embed", "head"), (4, 256, 64)),
        (("heads", "head", "embed"), (4, 64, 256)),
    ]:
        spec = jnn.stack({"w": Param(shape, he_normal, axes, fan_in=("embed",), fan_out=("heads", "head"))}, n)
        w = np.asarray(jnn.init(spec, KEY)["w"])
        np.testing.assert_allclose(w.std(axis=(1, 2, 3)), std, rtol=0.02)
        np.testing.assert_allclose(w.mean(), 0, atol=4 * std / w.size**0.5)
    many = {
        "w": Param((4, 64, 256), he_normal, ("heads", "head", "embed"), fan_in=("heads", "head"), fan_out=("embed",))
    }
    np.testing.assert_allclose(jnn.init(many, KEY)["w"].std(), (2 / 256) ** 0.5, rtol=0.02)


def test_weights_marks_linear_maps_and_nothing_else():
    mask = jnn.weight_mask(spec_of() | {"norm": {"scale": Param((4,), ones, ("embed",))}})
    assert {path for path, counts in jnn.flatten(mask).items() if counts} == {"fc/w", "deep/w", "heads/w"}


def test_count_of_a_spec_and_of_its_params():
    assert (
        jnn.count_params(spec_of())
        == jnn.count_params(jnn.init(spec_of(), KEY))
        == 64 * 32 + 32 + 3 * (32 * 32 + 32) + 64 * 32
    )


def test_summary_is_a_table_with_totals():
    lines = jnn.summary(spec_of()).splitlines()
    assert lines[0].split() == ["path", "shape", "axes", "dtype", "count", "bytes"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert set(rows) == {*jnn.flatten(spec_of()), "total"}
    assert rows["heads/w"].split() == ["heads/w", "64x4x8", "embed", "heads", "head", "bfloat16", "2,048", "4,096"]
    count = jnn.count_params(spec_of())
    assert rows["total"].split() == ["total", f"{count:,}", f"{4 * count - 2 * 2048:,}"]


def test_summary_on_a_mesh_says_what_each_device_holds():
    lines = jnn.summary(spec_of(), mesh=mesh_of(x=2, y=4), rules=RULES).splitlines()
    assert lines[0].split()[-1] == "bytes/device"
    held = {line.split()[0]: line.split()[-1] for line in lines[1:]}
    params = jnn.flatten(jnn.init(spec_of(), KEY, mesh=mesh_of(x=2, y=4), rules=RULES))
    for path, x in params.items():
        assert held[path] == f"{x.addressable_shards[0].data.nbytes:,}"
    assert held["total"] == f"{sum(x.addressable_shards[0].data.nbytes for x in params.values()):,}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Param((2, 3), zeros, ("a",)), r"shape \(2, 3\) needs 2 distinct names, not \('a',\)"),
        (lambda: Param((2, 2), zeros, ("a", "a")), "needs 2 distinct names"),
        (
            lambda: Param((2,), zeros, ("a",), fan_in=("b",)),
            r"fans name \['b'\], which are not among its axes \('a',\)",
        ),
        (lambda: jnn.init({"w": Param((2,), he_normal, ("a",))}, KEY), r"needs fans, but the Param with axes \('a',\)"),
        (lambda: Param((2, 2), zeros, ("a", "b"), fan_in=("a",), receptive=("a",)), "share a name"),
        (lambda: Param((2, 2), zeros, ("a", "b"), fan_in=("a",), stacked=1), r"\['a'\], which are not among its axes"),
        (lambda: jnn.stack(linear_spec(2, 2), -1), r"found shape \(-1, 2, 2\)|found shape \(-1, 2\)"),
        (
            lambda: jnn.init({"w": Param((2,), lambda *_: jnp.ones(3), ("a",))}, KEY),
            r"init returned shape \(3,\), declared is \(2,\)",
        ),
        (lambda: jnn.init({"w": Param((2,), ones, ("a",), np.float64)}, KEY), "float64, while JAX is set to 32 bits"),
    ],
)
def test_a_bad_declaration_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_error_of_a_draw_says_where():
    with pytest.raises(ValueError, match="needs fans") as error:
        jnn.init({"deep": {"w": Param((2,), he_normal, ("a",))}}, KEY)
    assert error.value.__notes__[0] == "while drawing deep/w (2,)"


SPEC, PARAMS = linear_spec(3, 2), {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jnn.init(SPEC, 0), r"init: expected one PRNG key, found 0\. jax.random.key\(0\) makes one"),
        (lambda: jnn.init(SPEC, -1), "init: expected one PRNG key, found -1"),
        (lambda: jnn.init(SPEC, None), "init: expected one PRNG key, found None"),
        (lambda: jnn.init(SPEC, jnp.array(3)), r"init: expected one PRNG key, found int32\[\]"),
        (lambda: jnn.init(SPEC, jax.random.split(KEY, 4)), r"found key<fry>\[4\].* for several keys, jax.vmap"),
        (lambda: jnn.path_key(0, "a"), "path_key: expected one PRNG key, found 0"),
        (lambda: jnn.init(PARAMS, KEY), r"init: expected a spec, found ArrayImpl at 'b'"),
        (lambda: jnn.summary(PARAMS), r"summary: expected a spec, found ArrayImpl at 'b'\..* jnn.spec_of\(params\)"),
        (lambda: jnn.weight_mask(PARAMS), "weights: expected a spec"),
        (lambda: jnn.abstract(PARAMS), "abstract: expected a spec"),
        (lambda: jnn.stack(PARAMS, 2), "stack: expected a spec"),
        (lambda: jnn.shardings(PARAMS, mesh_of(x=8), {}), "shardings: expected a spec"),
        (lambda: jnn.load(PARAMS, PARAMS), "load: expected a spec"),
        (lambda: jnn.load(SPEC, SPEC), r"load: expected arrays, found a Param at 'b'\. jnn.init"),
        (lambda: jnn.init({"w": Param((2,), lambda *_: jnp.ones(2), ("a",), jnp.int32)}, KEY), "init returned float32"),
    ],
)
def test_what_is_no_spec_or_no_key_is_one_clear_error(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: jnn.layers.linear(SPEC, jnp.ones((2, 3))),
        lambda: jnn.models.transformer(jnn.models.transformer_spec(5, 4, layers=1, heads=1, embed=2), KEY, key=None),
        lambda: jnn.layers.layer_norm(jnn.layers.layer_norm_spec(3), jnp.ones((2, 3))),
    ],
)
def test_a_spec_where_params_belong_says_what_to_do(call):
    with pytest.raises((AttributeError, TypeError), match=r"params = jnn\.init\(spec|expected integers"):
        call()


def test_a_declaration_is_copied_and_pickled():
    param = Param((2,), ones, ("embed",))
    assert copy.deepcopy(param) == pickle.loads(pickle.dumps(param)) == param


def test_the_keys_of_both_styles_draw_the_same():
    assert_equal(jnn.init(SPEC, jax.random.PRNGKey(3)), jnn.init(SPEC, jax.random.key(3)))


def test_zero_sizes_are_drawn_stacked_and_counted():
    spec = {"none": linear_spec(0, 3), "no_layers": jnn.stack(linear_spec(2, 3), 0), "fc": linear_spec(2, 3)}
    params = jnn.init(spec, KEY)
    assert params["none"]["w"].shape == (0, 3)
    assert params["no_layers"]["b"].shape == (0, 3)
    assert jnn.count_params(params) == jnn.count_params(spec) == 3 + 2 * 3 + 3
    assert_equal(jnn.load(spec, params), params)
