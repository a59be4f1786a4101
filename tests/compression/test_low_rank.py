"""Weights of low rank: NumPy's singular values, nearest in weights or in outputs, read by `linear` as a product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import layers, models
from jnn.compression import low_rank, low_rank_spec
from jnn.compression._low_rank import _declared_all
from jnn.finetune import lora_spec, merge_lora, with_lora
from jnn.layers import conv, dequantize_weight, factor_weight, linear, linear_spec, weight_shape
from jnn.param import misfits
from tests.finetune.test_read import every_map, found, is_read, zeros
from tests.oracle import assert_matches_torch, configurations

BARE = linear_spec(9, 9, bias=False)


def truncated(w, rank):
    u, s, v = np.linalg.svd(w, full_matrices=False)
    return (u[:, :rank] * s[:rank]) @ v[:rank]


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_of_all_maps_of_that_rank_it_is_the_nearest(rng):
    """In weights NumPy's truncated decomposition; in outputs the truncated one of what inputs make of them."""
    ins, outs = rng.integers(1, 4, 2).tolist(), rng.integers(1, 4, 2).tolist()
    d, e, n = int(np.prod(ins)), int(np.prod(outs)), 20
    w, x = rng.normal(size=(*ins, *outs)), rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    rank = int(rng.integers(1, min(d, e) + 1))
    with jax.enable_x64(True):
        plain = factor_weight(jnp.asarray(w), rank, in_axes=2)
        aware = factor_weight(jnp.asarray(w), rank, in_axes=2, second_moment=jnp.asarray(x.T @ x / n))
        assert weight_shape(plain) == w.shape
        near, nearer = (np.asarray(dequantize_weight(q)).reshape(d, e) for q in (plain, aware))
    flat = w.reshape(d, e)
    np.testing.assert_allclose(near, truncated(flat, rank), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(x @ nearer, truncated(x @ flat, rank), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_linear_reads_it_as_the_product(rng):
    d, r, e = rng.integers(1, 6, 3).tolist()
    arrays = [rng.normal(size=shape) for shape in ((4, d), (d, r), (r, e), (e,))]
    ours = lambda x, down, up, b: linear({"w": {"down": down, "up": up}, "b": b}, x)
    assert_matches_torch(ours, lambda x, down, up, b: x @ (down @ up) + b, arrays)


def test_stacked_layers_and_maps_of_several_axes_are_factored_each():
    spec = {"blocks": jnn.stack({"attention": layers.attention_spec(8, 2)}, 3), "out": linear_spec(8, 8)}
    p = jnn.init(spec, jax.random.key(0))
    small, declared = low_rank(p, spec, where=["blocks/*", "out/w"], rank=3)
    assert misfits(jnn.flatten(small), jnn.flatten(declared)) == []
    assert jax.tree.map(lambda x: x.shape, jnn.abstract(declared)) == jax.tree.map(
        lambda x: x.shape, jnn.abstract(low_rank_spec(spec, 3))
    )
    q = small["blocks"]["attention"]["q"]["w"]
    for i in range(3):
        w = np.asarray(p["blocks"]["attention"]["q"]["w"][i]).reshape(8, 8)
        mine = np.asarray(dequantize_weight(jax.tree.map(lambda x, i=i: x[i], q))).reshape(8, 8)
        np.testing.assert_allclose(mine, truncated(w, 3), atol=1e-5)
    apply = lambda p, x: layers.scan_layers(
        lambda p, x, key, _: layers.attention(p["attention"], x), p["blocks"], x, "time", "embed"
    )
    each = jax.vmap(dequantize_weight)
    whole = jax.tree.map(each, small["blocks"], is_leaf=lambda w: isinstance(w, dict) and "down" in w)
    x = jax.random.normal(jax.random.key(1), (2, 5, 8))
    np.testing.assert_allclose(apply(small, x), apply({"blocks": whole}, x), rtol=1e-4, atol=1e-5)


def test_stacked_layers_have_moments_of_their_own():
    spec, rng = jnn.stack(linear_spec(8, 6, bias=False), 2), np.random.default_rng(0)
    w, x = rng.normal(size=(2, 8, 6)).astype("f"), rng.normal(size=(2, 40, 8)).astype("f")
    moments = np.einsum("lri,lrj->lij", x, x)
    q, _ = low_rank({"w": w}, spec, rank=2, second_moments={"w": jnp.asarray(moments)})
    for i in range(2):
        alone = factor_weight(jnp.asarray(w[i]), 2, second_moment=jnp.asarray(moments[i]))
        found = dequantize_weight(jax.tree.map(lambda leaf, i=i: leaf[i], q["w"]))
        np.testing.assert_allclose(found, dequantize_weight(alone), rtol=1e-3, atol=1e-4)


def test_the_rank_is_the_least_that_keeps_the_energy():
    values = np.array([4.0, 2.0, 1.0, 0.5, 0.2])
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.normal(size=(20, 20)))[0][:, :5] for _ in range(2))
    p, spec = {"w": jnp.asarray((u * values) @ v.T, jnp.float32)}, linear_spec(20, 20, bias=False)
    share = np.cumsum(values**2) / (values**2).sum()
    for rank in range(1, 5):
        small, _ = low_rank(p, spec, energy=float(share[rank - 1]) - 1e-4)
        assert small["w"]["down"].shape == (20, rank)
    assert low_rank(p, spec, energy=0.99999)[0]["w"]["down"].shape == (20, 5)


