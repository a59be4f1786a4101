"""Parameters on a mesh: the same values, each shard made in place, where the rules say; and in the abstract."""

import subprocess
import sys

import jax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jnn
from jnn.layers import linear_spec
from tests.param.specs import KEY, RULES, assert_equal, mesh_of, spec_of


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


@pytest.mark.slow
def test_draws_by_lapack_do_not_wait_for_each_other():
    """As many devices as the pool has threads would, where each draws all: in a process that can be killed."""
    script = "; ".join(
        [
            "import jax, jnn",
            "jax.config.update('jax_num_cpu_devices', 8)",
            "spec = {str(i): jnn.layers.linear_spec(256, 256, init=jnn.initializers.orthogonal()) for i in range(16)}",
            "jax.block_until_ready(jnn.init(spec, jax.random.key(0), mesh=jax.make_mesh((8,), ('data',))))",
        ]
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=240).returncode == 0


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
