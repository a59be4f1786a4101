"""Published decoders against Hugging Face's `transformers`: logits, greedy text with the cache, rates, config.json."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.interop.torch import load_state_dict
from jnn.models import (
    cached_mamba2_decoder,
    decoder,
    decoder_from_hf,
    decoder_spec,
    generate,
    gpt2_from_hf,
    mamba2_decoder,
    mamba2_decoder_cache,
    mamba2_decoder_spec,
    mamba2_from_hf,
    transformer,
    transformer_spec,
)
from tests.models.hugging_face import CASES, in_double, model_of, weights_of

TOKENS = np.random.default_rng(0).integers(0, 40, (2, 12)).astype(np.int32)
by_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def oracle(case):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    return model_of(case)


def ours(model, dtype):
    """Parameters, the logits of tokens, and the config that `generate` takes."""
    fields = model.config.to_dict()
    if fields["model_type"] == "gpt2":
        sizes, names = gpt2_from_hf(fields)
        config, spec = None, transformer_spec(**sizes, dtype=dtype)
        run = lambda p, tokens: transformer(p, tokens, key=None)
    elif fields["model_type"] == "mamba2":
        sizes, names = mamba2_from_hf(fields)
        config, spec = None, mamba2_decoder_spec(**sizes, dtype=dtype)
        run = lambda p, tokens: mamba2_decoder(p, tokens, key=None)
    else:
        config, names = decoder_from_hf(fields)
        spec, run = decoder_spec(config, dtype=dtype), lambda p, tokens: decoder(p, tokens, config, key=None)
    p = load_state_dict(spec, weights_of(model), names)
    return p, np.asarray(jax.jit(run)(p, TOKENS)), config


def greedy(p, prompt, steps):
    """The likeliest tokens after a prompt, chunk by chunk."""
    chunk, text = jax.jit(cached_mamba2_decoder), [prompt]
    cache = mamba2_decoder_cache(p, leading=prompt.shape[:-1])
    for _ in range(steps):
        logits, cache = chunk(p, text[-1], cache)
        text.append(logits[..., -1:, :].argmax(-1))
    return jnp.concatenate(text, -1)


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
@by_case
def test_greedy_text_is_that_of_transformers(case, oracle):
    """Twenty tokens, through windows, caches and rings."""
    import torch

    prompt = torch.tensor(TOKENS).long()
    wanted = oracle.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False)
    p, _, config = ours(oracle, jnp.float32)
    if oracle.config.model_type == "mamba2":
        found = greedy(p, jnp.asarray(TOKENS), 20)
    else:
        found = generate(p, jnp.asarray(TOKENS), 20, temperature=0, config=config)
    np.testing.assert_array_equal(found, wanted.numpy())
