"""BERT's family: padding, packing, remat, parallelism, published sizes, bad input.

(Against Hugging Face's own: `test_hugging_face_encoders`. Real weights: `test_minilm`.)
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jnn.layers import segment_mask
from jnn.losses import cross_entropy
from jnn.models import (
    EncoderConfig,
    bert_from_hf,
    distilbert_from_hf,
    encoder,
    encoder_from_hf,
    encoder_spec,
    masked_language_model,
    masked_language_model_spec,
    mean_pool,
    pooler_spec,
    roberta_from_hf,
)
from jnn.param import count_params
from jnn.remat import POLICIES
from jnn.train import LossOutput
from tests.models.decoders import numbers
from tests.models.meshes import assert_trains_as_on_one_device

SMALL = EncoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=12, context=10)
PADDED = dataclasses.replace(SMALL, padding=1, segments=1)


@pytest.mark.parametrize("config", [SMALL, PADDED], ids=["bert", "roberta"])
def test_padding_is_seen_by_no_token(config):
    """A padded row's tokens, and their mean, are those of the row alone, whatever the padding holds."""
    p, row = numbers(encoder_spec(config)), jnp.array([3, 7, 2, 9])
    padded = jnp.stack([jnp.concatenate([row, jnp.array(rest)]) for rest in ([1, 1, 1], [5, 6, 10])])
    lengths = jnp.array([4, 4])

    @jax.jit
    def run(p):
        alone = encoder(p, row, config, key=None)
        together = encoder(p, padded, config, key=None, lengths=lengths)
        return alone, mean_pool(alone), together[:, :4], mean_pool(together, lengths=lengths)

    alone, mean, together, means = run(p)
    for i in range(2):
        np.testing.assert_allclose(together[i], alone, atol=1e-5)
        np.testing.assert_allclose(means[i], mean, atol=1e-5)


def test_packed_rows_equal_the_rows_alone():
    @jax.jit
    def both(p, rows):
        where, mask = jnp.tile(jnp.arange(4), 2), segment_mask(jnp.array([0] * 4 + [1] * 4))
        packed = encoder(p, rows.ravel(), SMALL, key=None, mask=mask, positions=where)
        return packed, encoder(p, rows, SMALL, key=None).reshape(8, -1)

    found = both(numbers(encoder_spec(SMALL)), jnp.array([[1, 2, 3, 4], [4, 5, 6, 7]]))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("remat", POLICIES)
def test_remat_changes_no_value(remat):
    p, tokens = numbers(encoder_spec(SMALL)), jnp.arange(6)
    run = lambda p, remat: jnp.sum(jnp.sin(encoder(p, tokens, SMALL, key=None, remat=remat)))
    found, plain = (jax.jit(jax.value_and_grad(run), static_argnums=1)(p, how) for how in (remat, None))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["fsdp=8", "data=2,fsdp=2,tensor=2", "stage=2,data=4", "context=2,stage=2,tensor=2"])
def test_training_on_every_mesh_is_that_of_one_device(text):
    """A masked language model, with padding; its table both embeds and reads out."""
    config = EncoderConfig(vocab=64, layers=4, heads=4, embed=32, hidden=64, context=16)
    spec = {"encoder": encoder_spec(config), "head": masked_language_model_spec(config)}
    optimizer, rng = optax.adamw(1e-2), np.random.default_rng(0)
    data = {"x": rng.integers(0, 64, (16, 16)).astype(np.int32), "n": rng.integers(1, 17, 16).astype(np.int32)}

    def loss(p, batch, ctx):
        x = encoder(p["encoder"], batch["x"], config, key=ctx.key, lengths=batch["n"], rate=0.1)
        logits = masked_language_model(p["head"], x, p["encoder"]["embed"], config)
        return LossOutput(cross_entropy(logits, batch["x"]))

    assert_trains_as_on_one_device(text, spec, loss, optimizer, data)


