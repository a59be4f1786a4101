"""Contrastive search against its definition, in plain Python over the whole text at every step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.cached_model import CachedModel
from jnn.generation import GREEDY, contrastive_search, generate
from jnn.models import TRANSFORMER, DecoderConfig, decoder_model, decoder_spec
from jnn.param import abstract
from tests.models.decoders import LEARNED, moved

ROWLESS = dataclasses.replace(TRANSFORMER, rows=None)
CONFIG = DecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=12, kv_heads=1, windows=(3, None))
MODEL, PROMPT, SIZE = decoder_model(CONFIG), jnp.array([[1, 2, 3], [4, 5, 6]]), 12


def by_definition(p, prompt, steps, k, alpha):
    whole = jax.jit(lambda p, tokens: MODEL.rows(p, tokens, MODEL.cache(p, SIZE))[0])
    logits = jax.jit(MODEL.read_out)
    rows_of = lambda text: np.asarray(whole(p, jnp.array([*text, *[0] * (SIZE - len(text))])))
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    text = list(prompt)
    for _ in range(steps):
        rows = rows_of(text)[: len(text)]
        chances = jax.nn.softmax(logits(p, jnp.asarray(rows[-1:]))[0])
        score = {}
        for token in np.argsort(-chances)[:k].tolist():
            row = rows_of([*text, token])[len(text)]
            score[token] = (1 - alpha) * chances[token] - alpha * max(cosine(row, before) for before in rows)
        text.append(max(score, key=score.get))
    return text


def test_each_token_is_what_the_definition_says():
    p = moved(decoder_spec(CONFIG), 0.5)
    found = contrastive_search(p, PROMPT, 6, MODEL, top_k=4, alpha=0.6)
    assert found.tokens.tolist() == [by_definition(p, prompt, 6, 4, 0.6) for prompt in PROMPT.tolist()]


@pytest.mark.slow
def test_without_a_weight_on_likeness_it_is_greedy():
    p = moved(decoder_spec(CONFIG), 0.5)
    greedy = generate(p, PROMPT, 6, MODEL, GREEDY)
    assert (contrastive_search(p, PROMPT, 6, MODEL, top_k=4, alpha=0.6).tokens != greedy.tokens).any()
    plain = contrastive_search(p, PROMPT, 6, MODEL, top_k=4, alpha=0.0)
    np.testing.assert_array_equal(plain.tokens, greedy.tokens)
    np.testing.assert_allclose(plain.log_probs, greedy.log_probs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: contrastive_search(p, PROMPT, 2, TRANSFORMER, top_k=12), "top_k in 1..11"),
        (lambda p: contrastive_search(p, PROMPT, 2, TRANSFORMER, alpha=1.5), "an alpha from 0 to 1"),
        (lambda p: contrastive_search(p, PROMPT, 2, ROWLESS), "a model that gives the rows"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=f"contrastive_search: .*{message}"):
        call(moved(LEARNED))


def test_in_double_precision_likeness_is_of_rows_as_they_are():
    with jax.enable_x64(True):
        p = abstract(decoder_spec(CONFIG, dtype=jnp.float64))
        found = jax.eval_shape(lambda p: contrastive_search(p, PROMPT, 6, MODEL, end=3), p)
    assert (found.tokens.dtype, found.log_probs.dtype) == (jnp.int32, jnp.float32)


def test_a_token_that_cannot_be_is_no_candidate():
    """However unlike the text its row is: here they are all alike but that of the token which is ruled out."""
    rows = lambda p, tokens, cache: (
        jnp.where(tokens[..., None] == 2, jnp.array([-1.0, 0.0]), jnp.array([1.0, 0.0])),
        cache,
    )
    read_out = lambda p, rows: jnp.broadcast_to(jnp.array([0.0, 0.0, -jnp.inf]), (*rows.shape[:-1], 3))
    cache = lambda p, length, leading=(): {"next": jnp.zeros(leading, jnp.int32)}
    model = CachedModel(cache, lambda p, x, c: (read_out(p, x), c), lambda p: 3, rows=rows, read_out=read_out)
    found = contrastive_search({}, jnp.array([0]), 3, model, top_k=3, alpha=0.9)
    assert 2 not in found.tokens.tolist()
