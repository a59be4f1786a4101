"""The decoder as a generator: cached = whole for every cut, greedy = argmax, draws by the key, two compilations."""

import itertools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.models import cached_transformer, generate, transformer, transformer_cache
from tests.models.decoders import LEARNED, VARIANTS, moved

KEY = jax.random.key(0)
PROMPT, STEPS = jnp.array([[1, 2, 3], [4, 5, 6]]), 4  # the same throughout: what one test compiled the next one finds


@VARIANTS
def test_law_9_cached_equals_whole_for_every_cut(spec):
    p, t = moved(spec), 4
    tokens = np.random.default_rng(1).integers(0, 11, (2, t))
    whole = jax.jit(lambda p, tokens: transformer(p, tokens, key=None))(p, tokens)
    step, empty = jax.jit(cached_transformer), transformer_cache(p, 8, leading=(2,))
    for cut in (list(cut) for n in range(t) for cut in itertools.combinations(range(1, t), n)):
        cache, rows = empty, []
        for chunk in np.split(tokens, cut, axis=1):
            logits, cache = step(p, chunk, cache)
            rows.append(np.asarray(logits))
        np.testing.assert_allclose(np.concatenate(rows, 1), whole, rtol=1e-4, atol=1e-4, err_msg=f"cut at {cut}")


@VARIANTS
def test_greedy_generation_is_the_argmax_of_the_whole(spec):
    """Of the whole of what was generated, which is causal: each token is what the tokens before it call for."""
    p = moved(spec)
    generated = generate(p, PROMPT, STEPS, temperature=0)
    likeliest = jax.jit(lambda p, tokens: transformer(p, tokens, key=None).argmax(-1))(p, generated)
    np.testing.assert_array_equal(generated[:, :3], PROMPT)
    np.testing.assert_array_equal(generated[:, 3:], likeliest[:, 2:-1])


def test_sampling_follows_the_key_and_the_distribution():
    p, prompt = moved(LEARNED), jnp.broadcast_to(jnp.array([1, 2]), (4000, 2))
    draw = lambda key, **options: generate(p, prompt, 1, key=jax.random.key(key), **options)[:, -1]
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
            generate(p, prompt, steps, key=key, temperature=temperature, top_k=4)
    compiled = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Finished XLA compilation")]
    assert ["_prefill" in compiled[0], "_step" in compiled[1], len(compiled)] == [True, True, 2], compiled


def tied(value=0.0):
    """A decoder whose logits are all alike."""
    return jax.tree.map(lambda x: jnp.full(x.shape, value), jnn.init(LEARNED, KEY))


@pytest.mark.parametrize("k", [1, 3, 11])
def test_top_k_draws_among_exactly_k_where_logits_tie(k):
    prompt = jnp.ones((400, 1), int)
    drawn = generate(tied(), prompt, 1, key=KEY, top_k=k)[:, -1]
    assert set(drawn.tolist()) == set(range(k))


def test_one_of_one_and_a_temperature_of_nearly_nothing_are_greedy():
    p, prompt = moved(LEARNED), PROMPT
    greedy = generate(p, prompt, STEPS, temperature=0)
    np.testing.assert_array_equal(generate(p, prompt, STEPS, key=KEY, top_k=1), greedy)
    np.testing.assert_array_equal(generate(p, prompt, STEPS, key=KEY, temperature=1e-30), greedy)
    huge = p | {"norm": jax.tree.map(lambda x: x * 1e36, p["norm"])}  # logits that are finite until they are divided
    np.testing.assert_array_equal(
        generate(huge, prompt, 1, key=KEY, temperature=1e-3), generate(huge, prompt, 1, temperature=0)
    )


@VARIANTS
def test_within_a_program_and_exported_it_draws_the_same(spec):
    """`jit` with a traced temperature, and `jax.export` for any number of rows and any length of the prompt."""
    p, prompt = moved(spec), PROMPT
    run = jax.jit(lambda p, prompt, key, t: generate(p, prompt, STEPS, key=key, temperature=t, top_k=5))
    options = {"key": KEY, "top_k": 5}
    for t in (0.7, 0.0):
        np.testing.assert_array_equal(run(p, prompt, KEY, t), generate(p, prompt, STEPS, temperature=t, **options))
    greedy = jax.jit(lambda p, prompt: generate(p, prompt, STEPS, temperature=0))
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), p)
    rows = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, t", constraints=["t <= 4"]), prompt.dtype)
    exported = jax.export.export(greedy)(shapes, rows)
    for part in (prompt, prompt[:1, :2]):
        np.testing.assert_array_equal(exported.call(p, part), generate(p, part, STEPS, temperature=0))


def test_within_a_program_what_cannot_be_drawn_is_marked():
    p, prompt = moved(LEARNED), jnp.array([1, 2])
    run = jax.jit(lambda p, t: generate(p, prompt, 2, key=KEY, temperature=t))
    assert run(tied(jnp.nan), 1.0).tolist() == [1, 2, -1, -1]
    assert run(p, jnp.nan).tolist() == run(p, -1.0).tolist() == [1, 2, -1, -1]
    assert min(run(p, 1.0).tolist()) >= 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: cached_transformer(p, jnp.ones(3), transformer_cache(p, 8)), TypeError, "expected integers"),
        (lambda p: generate(p, jnp.arange(3), 6, key=jax.random.key(0)), ValueError, "exceed the 8 learned positions"),
        (lambda p: generate(p, jnp.arange(3), 0, key=jax.random.key(0)), ValueError, "expected steps >= 1"),
        (lambda p: generate(p, jnp.array([-1]), 2, key=jax.random.key(0)), ValueError, "generate: expected tokens in"),
        (lambda p: generate(p, jnp.arange(3), 2, key=jax.random.key(0), top_k=12), ValueError, "top_k in 1..11"),
        (lambda p: generate(p, jnp.arange(3), 2.5, key=KEY), ValueError, "expected steps >= 1.*found 2.5"),
        (lambda p: generate(p, jnp.arange(3), 2, key=KEY, temperature=float("nan")), ValueError, "finite temperature"),
        (lambda p: generate(p, jnp.arange(3), 2, key=KEY, temperature=float("inf")), ValueError, "finite temperature"),
        (lambda p: generate(p, jnp.arange(3), 2, key=KEY, temperature="warm"), ValueError, "found 2, warm"),
        (lambda p: generate(p, jnp.arange(3), 2), ValueError, r"needs a key, found None.*temperature=0 for the likel"),
        (lambda p: generate(p, jnp.arange(3), 2, key=0), TypeError, r"generate: expected one PRNG key, found 0\."),
        (lambda p: generate(tied(jnp.nan), jnp.arange(3), 2, key=KEY), ValueError, "logits of step 0 are NaN"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(LEARNED, jax.random.key(0)))
