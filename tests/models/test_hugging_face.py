"""Published decoders against Hugging Face's `transformers`: logits, greedy text with the cache, rates, config.json."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn import flatten, init
from jnn.data import write_safetensors
from jnn.generation import GREEDY, generate
from jnn.interop.torch import load_state_dict, state_dict
from tests.models.hugging_face import CASES, in_double, model_of, published, saved

TOKENS = np.random.default_rng(0).integers(0, 40, (2, 12)).astype(np.int32)
by_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def oracle(case):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    return model_of(case)


def ours(model, dtype):
    """Parameters, the logits of tokens, and the model that `generate` takes."""
    spec, names, run, model_of_ours = published(model.config.to_dict(), dtype)
    p = load_state_dict(spec, saved(model), names)
    return p, np.asarray(jax.jit(run)(p, TOKENS)), model_of_ours


@pytest.mark.slow
@by_case
def test_logits_are_those_of_transformers(case, oracle):
    import torch

    with torch.no_grad():
        wanted = oracle(torch.tensor(TOKENS).long()).logits.numpy()
    _, found, _ = ours(oracle, jnp.float32)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    with in_double(), jax.enable_x64(True), torch.no_grad():
        wide = model_of(case)
        _, found, _ = ours(wide, jnp.float64)
        wanted = wide(torch.tensor(TOKENS).long()).logits.numpy()
    assert found.dtype == wanted.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["mixtral", "olmoe", "qwen2-moe", "mamba2-groups", "gemma2"])
def test_gradients_are_those_of_transformers(case, oracle):
    """Of a sum of logits with random weights, by the names of the weights that they are of."""
    import torch

    with in_double(), jax.enable_x64(True):
        wide = model_of(case)
        spec, names, run, _ = published(wide.config.to_dict(), jnp.float64)
        p = load_state_dict(spec, saved(wide), names)
        logits = wide(torch.tensor(TOKENS).long()).logits
        direction = np.random.default_rng(1).normal(size=logits.shape)
        (logits * torch.tensor(direction)).sum().backward()
        for parameter in wide.parameters():
            parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        wanted = flatten(load_state_dict(spec, saved(wide), names))
        found = flatten(jax.jit(jax.grad(lambda p: jnp.sum(run(p, TOKENS) * direction)))(p))
        for path, gradient in found.items():
            most = max(1e-3, np.abs(wanted[path]).max())
            np.testing.assert_allclose(gradient, wanted[path], rtol=0, atol=1e-9 * most, err_msg=path)


@pytest.mark.slow
@by_case
def test_a_folder_that_is_written_is_loaded_by_transformers(case, oracle, tmp_path):
    """Weights drawn here, in several files with an index, beside the config."""
    import torch
    import transformers

    fields = oracle.config.to_dict()
    spec, names, run, _ = published(fields, jnp.float32)
    p = jax.tree.map(lambda x: x + 0.05 * jnp.cos(jnp.arange(x.size)).reshape(x.shape), init(spec, jax.random.key(0)))
    write_safetensors(tmp_path / "model.safetensors", state_dict(spec, p, names), max_shard_bytes=20_000)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    with torch.no_grad():
        wanted = model.eval()(torch.tensor(TOKENS).long()).logits.numpy()
    np.testing.assert_allclose(jax.jit(run)(p, TOKENS), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.slow
@by_case
def test_greedy_text_is_that_of_transformers(case, oracle):
    """Twenty tokens, through windows, caches and rings."""
    import torch

    if case == "llama-dynamic":
        pytest.skip("its keys are turned as they were when the sequence was as long as it was then")
    prompt = torch.tensor(TOKENS).long()
    wanted = oracle.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False)
    p, _, model = ours(oracle, jnp.float32)
    found = generate(p, jnp.asarray(TOKENS), 20, model, GREEDY).tokens
    np.testing.assert_array_equal(found, wanted.numpy())
