"""Speculative decoding: greedily the same tokens, by chance the same distribution; what is looked up in a text."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.generation import (
    GREEDY,
    DraftModel,
    PromptLookup,
    Sampling,
    acceptance,
    generate,
    residual,
    speculative_generate,
    verify,
)
from jnn.models import TRANSFORMER, DecoderConfig, decoder_model, decoder_spec, transformer_spec
from tests.models.decoders import moved

KEY = jax.random.key(0)
TARGET = DecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=12, kv_heads=1, windows=(3, None))
PROMPT, LENGTHS = jnp.array([[1, 2, 1, 2, 3], [4, 5, 6, 4, 0], [7, 0, 0, 0, 0]]), jnp.array([5, 4, 1])
SMALL = transformer_spec(11, 32, layers=1, heads=2, embed=8)
DRAFTS = {
    "lookup": PromptLookup(),
    "model": DraftModel(moved(SMALL, 0.5), TRANSFORMER),
    "itself": DraftModel(moved(decoder_spec(TARGET), 0.5), decoder_model(TARGET)),
}


def distributions(n, v=6, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(v), n)
    p[0] = np.eye(v)[2]
    p[1, :3], p[1] = 0, p[1] / p[1, 3:].sum() if p[1, 3:].sum() else p[1]
    return p / p.sum(-1, keepdims=True)


def test_what_stays_and_what_takes_its_place_have_the_targets_distribution():
    target, draft = distributions(40), distributions(40, seed=1)[::-1]
    for p, q in itertools.product(target, draft):
        stays = q * np.asarray(acceptance(p, q))
        found = stays + (1 - stays.sum()) * np.asarray(residual(p, q))
        np.testing.assert_allclose(found, p, atol=1e-6)
    np.testing.assert_allclose(residual(target, target), target, atol=1e-6)


def test_verifying_draws_by_the_rule():
    """The first token's distribution over many draws, and how many stay."""
    target, draft = distributions(3, 4, seed=2)[[0, 2, 2]], distributions(3, 4, seed=3)[1:]
    draft = np.roll(draft, 1, 0)

    def one(key):
        drawing, judging = jax.random.split(key)
        drafted = jax.random.categorical(drawing, jnp.log(draft))
        count, token = verify(judging, drafted, jnp.asarray(draft), jnp.asarray(target))
        return count, jnp.where(count > 0, drafted[0], token)

    counts, first = jax.jit(jax.vmap(one))(jax.random.split(KEY, 20_000))
    np.testing.assert_allclose(np.bincount(first, minlength=4) / 20_000, target[0], atol=0.02)
    stay = np.minimum(target[:2], draft).sum(-1)
    wanted = [1 - stay[0], stay[0] * (1 - stay[1]), stay[0] * stay[1]]
    np.testing.assert_allclose(np.bincount(counts, minlength=3) / 20_000, wanted, atol=0.02)


@pytest.mark.parametrize("draft", ["lookup", pytest.param("model", marks=pytest.mark.slow), "itself"])
def test_greedily_the_tokens_are_those_of_generate(draft):
    """Of prompts of different lengths, with windows, a penalty, and an end; its log-probabilities, too."""
    p = moved(decoder_spec(TARGET), 0.5)
    sampling = Sampling(temperature=0.0, repetition=jnp.array([1.1, 1.0, 1.2]))
    options = {"lengths": LENGTHS, "end": 9}
    wanted = generate(p, PROMPT, 12, decoder_model(TARGET), sampling, **options)
    found = speculative_generate(p, PROMPT, 12, decoder_model(TARGET), DRAFTS[draft], sampling, ahead=3, **options)
    np.testing.assert_array_equal(found.tokens, wanted.tokens)
    np.testing.assert_array_equal(found.lengths, wanted.lengths)
    np.testing.assert_allclose(found.log_probs, wanted.log_probs, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_up_to_the_last_learned_position():
    p, prompt = moved(transformer_spec(11, 8, layers=2, heads=2, embed=8), 0.5), jnp.array([1, 2, 1, 2])
    found = speculative_generate(p, prompt, 4, TRANSFORMER, PromptLookup(), GREEDY, ahead=3)
    np.testing.assert_array_equal(found.tokens, generate(p, prompt, 4, TRANSFORMER, GREEDY).tokens)


def test_what_is_looked_up():
    behind = jax.jit(PromptLookup(longest=2)._behind)
    look = lambda *tokens: int(behind(jnp.array([*tokens, *[0] * (12 - len(tokens))]), len(tokens)))
    assert look(1, 2, 3, 1, 2) == 2  # behind the pair
    assert look(1, 2, 3, 1, 2, 4, 1, 2) == 5  # behind the latest
    assert look(5, 2, 3, 1, 2) == 2  # no pair, but the last token
    assert look(1, 2, 3) == 2  # nowhere
    assert look(1) == 0


@pytest.mark.slow
@pytest.mark.parametrize("draft", DRAFTS)
def test_by_chance_the_distribution_is_that_of_generate(draft):
    """Of all texts of two tokens: chi-squared, against their exact probabilities."""
    from scipy.stats import chisquare

    p, n, sampling = moved(decoder_spec(TARGET), 0.5), 20_000, Sampling(temperature=1.3, top_k=4)
    prompt, model = jnp.array([1, 2, 1, 2, 1]), decoder_model(TARGET)
    many = jnp.broadcast_to(prompt, (n, 5))
    found = speculative_generate(p, many, 2, model, DRAFTS[draft], sampling, key=KEY, ahead=2).tokens[:, 5:]
    counts = np.bincount(np.asarray(found) @ [11, 1], minlength=121)
    plain = generate(p, many, 2, model, sampling, key=jax.random.key(1)).tokens[:, 5:]
    others = np.bincount(np.asarray(plain) @ [11, 1], minlength=121)
    from jnn.generation import History, adjusted_logits
    from jnn.models import decoder

    texts = jnp.concatenate([jnp.broadcast_to(prompt, (11, 5)), jnp.arange(11)[:, None]], 1)
    history = History(texts, jnp.full(11, 5), jnp.full(11, 6))
    chances = lambda logits: np.asarray(jax.nn.softmax(adjusted_logits(logits, sampling, history)), np.float64)
    logits = jax.jit(lambda p: decoder(p, texts, TARGET, key=None))(p)
    exact = (chances(logits[:, 4])[0][:, None] * chances(logits[:, 5])).ravel()
    for drawn in (counts, others):
        assert drawn[exact == 0].sum() == 0
        kept = exact * n > 5
        expected = exact[kept] * drawn[kept].sum() / exact[kept].sum()
        assert chisquare(drawn[kept], expected).pvalue > 1e-3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, m: speculative_generate(p, PROMPT, 2, m, 3, GREEDY), TypeError, "a DraftModel or a PromptLookup"),
        (lambda p, m: speculative_generate(p, PROMPT, 2, m, PromptLookup(0), GREEDY), ValueError, "longest"),
        (lambda p, m: speculative_generate(p, PROMPT, 2, m, PromptLookup(), GREEDY, ahead=0), ValueError, "ahead"),
        (lambda p, m: speculative_generate(p, PROMPT, 2, m, PromptLookup()), ValueError, "needs a key"),
        (
            lambda p, m: speculative_generate(
                p,
                PROMPT,
                2,
                m,
                DraftModel(moved(transformer_spec(9, 32, layers=1, heads=2, embed=8)), TRANSFORMER),
                GREEDY,
            ),
            ValueError,
            "a draft of the same 11 tokens, found one of 9",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(moved(decoder_spec(TARGET)), decoder_model(TARGET))
