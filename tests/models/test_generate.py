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


@VARIANTS
def test_law_9_cached_equals_whole_for_every_cut(spec):
    p, t = moved(spec), 5
    tokens = jax.random.randint(jax.random.key(1), (2, t), 0, 11)
    whole = transformer(p, tokens, key=None)
    step = jax.jit(cached_transformer)
    for cut in (list(cut) for n in range(t) for cut in itertools.combinations(range(1, t), n)):
        cache, rows = transformer_cache(p, 8, leading=(2,)), []
        for chunk in jnp.split(tokens, cut, axis=1):
            logits, cache = step(p, chunk, cache)
            rows.append(logits)
        np.testing.assert_allclose(jnp.concatenate(rows, 1), whole, rtol=1e-4, atol=1e-4, err_msg=f"cut at {cut}")


@VARIANTS
def test_greedy_generation_is_the_argmax_of_the_whole(spec):
    p, tokens = moved(spec), jnp.array([[1, 2, 3], [4, 5, 6]])
    generated = generate(p, tokens, 5, key=jax.random.key(0), temperature=0.0)
    for _ in range(5):
        tokens = jnp.concatenate([tokens, transformer(p, tokens, key=None)[:, -1:].argmax(-1)], axis=1)
    np.testing.assert_array_equal(generated, tokens)


def test_sampling_follows_the_key_and_the_distribution():
    p, prompt = moved(LEARNED), jnp.broadcast_to(jnp.array([1, 2]), (4000, 2))
    draw = lambda key, **options: generate(p, prompt, 1, key=jax.random.key(key), **options)[:, -1]
    logits = transformer(p, prompt[0], key=None)[-1] / 2.0
    np.testing.assert_array_equal(draw(0), draw(0))
    assert (draw(0) != draw(1)).any()
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


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: cached_transformer(p, jnp.ones(3), transformer_cache(p, 8)), TypeError, "expected integers"),
        (lambda p: generate(p, jnp.arange(3), 6, key=jax.random.key(0)), ValueError, "exceed the 8 learned positions"),
        (lambda p: generate(p, jnp.arange(3), 0, key=jax.random.key(0)), ValueError, "expected steps >= 1"),
        (lambda p: generate(p, jnp.array([-1]), 2, key=jax.random.key(0)), ValueError, "generate: expected tokens in"),
        (lambda p: generate(p, jnp.arange(3), 2, key=jax.random.key(0), top_k=12), ValueError, "top_k in 1..11"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(LEARNED, jax.random.key(0)))
