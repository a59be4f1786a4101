"""Published encoders against Hugging Face's `transformers`: hidden states and heads, with padding, and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import models
from jnn.interop.torch import load_state_dict
from tests.models.hugging_face import drawn, gradients, in_double, saved

SHAPE = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
OWN = {
    "Bert": SHAPE | {"max_position_embeddings": 20, "hidden_act": "gelu_new"},
    "Roberta": SHAPE | {"max_position_embeddings": 22, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "DistilBert": {"vocab_size": 40, "dim": 32, "hidden_dim": 48, "n_layers": 3, "n_heads": 4, "activation": "relu"},
}
CLASSES = {
    None: "Model",
    "pooler": "Model",
    "masked_language_model": "ForMaskedLM",
    "sequence_classifier": "ForSequenceClassification",
    "token_classifier": "ForTokenClassification",
}
CASES = [(family, head) for family in OWN for head in CLASSES if (family, head) != ("DistilBert", "pooler")]
rng = np.random.default_rng(0)
LENGTHS = np.array([12, 7, 1], np.int32)
REAL = np.arange(12) < LENGTHS[:, None]
TOKENS = np.where(REAL, rng.integers(4, 40, (3, 12)), 1).astype(np.int32)  # 1 fills up
SEGMENTS = rng.integers(0, 2, (3, 12)).astype(np.int32)
by_case = pytest.mark.parametrize(("family", "head"), CASES, ids=str)


def model_of(family, head):
    pytest.importorskip("transformers", reason="the oracle is Hugging Face's transformers: pip install jnn[oracles]")
    return drawn(f"{family}{CLASSES[head]}", f"{family}Config", OWN[family] | {"num_labels": 5})


def theirs(model, family, head):
    import torch

    given = {"input_ids": torch.tensor(TOKENS).long(), "attention_mask": torch.tensor(REAL).long()}
    if family == "Bert":
        given["token_type_ids"] = torch.tensor(SEGMENTS).long()
    out = model(**given)
    return out.pooler_output if head == "pooler" else out.last_hidden_state if head is None else out.logits


def ours(model, family, head, dtype):
    """The spec, the names, and a function of params that gives what their model gives."""
    config, names = models.encoder_from_hf(model.config.to_dict(), head=head)
    body, segments = models.encoder_spec(config, dtype=dtype), SEGMENTS if family == "Bert" else None
    encode = lambda p: models.encoder(p, TOKENS, config, key=None, lengths=LENGTHS, segments=segments)
    heads = {
        "pooler": (models.pooler_spec(config, dtype=dtype), lambda p, x, _: models.pooler(p, x, config)),
        "masked_language_model": (
            models.masked_language_model_spec(config, dtype=dtype),
            lambda p, x, table: models.masked_language_model(p, x, table, config),
        ),
        "sequence_classifier": (
            models.sequence_classifier_spec(config, 5, dtype=dtype),
            lambda p, x, _: models.sequence_classifier(p, x, config, key=None),
        ),
        "token_classifier": (
            models.token_classifier_spec(config, 5, dtype=dtype),
            lambda p, x, _: models.token_classifier(p, x, key=None),
        ),
    }
    if head is None:
        return body, names, encode
    spec, run = heads[head]
    whole = lambda p: run(p["head"], encode(p["encoder"]), p["encoder"]["embed"])
    return {"encoder": body, "head": spec}, names, whole


def seen(x):
    """What tokens give; padding's own is nobody's."""
    return np.asarray(x)[REAL] if x.ndim > 2 else np.asarray(x)


def assert_near(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.slow
@by_case
def test_outputs_are_those_of_transformers(family, head):
    import torch

    def both(dtype):
        model = model_of(family, head)
        spec, names, run = ours(model, family, head, dtype)
        p = load_state_dict(spec, saved(model), names, ignore=["pooler.*"])
        with torch.no_grad():
            return seen(jax.jit(run)(p)), seen(theirs(model, family, head).numpy())

    assert_near(*both(jnp.float32), 1e-4)
    with in_double(), jax.enable_x64(True):
        found, wanted = both(jnp.float64)
    assert found.dtype == wanted.dtype == np.float64
    assert_near(found, wanted, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "head"),
    [("Bert", "masked_language_model"), ("Roberta", "sequence_classifier"), ("DistilBert", "token_classifier")],
)
def test_gradients_are_those_of_transformers(family, head):
    with in_double(), jax.enable_x64(True):
        model = model_of(family, head)
        spec, names, run = ours(model, family, head, jnp.float64)
        p, output = load_state_dict(spec, saved(model), names), theirs(model, family, head)
        direction = np.random.default_rng(1).normal(size=output.shape)
        direction = np.where(REAL[..., None], direction, 0) if direction.ndim > 2 else direction
        found = jnn.flatten(jax.jit(jax.grad(lambda p: jnp.sum(run(p) * direction)))(p))
        wanted = jnn.flatten(load_state_dict(spec, gradients(model, output, direction), names))
    largest = max(np.abs(x).max() for x in wanted.values())
    for path, gradient in found.items():
        np.testing.assert_allclose(gradient, wanted[path], rtol=0, atol=1e-9 * largest, err_msg=path)