def bert(vocab, embed, layers, **more):
    """A config.json of BERT's shape: heads of 64, a feed-forward network of four times the width."""
    sizes = {"vocab_size": vocab, "hidden_size": embed, "num_hidden_layers": layers, "num_attention_heads": embed // 64}
    return {"model_type": "bert", **sizes, "intermediate_size": 4 * embed, **more}


ROBERTA = {"model_type": "roberta", "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1}
DISTIL = {"model_type": "distilbert", "vocab_size": 30522, "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12}
PUBLISHED = {  # as transformers counts what it publishes, with the pooler where the class has one
    "bert-base-uncased": (bert(30522, 768, 12), 109_482_240),
    "bert-large-uncased": (bert(30522, 1024, 24), 335_141_888),
    "bert-base-cased": (bert(28996, 768, 12), 108_310_272),
    "roberta-base": (bert(50265, 768, 12, **ROBERTA), 124_645_632),
    "all-MiniLM-L6-v2": (bert(30522, 384, 6), 22_713_216),
    "distilbert-base-uncased": (DISTIL, 66_362_880),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_as_many_parameters_as_their_files(name):
    fields, published = PUBLISHED[name]
    config, _ = encoder_from_hf(fields)
    pooled = {} if fields is DISTIL else {"pooler": pooler_spec(config)}
    assert count_params(encoder_spec(config) | pooled) == published


def without_segments(p):
    return {name: p[name] for name in p if name != "segment"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: encoder(p, jnp.ones(3), SMALL, key=None), TypeError, "encoder: expected integers"),
        (lambda p: encoder(p, jnp.array([11]), SMALL, key=None), ValueError, r"embed: expected tokens in 0..10"),
        (lambda p: encoder(p, jnp.arange(11), SMALL, key=None), ValueError, "11 tokens, its params have 10 positions"),
        (lambda p: encoder(p, jnp.arange(3), SMALL), TypeError, "key"),
        (lambda p: encoder(p, jnp.arange(3), SMALL, key=None, remat="all"), ValueError, "remat is None, a tuple"),
        (
            lambda p: encoder(p, jnp.arange(3), SMALL, key=None, lengths=jnp.array([3])),
            ValueError,
            r"expected lengths \(\), one for each row of tokens int32\[3\], found int32\[1\]",
        ),
        (
            lambda p: encoder(p, jnp.arange(3), SMALL, key=None, lengths=jnp.array(4)),
            ValueError,
            r"expected lengths in 0..3 \(there are 3 tokens\), found 4..4",
        ),
        (
            lambda p: encoder(p, jnp.arange(3), SMALL, key=None, segments=jnp.array([0])),
            ValueError,
            r"encoder: expected equal shapes",
        ),
        (
            lambda p: encoder(without_segments(p), jnp.arange(3), SMALL, key=None, segments=jnp.arange(3)),
            ValueError,
            "found segments, and params without them",
        ),
        (lambda p: mean_pool(jnp.ones((3, 2)), lengths=jnp.array([3])), ValueError, r"expected lengths \(\), one"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(numbers(encoder_spec(SMALL)))


TINY = bert(11, 64, 2)
NOT_THIS = [
    ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key', where 'absolute' is comp"),
    ({"is_decoder": True}, "is_decoder=True, where False is computed"),
    ({"tie_word_embeddings": False}, "tie_word_embeddings=False, where True is computed"),
    ({"embedding_size": 128}, "embedding_size=128 is not known"),
    ({"hidden_act": "relu2"}, "expected hidden_act among .*found 'relu2'"),
    ({"model_type": "albert"}, "model_type='albert'"),
]


@pytest.mark.parametrize(("more", "message"), NOT_THIS)
def test_what_is_not_computed_is_one_clear_error(more, message):
    with pytest.raises(ValueError, match=f"bert_from_hf: .*{message}"):
        bert_from_hf(TINY | more)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: encoder_from_hf(["bert"]), TypeError, "expected config.json as a dict, found list"),
        (lambda: bert_from_hf({}), ValueError, "vocab_size is missing; hidden_size is missing;"),
        (lambda: distilbert_from_hf({"dim": 8}), ValueError, "vocab_size is missing; hidden_dim is missing; n_layers"),
        (
            lambda: bert_from_hf(TINY, head="question"),
            ValueError,
            r"expected a head among \['masked_.*found 'question'",
        ),
        (lambda: distilbert_from_hf(DISTIL, head="pooler"), ValueError, "expected a head among .*found 'pooler'"),
        (lambda: bert_from_hf(TINY | {"num_attention_heads": 3}), ValueError, "3 heads do not divide embed=64"),
        (
            lambda: roberta_from_hf(TINY | ROBERTA | {"hidden_act": "relu"}),
            ValueError,
            "hidden_act='relu', where 'gelu' is computed",
        ),
        (lambda: roberta_from_hf(TINY | ROBERTA | {"pad_token_id": None}), ValueError, "expected a pad_token_id"),
        (lambda: roberta_from_hf(TINY | ROBERTA | {"pad_token_id": 11}), ValueError, "expected padding, .*found 11"),
        (lambda: EncoderConfig(0, 2, 2, 8, 8, 8), ValueError, "expected vocab of 1 or more, found 0"),
    ],
)
def test_bad_configs_are_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
