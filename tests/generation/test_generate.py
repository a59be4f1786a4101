"""Generation: greedy = argmax, draws by the key, two compilations, within programs, ragged batches, ends; bad input."""

import dataclasses
import logging
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.generation import GREEDY, Sampling, beam_search, generate, host_mask
from jnn.models import MAMBA2, TRANSFORMER, DecoderConfig, decoder_model, decoder_spec, mamba2_decoder_spec, transformer
from jnn.param import abstract
from tests.models.decoders import LEARNED, VARIANTS, moved

KEY = jax.random.key(0)
PROMPT, STEPS = jnp.array([[1, 2, 3], [4, 5, 6]]), 4  # the same throughout: what one test compiled the next one finds


def write(p, prompt, steps, key=None, **options):
    """The tokens of a transformer's text."""
    return generate(p, prompt, steps, TRANSFORMER, Sampling(**options), key=key).tokens


@VARIANTS
def test_greedy_generation_is_the_argmax_of_the_whole(spec):
    """Of the whole of what was generated, which is causal: each token is what the tokens before it call for."""
    p = moved(spec)
    generated = write(p, PROMPT, STEPS, temperature=0)
    likeliest = jax.jit(lambda p, tokens: transformer(p, tokens, key=None).argmax(-1))(p, generated)
    np.testing.assert_array_equal(generated[:, :3], PROMPT)
    np.testing.assert_array_equal(generated[:, 3:], likeliest[:, 2:-1])


def test_sampling_follows_the_key_and_the_distribution():
    p, prompt = moved(LEARNED), jnp.broadcast_to(jnp.array([1, 2]), (4000, 2))
    draw = lambda key, **options: write(p, prompt, 1, key=jax.random.key(key), **options)[:, -1]
    logits = jax.jit(lambda p: transformer(p, prompt[0], key=None)[-1] / 2.0)(p)
    np.testing.assert_array_equal(draw(0), draw(0))
    assert (np.asarray(draw(0)) != np.asarray(draw(1))).any()
    frequencies = np.bincount(draw(0, temperature=2.0), minlength=11) / 4000
    np.testing.assert_allclose(frequencies, jax.nn.softmax(logits), atol=0.04)  # 5 standard deviations
    assert set(draw(0, top_k=3).tolist()) == set(jax.lax.top_k(logits, 3)[1].tolist())


def test_generation_compiles_twice_in_all(caplog):
    jax.clear_caches()
    p, key = moved(LEARNED), jax.random.key(0)
    prompts = [jnp.array([1, 2, 3]), jnp.array([4, 5, 6])]
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for prompt, steps, temperature in zip(prompts, (5, 2), (1.0, 0.5), strict=True):
            write(p, prompt, steps, key=key, temperature=temperature, top_k=4)
    compiled = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Finished XLA compilation")]
    assert ["prefill" in compiled[0], "decode" in compiled[1], len(compiled)] == [True, True, 2], compiled


def tied(value=0.0):
    """A decoder whose logits are all alike."""
    return jax.tree.map(lambda x: jnp.full(x.shape, value), jnn.init(LEARNED, KEY))


@pytest.mark.parametrize("k", [1, 3, 11])
def test_top_k_draws_among_exactly_k_where_logits_tie(k):
    prompt = jnp.ones((400, 1), int)
    drawn = write(tied(), prompt, 1, key=KEY, top_k=k)[:, -1]
    assert set(drawn.tolist()) == set(range(k))


def test_one_of_one_and_a_temperature_of_nearly_nothing_are_greedy():
    p, prompt = moved(LEARNED), PROMPT
    greedy = write(p, prompt, STEPS, temperature=0)
    np.testing.assert_array_equal(write(p, prompt, STEPS, key=KEY, top_k=1), greedy)
    np.testing.assert_array_equal(write(p, prompt, STEPS, key=KEY, temperature=1e-30), greedy)
    huge = p | {"norm": jax.tree.map(lambda x: x * 1e36, p["norm"])}  # logits that are finite until they are divided
    np.testing.assert_array_equal(
        write(huge, prompt, 1, key=KEY, temperature=1e-3), write(huge, prompt, 1, temperature=0)
    )


