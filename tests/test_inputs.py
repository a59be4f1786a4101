"""What is given in the place of arrays and params, over the table: refused by one sentence that says what to type.

And sizes: of none, refused as clearly; unknown ones (`jax.export` with a symbolic batch and time),
the plain call's answer.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.checks import ELSEWHERE, is_quantized
from tests.laws import assert_close, loss_table
from tests.table import BLOCKS

DECLARED = [row for row in BLOCKS if row.spec]
declared_table = pytest.mark.parametrize("layer", DECLARED, ids=lambda row: row.name)


def zeros_of(layer):
    """Params without a draw: what they hold doesn't matter to what is refused."""
    return jax.tree.map(lambda s: jnp.asarray(np.zeros(s.shape, s.dtype)), jnn.abstract(layer.spec))


@declared_table
def test_a_spec_is_refused_where_params_belong(layer):
    with pytest.raises(TypeError, match=r"That is a spec; make params of it: params = jnn.init\(spec, "):
        layer.apply(layer.spec, *layer.inputs(2), key=None)


def renamed(tree):
    """The tree as another library would name its leaves."""
    if isinstance(tree, list):
        return [renamed(part) for part in tree]
    inner = lambda part: isinstance(part, dict | list) and not is_quantized(part)
    return {
        ELSEWHERE[name][0] if name in ELSEWHERE and not inner(part) else name: renamed(part) if inner(part) else part
        for name, part in tree.items()
    }


@declared_table
def test_names_of_another_library_are_refused_by_name(layer):
    with pytest.raises(ValueError, match=r": expected params.*; found '\w+', which is '\w+' here. Rename it"):
        layer.apply(renamed(zeros_of(layer)), *layer.inputs(2), key=None)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, torch.tensor, lambda x: (jnp.asarray(x), {})])
@pytest.mark.parametrize("layer", [row for row in BLOCKS if row.name != "cached_attention"], ids=lambda row: row.name)
def test_lists_tensors_and_tuples_are_refused_where_arrays_belong(layer, convert):
    first, *rest = (np.asarray(x) for x in layer.inputs(2))
    with pytest.raises(TypeError, match=r"expected an array for .*, found (list|torch.Tensor|tuple)\. .*(jnp.asarray)"):
        layer.apply(zeros_of(layer), convert(first), *rest, key=None)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, torch.tensor])
@pytest.mark.parametrize("which", [0, 1])
@loss_table
def test_losses_refuse_lists_and_tensors(loss, convert, which):
    inputs = [np.asarray(x) for x in loss.inputs(2)]
    inputs[which] = convert(inputs[which])
    with pytest.raises(TypeError, match=r"expected an array for .*, found (list|torch.Tensor)\. .*jnp.asarray"):
        loss.apply(*inputs)


@pytest.mark.parametrize("layer", BLOCKS, ids=lambda block: block.name)
def test_no_rows_and_no_steps_are_one_clear_error(layer):
    for empty in range(min(2, layer.inputs(2)[0].ndim)):
        inputs = [np.asarray(x) for x in layer.inputs(2)]
        inputs = [x[:, :0] if empty and i == 0 else x if empty else x[:0] for i, x in enumerate(inputs)]
        with pytest.raises(ValueError, match=r"^[\w: ]+: (expected|its parameters expect) "):
            layer.apply(zeros_of(layer), *map(jnp.asarray, inputs), key=None)


@loss_table
def test_losses_of_no_rows_are_one_clear_error(loss):
    with pytest.raises(ValueError, match=r": expected at least one example, found the empty array"):
        loss.apply(*(x[:0] for x in loss.inputs(2)))


def exported(f, params, shapes):
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)
    lowered = jax.export.export(jax.jit(f))(abstract, *shapes)
    return lambda *arrays: lowered.call(params, *arrays)


