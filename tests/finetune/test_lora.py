"""LoRA and DoRA: begin as the identity, merge, train and are saved alone, over floats and over integers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jnn
from jnn.data import read_safetensors, write_safetensors
from jnn.finetune import (
    dora_spec,
    load_lora,
    lora_arrays,
    lora_spec,
    merge_lora,
    with_lora,
    with_parts,
)
from jnn.initializers import ones
from jnn.interop.torch import load_state_dict, lora_names
from jnn.layers import attention_spec, linear, linear_spec, scan_layers
from jnn.models import transformer_block_spec
from jnn.quantization import dequantize, quantize, quantize_spec
from jnn.train import LossOutput, create_state, make_step

SPEC = {"blocks": jnn.stack({"attention": attention_spec(8, 2, kv_heads=1)}, 3), "out": linear_spec(8, 4)}
BASE = jnn.init(SPEC, jax.random.key(0))
X = jax.random.normal(jax.random.key(1), (2, 5, 8))
DECLARED = {"lora": lora_spec, "dora": dora_spec}
KEY = jax.random.key(2)


@jax.jit
def model(p, x=X):
    """Maps of several axes, stacked, for which their names are those of attention."""
    mixed = lambda p, x: linear(p["o"], linear(p["q"], x) + linear(p["v"], x), in_axes=2)
    x = scan_layers(lambda p, x, key, _: x + jnp.tanh(mixed(p["attention"], x)), p["blocks"], x, "time", "embed")
    return linear(p["out"], x)


def moved(spec):
    """Parts as they may be after some training."""
    rng = np.random.default_rng(0)
    draw = lambda param: jnp.asarray((param.init is ones) + rng.normal(scale=0.4, size=param.shape), jnp.float32)
    return jax.tree.map(draw, spec)


@pytest.mark.parametrize("kind", ["dora", pytest.param("lora", marks=pytest.mark.slow)])
def test_a_model_begins_as_it_was_and_merges_to_what_it_has_become(kind):
    spec = DECLARED[kind](SPEC, 2, where="*")
    np.testing.assert_array_equal(model(with_lora(BASE, jnn.init(spec, KEY), alpha=4)), model(BASE))
    lora = moved(spec)
    unmerged, merged = model(with_lora(BASE, lora, alpha=4)), jax.jit(partial(merge_lora, alpha=4))(BASE, lora)
    assert jax.tree.structure(merged) == jax.tree.structure(BASE)
    np.testing.assert_allclose(model(merged), unmerged, rtol=2e-5, atol=2e-5)
    assert abs(unmerged - model(BASE)).max() > 0.1


@pytest.mark.parametrize("bits", [8, pytest.param(4, marks=pytest.mark.slow)])
def test_over_integers_it_is_as_over_what_they_stand_for(bits):
    lora, q = moved(dora_spec(SPEC, 2)), quantize(BASE, SPEC, bits=bits, group=4)
    plain = jax.jit(dequantize)(q)
    np.testing.assert_allclose(model(with_lora(q, lora)), model(with_lora(plain, lora)), rtol=2e-5, atol=2e-5)
    merged = merge_lora(q, lora)
    assert merged["blocks"]["attention"]["q"]["w"].dtype == jnp.float32
    assert merged["blocks"]["attention"]["k"]["w"]["scales"] is q["blocks"]["attention"]["k"]["w"]["scales"]


def test_it_is_trained_alone_over_integers_and_is_saved_alone(tmp_path):
    spec, q = lora_spec(SPEC, 2), quantize(BASE, SPEC)
    before = jax.tree.map(np.array, q)

    def loss(lora, batch, ctx):
        return LossOutput(jnp.square(model(with_lora(ctx.given, lora), batch["x"])).mean((1, 2)))

    optimizer = optax.adam(1e-2)
    state, step = create_state(jnn.init(spec, KEY), optimizer), make_step(loss, optimizer, KEY, given=q)
    first, _ = step(state, {"x": np.asarray(X)})
    last, _ = step(jax.tree.map(jnp.copy, first), {"x": np.asarray(X)})
    jax.tree.map(np.testing.assert_array_equal, q, before)
    assert jnn.count_params(last.opt_state) == 2 * jnn.count_params(spec) + 1
    assert all(abs(x).max() > 0 for path, x in jnn.flatten(last.params).items() if path.endswith("up"))
    path = write_safetensors(tmp_path / "lora.safetensors", lora_arrays(last.params, alpha=3))
    found, alpha = load_lora(spec, read_safetensors(path))
    jax.tree.map(np.testing.assert_array_equal, found, last.params)
    assert alpha == 3
    with pytest.raises(ValueError, match="extra: alpha"):  # no door loses it in silence
        jnn.load(spec, read_safetensors(path))


def peft(x, w, bias, a, b, scaling, magnitude=None):
    """What PEFT computes: https://github.com/huggingface/peft, `lora/layer.py` and `lora/dora.py`."""
    base = torch.nn.functional.linear(x, w)
    update = torch.nn.functional.linear(torch.nn.functional.linear(x, a), b) * scaling
    if magnitude is None:
        return base + update + bias
    norm = torch.linalg.norm(w + scaling * (b @ a), dim=1).detach()
    return (base + update) * (magnitude / norm) + bias


