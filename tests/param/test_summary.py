"""What is told of a spec: which are weights, how many numbers, and a table with totals."""

import jnn
from jnn import Param
from jnn.initializers import ones
from jnn.layers import linear_spec
from tests.param.specs import KEY, RULES, assert_equal, mesh_of, spec_of


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


def test_zero_sizes_are_drawn_stacked_and_counted():
    spec = {"none": linear_spec(0, 3), "no_layers": jnn.stack(linear_spec(2, 3), 0), "fc": linear_spec(2, 3)}
    params = jnn.init(spec, KEY)
    assert params["none"]["w"].shape == (0, 3)
    assert params["no_layers"]["b"].shape == (0, 3)
    assert jnn.count_params(params) == jnn.count_params(spec) == 3 + 2 * 3 + 3
    assert_equal(jnn.load(spec, params), params)