@VARIANTS
def test_within_a_program_and_exported_it_draws_the_same(spec):
    """`jit` with a traced temperature, and `jax.export` for any number of rows and any length of the prompt."""
    p, prompt = moved(spec), PROMPT
    run = jax.jit(lambda p, prompt, key, t: write(p, prompt, STEPS, key=key, temperature=t, top_k=5))
    options = {"key": KEY, "top_k": 5}
    for t in (0.7, 0.0):
        np.testing.assert_array_equal(run(p, prompt, KEY, t), write(p, prompt, STEPS, temperature=t, **options))
    greedy = jax.jit(lambda p, prompt: write(p, prompt, STEPS, temperature=0))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), p)
    rows = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, t", constraints=["t <= 4"]), prompt.dtype)
    exported = jax.export.export(greedy)(shapes, rows)
    for part in (prompt, prompt[:1, :2]):
        np.testing.assert_array_equal(exported.call(p, part), write(p, part, STEPS, temperature=0))


def test_within_a_program_what_cannot_be_drawn_is_marked():
    p, prompt = moved(LEARNED), jnp.array([1, 2])
    run = jax.jit(lambda p, t: write(p, prompt, 2, key=KEY, temperature=t))
    assert run(tied(jnp.nan), 1.0).tolist() == [1, 2, -1, -1]
    assert run(p, jnp.nan).tolist() == run(p, -1.0).tolist() == [1, 2, -1, -1]
    assert min(run(p, 1.0).tolist()) >= 0
    alone = jax.jit(lambda t: write(p, prompt, 2, KEY, temperature=t))  # of a program in which nothing else is traced
    assert alone(1.0).tolist() == run(p, 1.0).tolist()


RAGGED, LENGTHS = jnp.array([[1, 2, 3], [4, 0, 0]]), jnp.array([3, 1])
WINDOWS = DecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=12, kv_heads=1, windows=(2, None))
ALONE = dataclasses.replace(TRANSFORMER, paged_cache=None)
MODELS = pytest.mark.parametrize(
    ("spec", "model"),
    [
        pytest.param(LEARNED, TRANSFORMER, marks=pytest.mark.slow, id="transformer"),
        pytest.param(decoder_spec(WINDOWS), decoder_model(WINDOWS), id="decoder"),
    ],
)


@MODELS
@pytest.mark.parametrize(
    "sampling", [pytest.param(GREEDY, marks=pytest.mark.slow), Sampling(top_p=0.9, repetition=1.2)]
)
def test_prompts_of_different_lengths_give_the_text_that_each_gives_alone(spec, model, sampling):
    """By chance, if each has a key of its own."""
    p, keys = moved(spec, 0.5), jax.random.split(KEY, 2)
    found = generate(p, RAGGED, 5, model, sampling, key=keys, lengths=LENGTHS)
    assert found.lengths.tolist() == [8, 6]
    for i, n in enumerate(LENGTHS.tolist()):
        alone = generate(p, RAGGED[i, :n], 5, model, sampling, key=keys[i])
        np.testing.assert_array_equal(found.tokens[i], np.pad(alone.tokens, (0, 3 - n)))
        np.testing.assert_allclose(found.log_probs[i, : n + 5], alone.log_probs, rtol=1e-4, atol=1e-4)


def test_how_many_tokens_a_call_draws_changes_none():
    p, sampling = moved(LEARNED), Sampling(top_k=5, frequency=0.5)
    texts = [generate(p, PROMPT, 5, TRANSFORMER, sampling, key=KEY, end=9, per_call=n).tokens for n in (1, 2, 16)]
    np.testing.assert_array_equal(texts[0], texts[1])
    np.testing.assert_array_equal(texts[0], texts[2])


def test_log_probs_are_the_models_own():
    p = moved(LEARNED)
    found = generate(p, PROMPT, STEPS, TRANSFORMER, Sampling(0.5, top_k=4), key=KEY)
    logs = jax.jit(lambda p, tokens: jax.nn.log_softmax(transformer(p, tokens, key=None)))(p, found.tokens)
    wanted = jnp.take_along_axis(logs[:, 2:-1], found.tokens[:, 3:, None], -1)[..., 0]
    np.testing.assert_allclose(found.log_probs, np.pad(wanted, ((0, 0), (3, 0))), rtol=1e-4, atol=1e-4)