@pytest.mark.parametrize("kind", DECLARED)
def test_values_and_gradients_are_those_of_peft(kind):
    spec = linear_spec((2, 4), (3, 2), axes=("heads", "head", "a", "b"))
    p, lora = moved(spec), moved(DECLARED[kind](spec, 2, where="w"))
    x = jax.random.normal(KEY, (5, 2, 4))

    @jax.jit
    def ours(x, lora):
        y, back = jax.vjp(lambda x, lora: linear(with_lora(p, lora, alpha=6), x, in_axes=2), x, lora)
        return y, back(jnp.cos(y))

    y, (dx, dlora) = ours(x, lora)

    tensor = lambda a, *shape: torch.tensor(np.asarray(a).reshape(shape), requires_grad=True)
    parts = lora["lora"]
    a, b = tensor(parts["down"].reshape(8, 2).T, 2, 8), tensor(parts["up"].reshape(2, 6).T, 6, 2)
    w, bias, xs = tensor(p["w"].reshape(8, 6).T, 6, 8), tensor(p["b"], 6), tensor(x, 5, 8)
    more = ()
    if kind == "dora":
        norm = np.linalg.norm(np.asarray(w.detach()), axis=1)
        more = (tensor(np.asarray(parts["magnitude"]).reshape(6) * norm, 6),)
    found = peft(xs, w, bias, a, b, 3.0, *more)
    found.backward(torch.cos(found).detach())
    near = lambda ours, theirs: np.testing.assert_allclose(
        np.asarray(ours).reshape(theirs.shape), theirs, rtol=1e-4, atol=1e-4
    )
    near(y, found.detach())
    near(dx, xs.grad)
    near(dlora["lora"]["down"].reshape(8, 2).T, a.grad)
    near(dlora["lora"]["up"].reshape(2, 6).T, b.grad)
    if more:
        near(dlora["lora"]["magnitude"], more[0].grad.numpy() * norm)


def test_by_default_it_is_for_queries_and_values_of_cross_attention_too():
    found = jnn.flatten(lora_spec({"blocks": jnn.stack(transformer_block_spec(8, 2, 16, d_cross=6), 3)}, 2))
    assert {path.rsplit("/", 2)[0] for path in found} == {
        f"blocks/{where}/{which}" for where in ("attention", "cross") for which in "qv"
    }


def test_files_of_peft_are_read_by_the_names_of_the_model():
    names = {"blocks/attention/*": "layers.{i}.self.*", "out/*": "head.*"}
    spec, rng = lora_spec(SPEC, 2, where=["*q/w", "out/w"]), np.random.default_rng(0)
    sizes = {f"layers.{i}.self.q": (8, 8) for i in range(3)} | {"head": (8, 4)}
    files = {}
    for name, (d_in, d_out) in sizes.items():
        files[f"base_model.model.{name}.lora_A.weight"] = rng.normal(size=(2, d_in)).astype(np.float32)
        files[f"base_model.model.{name}.lora_B.weight"] = rng.normal(size=(d_out, 2)).astype(np.float32)
    lora = load_state_dict(spec, files, lora_names(spec, names))
    found = merge_lora(jax.tree.map(jnp.zeros_like, BASE), lora)
    for i in range(3):
        a, b = (files[f"base_model.model.layers.{i}.self.q.lora_{which}.weight"] for which in "AB")
        np.testing.assert_allclose(found["blocks"]["attention"]["q"]["w"][i].reshape(8, 8), (b @ a).T, rtol=1e-5)
    fused = lora_names(
        lora_spec({"v": linear_spec(8, 4)}, 2, where="v/w"), {"v/*": "qkv.*"} | {"v/w": "qkv.weight[4:6/6]"}
    )
    assert set(fused.values()) == {f"base_model.model.qkv.lora_{end}" for end in ("A.weight", "B.weight")}


