"""Llama's family: its equations in torch, published sizes, packing, remat, tensor parallelism, config.json's errors.

(Against Hugging Face's own: `test_hugging_face`.)
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.interop.torch import load_state_dict
from jnn.layers import segment_mask
from jnn.models import (
    DecoderConfig,
    cached_decoder,
    decoder,
    decoder_cache,
    decoder_from_hf,
    decoder_spec,
    gemma2_from_hf,
    generate,
    llama_from_hf,
    phi3_from_hf,
    qwen2_from_hf,
    qwen3_from_hf,
)
from jnn.param import count_params
from jnn.remat import POLICIES
from tests.models.decoders import moved
from tests.models.torch_llama import Llama

TINY = {
    **{"vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "rope_theta": 100.0, "rms_norm_eps": 1e-6, "hidden_act": "silu"},
}
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


def sized(family, *numbers, head=None, **more):
    """A config.json of a published model, as far as its number of parameters is concerned."""
    fields = "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads"
    head_dim = {} if head is None else {"head_dim": head}
    act = {"hidden_act": "gelu_pytorch_tanh" if "gemma" in family else "silu", "rms_norm_eps": 1e-6}
    return {"model_type": family, **dict(zip(fields.split(), numbers, strict=True)), **act, **head_dim, **more}


CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 256}
LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 8.0}
PUBLISHED = {
    "Llama-2-7b": (sized("llama", 32000, 4096, 11008, 32, 32, 32), 6_738_415_616),
    "Llama-3.1-8B": (
        sized(
            *("llama", 128256, 4096, 14336, 32, 32, 8),
            rope_scaling=LLAMA3 | {"original_max_position_embeddings": 8192},
        ),
        8_030_261_248,
    ),
    "SmolLM2-135M": (sized("llama", 49152, 576, 1536, 30, 9, 3, tie_word_embeddings=True), 134_515_008),
    "Mistral-7B": (sized("mistral", 32000, 4096, 14336, 32, 32, 8, sliding_window=4096), 7_241_732_096),
    "Qwen2-0.5B": (sized("qwen2", 151936, 896, 4864, 24, 14, 2, tie_word_embeddings=True), 494_032_768),
    "Qwen3-0.6B": (sized("qwen3", 151936, 1024, 3072, 28, 16, 8, head=128, tie_word_embeddings=True), 596_049_920),
    "gemma-2b": (sized("gemma", 256000, 2048, 16384, 18, 8, 1, head=256), 2_506_172_416),
    "gemma-2-2b": (sized("gemma2", 256000, 2304, 9216, 26, 8, 4, head=256, sliding_window=4096, **CAPS), 2_614_341_888),
    "Phi-3-mini-4k": (sized("phi3", 32064, 3072, 8192, 32, 32, 32, sliding_window=2047), 3_821_079_552),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_their_files(name):
    fields, published = PUBLISHED[name]
    assert count_params(decoder_spec(decoder_from_hf(fields)[0])) == published


def test_windows_are_the_shortest_period_of_the_layers():
    fields = TINY | {"num_hidden_layers": 4, "use_sliding_window": True, "sliding_window": 3}
    windows = lambda **more: qwen2_from_hf(fields | more)[0].windows
    assert windows(max_window_layers=2) == (None, None, 3, 3)
    assert windows(max_window_layers=0) == (3,)
    assert windows(max_window_layers=2, use_sliding_window=False) == (None,)
    assert windows(layer_types=["sliding_attention", "full_attention"] * 2) == (3, None)


def test_packed_rows_equal_the_rows_alone():
    @jax.jit
    def both(p, rows):
        packed = decoder(p, rows.ravel(), WINDOWS, key=None, mask=segment_mask(jnp.array([0] * 4 + [1] * 4)))
        return packed, decoder(p, rows, WINDOWS, key=None).reshape(8, -1)

    found = both(moved(decoder_spec(WINDOWS)), jnp.array([[1, 2, 3, 4], [4, 5, 6, 7]]))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


def test_greedy_generation_is_the_argmax_of_the_whole():
    p, prompt = moved(decoder_spec(WINDOWS)), jnp.array([[1, 2, 3], [4, 5, 6]])
    generated = generate(p, prompt, 4, temperature=0, config=WINDOWS)
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


NOT_THIS = [
    ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, r"expected one type of \['linear', .*found \['dynamic'\]"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "rope_scaling of llama3: expected .*found {'factor'"),
    ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "beta": 1}}, r"found \['beta'\], too"),
    ({"attention_dropout": 0.1}, "attention_dropout=0.1, where 0 is computed"),
    ({"quantization_config": {"bits": 4}}, "quantization_config={'bits': 4} is not known"),
    ({"hidden_act": "relu2"}, "expected hidden_act among .*found 'relu2'"),
    ({"model_type": "mistral", "sliding_window": 3}, "model_type='mistral'; sliding_window=3 is"),
]


@pytest.mark.parametrize(("more", "message"), NOT_THIS)
def test_what_is_not_computed_is_one_clear_error(more, message):
    with pytest.raises(ValueError, match=f"llama_from_hf: .*{message}"):
        llama_from_hf(TINY | more)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: llama_from_hf("config.json"), TypeError, "expected config.json as a dict, found str"),
        (lambda: decoder_from_hf(["llama"]), TypeError, "expected config.json as a dict, found list"),
        (lambda: llama_from_hf({}), ValueError, "vocab_size is missing; hidden_size is missing;"),
        (lambda: qwen3_from_hf(TINY | {"head_dim": 4, "rms_norm_eps": 1e-5}), ValueError, "is 1e-6, found 1e-05"),
        (
            lambda: qwen2_from_hf(TINY | {"layer_types": ["full"] * 2}),
            ValueError,
            r"expected layer_types, 2 of \('full",
        ),
        (lambda: gemma2_from_hf(TINY), ValueError, "head_dim is missing; attn_logit_softcapping is missing"),
        (
            lambda: qwen2_from_hf(TINY | {"use_sliding_window": True, "sliding_window": 3}),
            ValueError,
            "a sliding_window of 3 needs max_window_layers",
        ),
        (lambda: phi3_from_hf(TINY | {"num_key_value_heads": 3}), ValueError, "3 key and value heads do not divide 4"),
        (lambda: DecoderConfig(11, 3, 2, 8, 8, windows=(2, None)), ValueError, "divides the 3 layers"),
        (lambda: DecoderConfig(11, 2, 2, 8, 8, bias=("qkv",)), ValueError, r"expected biases of \('q', .*'qkv'"),
        (lambda: DecoderConfig(0, 2, 2, 8, 8), ValueError, "expected vocab of 1 or more, found 0"),
    ],
)
def test_bad_configs_are_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


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
