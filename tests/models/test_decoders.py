"""Llama's family: its equations in torch, packing, generation, remat, parallelism, bad input.

(Against Hugging Face's own: `test_hugging_face`. What a config.json says: `test_decoder_configs`.)
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jnn
from jnn.generation import GREEDY, generate
from jnn.interop.torch import load_state_dict
from jnn.layers import segment_mask
from jnn.losses import cross_entropy
from jnn.models import DecoderConfig, cached_decoder, decoder, decoder_cache, decoder_model, decoder_spec, llama_from_hf
from jnn.remat import POLICIES
from jnn.train import LossOutput
from tests.models.decoders import TINY, moved
from tests.models.meshes import assert_trains_as_on_one_device
from tests.models.torch_llama import Llama

WINDOWS = DecoderConfig(vocab=11, layers=4, heads=2, embed=8, hidden=12, kv_heads=1, windows=(2, None))


def test_llama_matches_its_equations_in_torch():
    """Logits and all gradients, read by the names of Hugging Face's weights."""
    torch.manual_seed(0)
    module, tokens = Llama(TINY).double(), np.random.default_rng(0).integers(0, 11, (2, 7)).astype(np.int32)
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    wanted = module(torch.tensor(tokens).long())
    direction = np.random.default_rng(1).normal(size=wanted.shape)
    (wanted * torch.tensor(direction)).sum().backward()
    with jax.enable_x64(True):
        config, names = llama_from_hf(TINY)
        spec = decoder_spec(config, dtype=jnp.float64)
        p = load_state_dict(spec, module.state_dict(), names)
        gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
        theirs = jnn.flatten(load_state_dict(spec, gradients, names))

        @jax.jit
        def run(p):
            logits, back = jax.vjp(lambda p: decoder(p, tokens, config, key=None), p)
            return logits, back(jnp.asarray(direction))[0]

        logits, ours = run(p)
        np.testing.assert_allclose(logits, wanted.detach().numpy(), rtol=0, atol=1e-12)
        for path, gradient in jnn.flatten(ours).items():
            np.testing.assert_allclose(gradient, theirs[path], rtol=0, atol=1e-11, err_msg=path)


def test_packed_rows_equal_the_rows_alone():
    @jax.jit
    def both(p, rows):
        packed = decoder(p, rows.ravel(), WINDOWS, key=None, mask=segment_mask(jnp.array([0] * 4 + [1] * 4)))
        return packed, decoder(p, rows, WINDOWS, key=None).reshape(8, -1)

    found = both(moved(decoder_spec(WINDOWS)), jnp.array([[1, 2, 3, 4], [4, 5, 6, 7]]))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


def test_greedy_generation_is_the_argmax_of_the_whole():
    p, prompt = moved(decoder_spec(WINDOWS)), jnp.array([[1, 2, 3], [4, 5, 6]])
    generated = generate(p, prompt, 4, decoder_model(WINDOWS), GREEDY).tokens
    likeliest = jax.jit(lambda p, tokens: decoder(p, tokens, WINDOWS, key=None).argmax(-1))(p, generated)
    np.testing.assert_array_equal(generated[:, 3:], likeliest[:, 2:-1])


def remembered(remat):
    """How many numbers the backward pass is handed."""
    run = lambda p: decoder(p, jnp.arange(6), WINDOWS, key=None, remat=remat)
    residuals = jax.eval_shape(lambda p: jax.vjp(run, p)[1], jnn.abstract(decoder_spec(WINDOWS)))
    return sum(x.size for x in jax.tree.leaves(residuals))


def test_remat_remembers_of_each_layer_what_it_says():
    assert remembered("full") < remembered(("attended",)) < remembered("names") < remembered("dots") < remembered(None)
    between = remembered("names") - remembered("full")
    layers, tokens, embed, head = 4, 6, 8, 4
    assert between == layers * tokens * (3 * embed + 2 * head)


@pytest.mark.slow
@pytest.mark.parametrize("remat", POLICIES)
def test_remat_changes_no_value(remat):
    p, tokens = moved(decoder_spec(WINDOWS)), jnp.arange(6)
    run = lambda p, remat: jnp.sum(jnp.sin(decoder(p, tokens, WINDOWS, key=None, remat=remat)))
    found, plain = (jax.jit(jax.value_and_grad(run), static_argnums=1)(p, how) for how in (remat, None))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("windows", [(None,), pytest.param((2, None), marks=pytest.mark.slow)], ids=["one", "two"])
def test_tensor_parallel_equals_one_device(windows):
    config = DecoderConfig(vocab=16, layers=2, heads=8, kv_heads=4, embed=16, hidden=8, windows=windows)
    spec, tokens = decoder_spec(config), jax.random.randint(jax.random.key(1), (4, 8), 0, 16)
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    rules = {"embed": "data", "heads": "model", "kv_heads": "model", "hidden": "model", "vocab": "model"}
    run = jax.jit(jax.value_and_grad(lambda p: jnp.sum(jnp.sin(decoder(p, tokens, config, key=None)))))
    one = run(jnn.init(spec, jax.random.key(0)))
    many = run(jnn.init(spec, jax.random.key(0), mesh=mesh, rules=rules))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["fsdp=8", "data=2,fsdp=2,tensor=2", "stage=2,data=4", "context=2,stage=2,tensor=2"])
def test_training_on_every_mesh_is_that_of_one_device(text):
    config = DecoderConfig(vocab=64, layers=4, heads=4, kv_heads=2, embed=32, hidden=64, windows=(5, None))
    spec, optimizer = decoder_spec(config), optax.adamw(1e-2)
    x = np.random.default_rng(0).integers(0, 64, (16, 16)).astype(np.int32)

    def loss(p, batch, ctx):
        return LossOutput(cross_entropy(decoder(p, batch["x"], config, key=ctx.key, rate=0.1), batch["x"]))

    assert_trains_as_on_one_device(text, spec, loss, optimizer, {"x": x})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: decoder(p, jnp.ones(3), WINDOWS, key=None), TypeError, "decoder: expected integers"),
        (lambda p: decoder(p, jnp.array([11]), WINDOWS, key=None), ValueError, r"embed: expected tokens in 0..10"),
        (lambda p: decoder(p, jnp.array([1]), WINDOWS, key=None, remat="all"), ValueError, "remat is None, a tuple"),
        (lambda p: decoder(p, jnp.arange(3), WINDOWS), TypeError, "key"),
        (
            lambda p: cached_decoder(p, jnp.ones(3), decoder_cache(p, WINDOWS, 4), WINDOWS),
            TypeError,
            "cached_decoder: expected integers",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(decoder_spec(WINDOWS), jax.random.key(0)))