@pytest.mark.parametrize("layer", BLOCKS, ids=lambda block: block.name)
def test_a_batch_of_unknown_size_is_exported(layer):
    """Lowered for every row; compiled for none: what is called is below."""
    (b,) = jax.export.symbolic_shape("b")
    shapes = [jax.ShapeDtypeStruct((b, *x.shape[1:]), x.dtype) for x in layer.inputs(2)]
    exported(lambda p, *x: layer.apply(p, *x, key=None), jnn.abstract(layer.spec), shapes)


@loss_table
def test_a_loss_of_an_unknown_batch_is_exported(loss):
    (b,) = jax.export.symbolic_shape("b")
    shapes = [jax.ShapeDtypeStruct((b, *x.shape[1:]), x.dtype) for x in loss.inputs(2)]
    call = exported(lambda p, *x: loss.apply(*x), {}, shapes)
    both = jax.jit(lambda *x: (call(*x), loss.apply(*x)))
    for n in (1, 3):
        assert_close(*both(*loss.inputs(n)))


IN_TIME = [
    row
    for row in BLOCKS
    if row.name
    in ("conv-1d", "embed", "attention", "attention-causal-grouped", "attention-window-rotary", "attention-cross",
        "cached_attention", "rnn-gru", "rnn-lstm", "bidirectional-lstm-lengths", "stacked-rnn", "transformer",
        "transformer-rotary-grouped", "recurrent_classifier")
]  # fmt: skip


@pytest.mark.parametrize("layer", IN_TIME, ids=lambda row: row.name)
def test_time_of_unknown_length_is_exported(layer):
    b, t = jax.export.symbolic_shape("b,t", constraints=["t<=6"])  # a table of positions, or a cache, has an end
    first, *rest = layer.inputs(2)
    shapes = [jax.ShapeDtypeStruct((b, t, *first.shape[2:]), first.dtype)]
    shapes += [jax.ShapeDtypeStruct((b, *x.shape[1:]), x.dtype) for x in rest]
    exported(lambda p, *x: layer.apply(p, *x, key=None), jnn.abstract(layer.spec), shapes)


@pytest.mark.parametrize("name", ["conv-2d", "batch_norm", "attention-window-rotary", "experts", "rnn-lstm"])
def test_an_exported_layer_is_the_plain_one_at_two_sizes(name):
    layer = next(row for row in BLOCKS if row.name == name)
    (b,) = jax.export.symbolic_shape("b")
    shapes = [jax.ShapeDtypeStruct((b, *x.shape[1:]), x.dtype) for x in layer.inputs(2)]
    plain = lambda p, *x: layer.apply(p, *x, key=None)
    params = layer.params
    call = exported(plain, params, shapes)
    both = jax.jit(lambda *x: (call(*x), plain(params, *x)))
    for n in (1, 3):
        assert_close(*both(*layer.inputs(n)))


def test_cached_attention_refuses_lists_specs_and_caches_that_are_none():
    p = jnn.init(jnn.layers.attention_spec(4, 2), jax.random.key(0))
    cache = jnn.layers.attention_cache(p, 3)
    with pytest.raises(TypeError, match="cached_attention: expected an array for x, found list"):
        jnn.layers.cached_attention(p, [[1.0] * 4], cache)
    with pytest.raises(
        TypeError, match="cached_attention: expected cache, a dict with 'k', 'v', 'next'; found NoneType"
    ):
        jnn.layers.cached_attention(p, jnp.ones((1, 4)), None)
    with pytest.raises(TypeError, match=r"attention_cache: expected an array for .* That is a spec"):
        jnn.layers.attention_cache(jnn.layers.attention_spec(4, 2), 3)