REFUSED = {
    "no map fits": (
        lambda: lora_spec(SPEC, 2, where="*query*"),
        r"no linear map fits where='\*query\*'.*attention/k/w",
    ),
    "a rank of 0": (lambda: lora_spec(SPEC, 0), "expected rank of 1 or more"),
    "another model's": (lambda: with_lora({"a": {"w": X}}, {"b": {"lora": {}}}), "no place in p. There are: a"),
    "twice": (lambda: with_lora({"w": X, "lora": {}}, {"lora": {}}), "lora is there already"),
    "beside a convolution": (
        lambda: jnn.layers.conv({"w": jnp.ones((3, 8, 4)), "lora": {}}, X),
        "found a 'lora' in params, which linear maps alone read",
    ),
    "parts without factors": (lambda: with_lora({"w": X}, {"lora": {}}, alpha=1), "lora, a dict with 'down', 'up'"),
    "an alpha of 0": (
        lambda: with_lora({"w": X}, jnn.init(lora_spec(linear_spec(8, 4), 2, where="w"), KEY), alpha=0),
        "expected alpha over 0, found 0",
    ),
    "nothing quantized": (lambda: quantize(None, SPEC), "quantize: expected the parameters .* found none at 'blocks/"),
    "a LoRA without its alpha": (
        lambda: load_lora(lora_spec(SPEC, 2), jnn.flatten(jnn.init(lora_spec(SPEC, 2), KEY))),
        "expected 'alpha' beside the arrays.* lora_alpha in adapter_config.json",
    ),
    "an alpha of several ranks": (
        lambda: lora_arrays({"a": moved(lora_spec(SPEC, 2)), "b": moved(lora_spec(SPEC, 3))}, alpha=None),
        r"ranks \[2, 3\] differ",
    ),
    "an alpha that is saved as 0": (lambda: lora_arrays(moved(lora_spec(SPEC, 2)), alpha=0), "alpha over 0, found 0"),
    "magnitudes of PEFT": (lambda: lora_names(dora_spec(SPEC, 2), {}), "divide PEFT's magnitudes"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    call, words = REFUSED[why]
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("declare", [lambda p: lora_spec(p, 2), quantize_spec, lambda p: quantize(p, p)])
def test_params_in_the_place_of_a_spec_are_refused(declare):
    with pytest.raises(TypeError, match=r"expected a spec, found .* at 'w'. Give what a function such as"):
        declare({"w": X})


@pytest.mark.parametrize("put", [with_lora, merge_lora, partial(merge_lora, alpha=2.0), with_parts])
@pytest.mark.parametrize(
    ("p", "lora", "message"),
    [
        (BASE, None, "expected parts of it, a tree of dicts, found NoneType"),
        (None, {}, "expected a model's parameters, a tree of dicts, found NoneType"),
        (BASE, X, r"expected parts of it, a tree of dicts, found float32\[2,5,8\]"),
    ],
)
def test_what_is_no_tree_of_parameters_is_refused(put, p, lora, message):
    with pytest.raises(TypeError, match=f"^{getattr(put, 'func', put).__name__}: {message}"):
        put(p, lora)


def test_specs_are_put_beside_each_other_but_are_no_numbers_to_add_or_multiply():
    spec = lora_spec(SPEC, 2)
    assert with_lora(SPEC, spec)["blocks"]["attention"]["q"]["lora"] == spec["blocks"]["attention"]["q"]["lora"]
    for put in (merge_lora, partial(with_lora, alpha=2.0)):
        with pytest.raises(TypeError, match=r"_lora: expected an array for .* found jnn\.Param\. That is a spec"):
            put(BASE, spec)


def test_an_alpha_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="with_lora: expected a number alpha over 0, found str"):
        with_lora(BASE, jnn.init(lora_spec(SPEC, 2), KEY), alpha="8")
