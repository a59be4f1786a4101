"""A real language model, SmolLM2 of 135 million weights, from a GGUF file: what transformers makes of the same file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.data import data_root, read_gguf
from jnn.generation import GREEDY, generate
from jnn.interop.torch import load_state_dict
from jnn.models import decoder, decoder_model, decoder_spec, llama_from_gguf

FILE = data_root() / "weights" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def metadata_and_arrays():
    if not FILE.is_file():
        pytest.skip(f"needs {FILE}")
    return read_gguf(FILE)


@pytest.fixture(scope="module")
def ids(metadata_and_arrays):
    """The prompt's tokens, each a word with the space before it."""
    tokens = metadata_and_arrays[0]["tokenizer.ggml.tokens"]
    return [tokens.index(word) for word in PROMPT.replace(" ", " Ġ").split()]


@pytest.mark.slow
def test_logits_and_greedy_text_are_those_of_transformers(metadata_and_arrays, ids):
    transformers = pytest.importorskip("transformers", reason="the oracle: pip install jnn[oracles]")
    pytest.importorskip("gguf", reason="with which it reads the file: pip install jnn[oracles]")
    import torch
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    fields = load_gguf_checkpoint(str(FILE))["config"] | {"tie_word_embeddings": True, "_attn_implementation": "eager"}
    oracle = transformers.LlamaForCausalLM(transformers.LlamaConfig(**fields)).eval()
    tensors = load_gguf_checkpoint(str(FILE), return_tensors=True, model_to_load=oracle)["tensors"]
    missing, unexpected = oracle.load_state_dict(tensors, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])

    metadata, arrays = metadata_and_arrays
    config, names = llama_from_gguf(metadata, arrays)
    p = load_state_dict(decoder_spec(config), arrays, names)
    prompt = torch.tensor([ids])
    wanted = oracle.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=100, do_sample=False, eos_token_id=None
    )
    found = generate(p, jnp.asarray([ids]), 100, decoder_model(config), GREEDY).tokens
    assert metadata["tokenizer.ggml.tokens"][int(found[0, len(ids)])] == "ĠParis"
    np.testing.assert_array_equal(found, wanted.numpy())
    with torch.no_grad():
        logits = oracle(wanted).logits.numpy()
    ours = jax.jit(lambda p, tokens: decoder(p, tokens, config, key=None))(p, found)
    np.testing.assert_allclose(ours, logits, rtol=0, atol=1e-4 * np.abs(logits).max())