def test_a_text_ends_behind_its_first_end():
    p = moved(LEARNED, 0.5)
    whole = np.asarray(generate(p, PROMPT, 5, TRANSFORMER, key=KEY).tokens)
    end = int(whole[0, 4])  # the second that the first text draws
    found = generate(p, PROMPT, 5, TRANSFORMER, key=KEY, end=(end, 10))
    for row, n, text in zip(found.tokens, found.lengths.tolist(), whole, strict=True):
        ends = [i for i in range(3, 8) if text[i] in (end, 10)]
        assert n == (ends[0] + 1 if ends else 8)
        assert row.tolist() == [*text[:n], *[end] * (8 - n)]
    assert found.lengths[0] <= 5
    assert (found.log_probs[0, found.lengths[0] :] == 0).all()


def nothing(tokens, lengths):
    return jnp.zeros((*lengths.shape, 11), bool)


def upward(tokens, lengths):
    """The next token is larger than the last one, or 10."""
    last = jnp.take_along_axis(tokens, lengths[..., None] - 1, -1)
    return jnp.broadcast_to(jnp.arange(11), (*lengths.shape, 11)) > jnp.minimum(last, 9)


def test_a_mask_says_what_may_come_whether_of_jax_or_of_the_host():
    p = moved(LEARNED)
    draw = lambda allow: generate(p, PROMPT, 5, TRANSFORMER, key=KEY, allow=allow).tokens
    found = np.asarray(draw(upward))
    assert ((np.diff(found[:, 2:]) > 0) | (found[:, 3:] == 10)).all()
    asked = host_mask(lambda tokens: np.arange(11) > min(tokens[-1], 9), 11)
    np.testing.assert_array_equal(draw(asked), found)


@pytest.mark.parametrize("found", [[1, 2], np.arange(11), np.ones((1, 11), bool)], ids=["tokens", "integers", "rows"])
def test_what_is_no_mask_of_the_host_says_how_to_make_one(found):
    allow = host_mask(lambda tokens: found, 11)
    with pytest.raises(Exception, match=r"host_mask: expected a boolean for each of 11 tokens.*np\.isin\(np"):
        jax.block_until_ready(jax.jit(allow)(jnp.zeros((1, 3), jnp.int32), jnp.array([2])))


