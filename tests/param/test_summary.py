"""What is told of a spec: which are weights, and matrices, how many numbers, and a table with totals."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn import Param
from jnn.initializers import ones
from jnn.layers import attention_spec, conv_spec, depthwise_conv_spec, linear_spec
from jnn.models import transformer_spec
from tests.param.specs import KEY, RULES, assert_equal, mesh_of, spec_of

VOCAB = ("embed", "vocab")


def test_weights_marks_linear_maps_and_nothing_else():
    mask = jnn.weight_mask(spec_of() | {"norm": {"scale": Param((4,), ones, ("embed",))}})
    assert {path for path, counts in jnn.flatten(mask).items() if counts} == {"fc/w", "deep/w", "heads/w"}


def muon_updates(spec, gradients):
    """Muon's updates of matrices, by path: what they become with a learning rate of 1."""
    numbers = jnn.muon_dimension_numbers(spec)
    optimizer = optax.contrib.muon(1.0, muon_weight_dimension_numbers=numbers, consistent_rms=1.0)
    params = jax.tree.map(jnp.zeros_like, gradients)
    run = jax.jit(lambda gradients: optimizer.update(gradients, optimizer.init(params), params)[0])
    return jnn.flatten(run(gradients))


def test_muon_orthogonalizes_each_matrix_of_each_layer_by_itself():
    spec = attention_spec(8, 2)
    gradients = jax.tree.map(lambda p: jax.random.normal(KEY, (3, *p.shape)), spec)
    together = muon_updates(jnn.stack(spec, 3), gradients)
    alone = [muon_updates(spec, jax.tree.map(lambda g, i=i: g[i], gradients)) for i in range(3)]
    for path, found in together.items():
        np.testing.assert_allclose(found, np.stack([one[path] for one in alone]), rtol=1e-4, atol=1e-5)
        if path.endswith("/w"):  # as large as the square root of its larger side, in every direction
            stretch = np.linalg.svd(np.reshape(found, (3, 8, 8)), compute_uv=False) / np.sqrt(8)
            assert (stretch > 0.3).all()
            assert (stretch < 1.5).all()


def test_muon_is_for_matrices_between_features_alone():
    models = {"decoder": transformer_spec(11, 6, layers=2, heads=2, embed=8), "out": linear_spec(8, 11, axes=VOCAB)}
    models |= {"conv": conv_spec(2, 4, (3,)), "depthwise": depthwise_conv_spec(2, (3,))}
    numbers = jnn.muon_dimension_numbers(models)
    of = {path: _at(numbers, path) for path in jnn.flatten(models)}
    matrices = {path for path, n in of.items() if n is not None}
    maps = ["attention/q", "attention/k", "attention/v", "attention/o", "up", "down"]
    assert matrices == {"conv/w", *(f"decoder/blocks/{name}/w" for name in maps)}
    assert of["conv/w"] == ((0, 1), (2,))
    assert of["decoder/blocks/attention/o/w"] == ((1, 2), (3,))


def _at(tree, path):
    for name in path.split("/"):
        tree = tree[name]
    return tree


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