def test_what_two_maps_would_not_make_smaller_stays():
    spec = models.mlp_spec((16, 8, 2))
    p = jnn.init(spec, jax.random.key(0))
    small, declared = low_rank(p, spec, rank=2)
    assert small["fc1"]["w"] is p["fc1"]["w"]
    assert jnn.count_params(declared) < jnn.count_params(spec)
    same, unchanged = low_rank(p, spec, rank=8)
    assert jax.tree.leaves(same)[1] is jax.tree.leaves(p)[1]
    assert unchanged == spec
    values = jnn.init(low_rank_spec(spec, 2), jax.random.key(1))
    assert dequantize_weight(values["fc0"]["w"]).std() == pytest.approx(np.sqrt(2 / 16), rel=0.5)


def test_a_lora_stands_beside_it_and_is_not_merged():
    spec = linear_spec(8, 8)
    small, declared = low_rank(jnn.init(spec, jax.random.key(0)), spec, rank=2)
    lora = jax.tree.map(lambda p: jnp.ones(p.shape), lora_spec(spec, 1, where="w"))
    x = jnp.ones((1, 8))
    plus = linear(with_lora(small, lora), x) - linear(small, x)
    np.testing.assert_allclose(plus, 8 * jnp.ones((1, 8)), rtol=1e-5)
    with pytest.raises(ValueError, match="merge_weight: found a LoRA beside a weight of low rank"):
        merge_lora(small, lora)
    assert jnn.weight_mask(declared) == {"b": False, "w": {"down": True, "up": True}}


@every_map
def test_every_product_is_read_or_refused(block):
    for path in jnn.param.linear_maps("test", block.spec):
        small = zeros(_declared_all(block.spec, {path: 1}))  # whether or not rank 1 is smaller
        assert is_read(found(block, lambda small=small: small), "a product of two"), path


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: low_rank({}, linear_spec(3, 3)), ValueError, "one of rank and energy, found rank=None"),
        (lambda: low_rank({"w": jnp.ones((3, 3))}, linear_spec(3, 3), energy=2.0), ValueError, "energy over 0 and at"),
        (
            lambda: low_rank(
                {"w": jnp.ones((9, 9))}, linear_spec(9, 9, bias=False), rank=1, second_moments={"fc/w": 1}
            ),
            ValueError,
            "a second moment of 'fc/w', which is no linear map. There are: w",
        ),
        (
            lambda: low_rank({"w": jnp.ones((9, 9))}, BARE, rank=1.5),
            ValueError,
            "rank of 1 or more, found 1.5, which is",
        ),
        (lambda: low_rank({"w": jnp.ones((9, 9))}, BARE, energy="all"), TypeError, "expected a number energy"),
        (
            lambda: low_rank({"w": jnp.ones((9, 9))}, BARE, rank=1, second_moments=jnp.eye(9)),
            TypeError,
            r"expected second moments by path, a dict, found float32\[9,9\]",
        ),
        (lambda: low_rank({"w": jnp.ones((8, 9))}, BARE, rank=1), ValueError, r"w \(9, 9\), as the spec declares it"),
        (lambda: low_rank_spec(linear_spec(3, 3), 0), ValueError, "expected rank of 1 or more"),
        (lambda: low_rank_spec(layers.conv_spec(3, 3, (1,)), 1), ValueError, "no linear map fits"),
        (lambda: factor_weight(jnp.ones((3, 2)), 3), ValueError, r"a rank of at most 2 of \(3, 2\), found 3"),
        (lambda: factor_weight(jnp.ones((3, 2)), 1, second_moment=jnp.eye(2)), ValueError, r"a second moment \(3, 3\)"),
        (
            lambda: conv({"w": {"down": jnp.ones((3, 1)), "up": jnp.ones((1, 2))}}, jnp.ones((4, 3))),
            ValueError,
            "conv: expected an array for params.*, found a product of two",
        ),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