@pytest.mark.parametrize(
    ("chunk", "found"),
    [
        (lambda p, tokens, cache: TRANSFORMER.chunk(p, tokens, cache)[0], "no pair, but"),
        (lambda p, tokens, cache: (jnp.zeros((*tokens.shape, 12)), cache), r"logits \(2, 2, 12\)"),
    ],
)
def test_a_model_of_ones_own_is_told_what_its_chunk_gives(chunk, found):
    model = dataclasses.replace(TRANSFORMER, chunk=chunk)
    with pytest.raises(ValueError, match=rf"of its chunk \(logits \(2, 2, 11\), cache\), found {found}"):
        generate(moved(LEARNED), PROMPT, 2, model, GREEDY)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: write(p, jnp.arange(3), 6, key=jax.random.key(0)), ValueError, "exceed the 8 learned positions"),
        (lambda p: write(p, jnp.arange(3), 0, key=jax.random.key(0)), ValueError, "expected steps >= 1"),
        (lambda p: write(p, jnp.array([-1]), 2, key=jax.random.key(0)), ValueError, "generate: expected tokens in"),
        (lambda p: write(p, jnp.arange(3), 2, key=jax.random.key(0), top_k=12), ValueError, "top_k in 1..11"),
        (lambda p: write(p, jnp.arange(3), 2.5, key=KEY), ValueError, "expected steps >= 1.*found 2.5"),
        (
            lambda p: write(p, jnp.arange(3), 2, key=KEY, temperature=float("nan")),
            ValueError,
            "a temperature that is finite",
        ),
        (
            lambda p: write(p, jnp.arange(3), 2, key=KEY, temperature=float("inf")),
            ValueError,
            "a temperature that is finite",
        ),
        (lambda p: write(p, jnp.arange(3), 2, key=KEY, temperature="warm"), ValueError, "temperature.*found warm"),
        (lambda p: write(p, jnp.arange(3), 2), ValueError, r"needs a key, found None.*GREEDY.* for the likel"),
        (lambda p: write(p, jnp.arange(3), 2, key=0), TypeError, r"generate: expected one PRNG key, found 0\."),
        (lambda p: generate(p, jnp.arange(3), 2, None), TypeError, "generate: expected a model, such as jnn.models"),
        (lambda p: generate(p, jnp.arange(3), 2, TRANSFORMER, 0.5), TypeError, "expected a jnn.generation.Sampling"),
        (
            lambda p: write(p, PROMPT, 2, KEY, temperature=jnp.ones(3)),
            ValueError,
            r"a temperature for each of the rows \(2,\), or one for all, found \(3,\)",
        ),
        (
            lambda p: write(p, jnp.arange(3), 2, KEY, min_p=jnp.ones(1)),
            ValueError,
            r"one min_p of one row, found \(1,\)",
        ),
        (lambda p: write(p, jnp.arange(3), 2, KEY, top_p=0.0), ValueError, "top_p that is over 0 and at most 1"),
        (lambda p: write(p, jnp.arange(3), 2, KEY, repetition=-1), ValueError, "a repetition that is positive"),
        (lambda p: generate(p, RAGGED, 2, TRANSFORMER, GREEDY, lengths=LENGTHS + 1), ValueError, "expected lengths"),
        (
            lambda p: generate(p, RAGGED, 2, TRANSFORMER, GREEDY, lengths=LENGTHS[:1]),
            ValueError,
            r"lengths \(2,\), one",
        ),
        (
            lambda p: generate(p, RAGGED, 2, ALONE, GREEDY, lengths=LENGTHS),
            ValueError,
            "different lengths need a model with a paged cache",
        ),
        (lambda p: generate(p, PROMPT, 2, TRANSFORMER, key=jax.random.split(KEY, 3)), ValueError, "one a row"),
        (lambda p: generate(p, PROMPT, 2, TRANSFORMER, GREEDY, end=11), ValueError, "an end token in 0..10"),
        (lambda p: generate(p, PROMPT, 2, TRANSFORMER, GREEDY, stop=["."]), ValueError, "stop strings that are not"),
        (lambda p: generate(p, PROMPT, 2, TRANSFORMER, GREEDY, per_call=0), ValueError, "per_call"),
        (lambda p: generate(p, PROMPT, 2, TRANSFORMER, GREEDY, allow=nothing), ValueError, "no token is allowed"),
        (lambda p: write(tied(jnp.nan), jnp.arange(3), 2, key=KEY), ValueError, "logits of step 0 are NaN"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(LEARNED, jax.random.key(0)))


@pytest.mark.parametrize("draw", [partial(generate, sampling=GREEDY), partial(beam_search, beams=2)])
@pytest.mark.parametrize("mask", [jnp.full(11, 2), jnp.ones(11), jnp.ones(3, bool)], ids=str)
def test_what_may_come_next_is_said_by_booleans_of_all_tokens(draw, mask):
    with pytest.raises(ValueError, match=r"allow: expected bool \(\.\.\., 11\), .* found (int|float|bool)"):
        jax.eval_shape(lambda p: draw(p, PROMPT, 2, TRANSFORMER, allow=lambda *_: mask), abstract(LEARNED))


SIZES = DecoderConfig(vocab=11, layers=1, heads=1, embed=4, hidden=4)
OTHERS = {
    "nothing": (lambda spec: None, "found NoneType"),
    "a list": (lambda spec: [1], "found list"),
    "a spec": (lambda spec: spec, r"found jnn\.Param\. That is a spec; make params of it"),
    "a state": (lambda spec: SimpleNamespace(params=1), r"Give those that it holds: state\.params"),
    "another's": (lambda spec: {"w": jnp.ones(3)}, r"found the names \['w'\]"),
}
READERS = {"TRANSFORMER": (TRANSFORMER, LEARNED), "decoder": (decoder_model(SIZES), decoder_spec(SIZES))}
READERS["MAMBA2"] = (MAMBA2, mamba2_decoder_spec(11, layers=1, embed=4, heads=2, head=2, states=2))


@pytest.mark.parametrize("model", READERS)
@pytest.mark.parametrize("what", OTHERS)
def test_what_are_no_params_of_the_model_is_one_clear_error(what, model):
    (own, spec), (other, message) = READERS[model], OTHERS[what]
    with pytest.raises((TypeError, ValueError), match=f"^(generate|transformer|decoder|mamba2_decoder): .*{message}"):
        generate(other(spec), jnp.arange(3), 2, own, GREEDY)
