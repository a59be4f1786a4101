"""Published decoders against Hugging Face's `transformers`: logits, greedy text with the cache, rates, config.json."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.interop.torch import load_state_dict
from jnn.models import decoder, decoder_from_hf, decoder_spec, generate
from tests.models.hugging_face import CASES, in_double, model_of, weights_of

TOKENS = np.random.default_rng(0).integers(0, 40, (2, 12)).astype(np.int32)
by_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def oracle(case):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    return model_of(case)


def ours(model, dtype):
    config, names = decoder_from_hf(model.config.to_dict())
    return config, load_state_dict(decoder_spec(config, dtype=dtype), weights_of(model), names)


@pytest.mark.slow
@by_case
def test_logits_are_those_of_transformers(case, oracle):
    import torch

    config, p = ours(oracle, jnp.float32)
    found = np.asarray(jax.jit(lambda p: decoder(p, TOKENS, config, key=None))(p))
    with torch.no_grad():
        wanted = oracle(torch.tensor(TOKENS).long()).logits.numpy()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    with in_double(), jax.enable_x64(True), torch.no_grad():
        wide = model_of(case)
        config, p = ours(wide, jnp.float64)
        found = np.asarray(jax.jit(lambda p: decoder(p, TOKENS, config, key=None))(p))
        wanted = wide(torch.tensor(TOKENS).long()).logits.numpy()
    assert found.dtype == wanted.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


@pytest.mark.slow
@by_case
def test_greedy_text_is_that_of_transformers(case, oracle):
    import torch

    config, p = ours(oracle, jnp.float32)
    text = generate(p, jnp.asarray(TOKENS), 20, temperature=0, config=config)
    prompt = torch.tensor(TOKENS).long()
    wanted = oracle.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False)
    np.testing.assert_array_equal(text, wanted.numpy())