X, KEY = jnp.ones((2, 4)), jax.random.key(0)
LINEAR = {"w": jnp.ones((4, 3)), "b": jnp.ones(3)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jnn.layers.linear(X, LINEAR), TypeError, r"They come first: linear\(params, x\)"),
        (lambda: jnn.layers.linear({"fc": LINEAR}, X), ValueError, r"found the names \['fc'\]. .*: params\['fc'\]"),
        (lambda: jnn.layers.linear({"w": LINEAR["w"], "bias": LINEAR["b"]}, X), ValueError, "'bias', which is 'b'"),
        (lambda: jnn.layers.layer_norm({"weight": X[0], "bias": X[0]}, X), ValueError, "'weight', which is 'scale'"),
        (lambda: jnn.layers.linear({"w": [[1.0]]}, X), TypeError, r"expected an array for params\['w'\], found list"),
        (lambda: jnn.layers.linear(LINEAR, X.T), ValueError, r"\[...,4\], .* last: jnp.moveaxis\(x, 0, -1\)"),
        (lambda: jnn.layers.linear_spec((4, 4, 32), 10), ValueError, r"each of 4 axes .* linear\(p, x, in_axes=3\)"),
        (lambda: jnn.layers.linear({"w": jnp.ones((2, 4, 3))}, X), ValueError, "fit with in_axes=2, found 1"),
        (lambda: jnn.layers.batch_norm({}, X, jnn.layers.batch_norm_stats_spec(4)), TypeError, "That is a spec"),
        (lambda: jnn.layers.dropout(X, 0.5, key=0), TypeError, r"one PRNG key, or None for no noise, found 0\."),
        (lambda: jnn.layers.dropout(X, 0.5, key=jax.random.split(KEY)), TypeError, r"one PRNG.*key\[0\]"),
        (lambda: jnn.layers.dropout(X, "0.5", key=None), TypeError, r"expected a number rate .* found str"),
        (lambda: jnn.layers.dot_product_attention(X, X, X), ValueError, "attention: q: expected an array of rank 3"),
        (lambda: jnn.layers.dot_product_attention(X[None], X[None], X[None, :, :2]), ValueError, "expected q .* v flo"),
        (lambda: jnn.losses.cross_entropy(X, X), TypeError, r"soft_cross_entropy\(logits, targets\)"),
        (lambda: jnn.losses.cross_entropy(X, X.astype(int)), TypeError, r"soft_cross_entropy\(logits, targets\)"),
        (lambda: jnn.losses.cross_entropy(X, jnp.zeros(2)), TypeError, r"Cast it: labels.astype\(jnp.int32\)"),
        (lambda: jnn.losses.cross_entropy(X, jnp.zeros((2, 1), int)), ValueError, r"labels\[..., 0\]"),
        (lambda: jnn.losses.cross_entropy(jnp.zeros(2, int), X), TypeError, "logits come first"),
        (lambda: jnn.losses.squared_error(X[:, :1], X[:, 0]), ValueError, r"targets\[..., None\]"),
        (lambda: jnn.losses.l2(LINEAR, jnn.layers.linear_spec(4, 3)), TypeError, r"the spec first, l2\(spec, params\)"),
    ],
)  # fmt: skip
def test_what_is_found_what_is_expected_and_what_to_type(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_the_errors_advise_works():
    labels = jnp.array([0, 2])
    hot = jax.nn.one_hot(labels, 4, dtype=jnp.int32)
    for targets in (hot, hot == 1, hot.astype(jnp.bfloat16)):
        np.testing.assert_allclose(jnn.losses.soft_cross_entropy(X, targets), jnn.losses.cross_entropy(X, labels), 1e-6)
    w = jnn.layers.linear_spec((2, 4), 3, axes=("in0", "in1", "out0"))["w"]
    assert jnn.layers.linear({"w": jnp.ones(w.shape)}, X, in_axes=2).shape == (3,)


@pytest.mark.parametrize("padding", [1, (1, 1), [(1, 1), (1, 1)]])
def test_padding_as_in_torch(padding):
    conv = {"w": jnp.ones((3, 3, 2, 5))}
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 6, 7, 2)), jnp.float32)
    same = jnn.layers.conv(conv, x, padding="same")
    np.testing.assert_array_equal(jnn.layers.conv(conv, x, padding=padding), same)
    theirs = torch.nn.functional.max_pool2d(torch.tensor(np.moveaxis(x, -1, 1)), 3, stride=1, padding=1)
    np.testing.assert_allclose(
        jnn.layers.max_pool(x, (3, 3), stride=1, padding=padding), np.moveaxis(theirs.numpy(), 1, -1)
    )
    torch_weight = torch.tensor(np.ones((2, 5, 3, 3), np.float32))
    theirs = torch.nn.functional.conv_transpose2d(
        torch.tensor(np.moveaxis(x, -1, 1)), torch_weight, stride=2, padding=1
    )
    ours = jnn.layers.conv_transpose(conv, x, stride=2, padding=padding)
    np.testing.assert_allclose(ours, np.moveaxis(theirs.numpy(), 1, -1), rtol=1e-5, atol=1e-5)


def test_numbers_that_are_traced_are_what_they_are():
    """Schedules of a rate, a temperature, smoothing; what doesn't fit is NaN, and an error where it is known."""
    key, labels = jax.random.key(0), jnp.array([0, 2])
    logits = jax.random.normal(jax.random.key(1), (2, 4))
    for f, good, bad in [
        (lambda r: jnn.layers.dropout(logits, r, key=key), (0.0, 0.5), (1.0, -0.1)),
        (lambda r: jnn.activations.gumbel_softmax(logits, r, key=key), (0.5, 1.0), (0.0, -1.0)),
        (lambda r: jnn.losses.cross_entropy(logits, labels, smoothing=r), (0.0, 0.1), (1.0, -0.1)),
        (lambda r: jnn.losses.huber_loss(logits, 0 * logits, delta=r), (0.5, 1.0), (0.0,)),
    ]:
        traced = jax.jit(f)
        for value in good:
            np.testing.assert_allclose(traced(value), f(value), rtol=1e-6)
            np.testing.assert_allclose(f(jnp.float32(value)), f(value), rtol=1e-6)
        for value in bad:
            assert jnp.isnan(traced(value)).any()
            with pytest.raises(ValueError, match=r": expected \w+.* (in \[0, 1\)|> 0), found"):
                f(value)
    assert (
        jax.jit(lambda x, r: jnn.layers.dropout(x, r, key=key))(logits.astype(jnp.bfloat16), 0.5).dtype == jnp.bfloat16
    )


LEVELS, STEPS = jnp.array([0.2, 0.9]), jnp.ones((2, 4))
MAPS = jnp.array([[[0.2], [0.9]]]), jnp.array([[[0.0], [1.0]]])


@pytest.mark.parametrize(
    ("f", "bad"),
    [
        (lambda r: jnn.losses.min_snr_weight(LEVELS, predict="x0", most=r), 0.0),
        (lambda r: jnn.losses.p2_weight(LEVELS, predict="noise", offset=r), -0.5),
        (lambda r: jnn.losses.p2_weight(LEVELS, predict="noise", power=r), -1.0),
        (lambda r: jnn.losses.vtrace(STEPS[:, 1:], STEPS[:, 1:], STEPS, STEPS[:, 1:], most=r)[0], -1.0),
        (lambda r: jnn.losses.vtrace(STEPS[:, 1:], STEPS[:, 1:], STEPS, STEPS[:, 1:], most_trace=r)[0], -1.0),
        (lambda r: jnn.losses.tversky_loss(*MAPS, spatial=1, false_positives=r), -0.1),
        (lambda r: jnn.losses.dice_loss(*MAPS, spatial=1, smooth=r), -0.1),
        (lambda r: jnn.losses.ssim_loss(*(jnp.ones((12, 12, 1)) * x for x in (0.2, 0.3)), peak=r), -1.0),
    ],
)
def test_a_traced_number_that_is_checked_is_what_is_used(f, bad):
    traced = jax.jit(f)
    np.testing.assert_allclose(traced(0.7), f(0.7), rtol=1e-5)
    assert jnp.isnan(traced(bad)).any()
    with pytest.raises(ValueError, match=r": expected \w+ >=? 0, found"):
        f(bad)
