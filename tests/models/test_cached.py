"""Language models a chunk at a time: cached = whole for every cut; with pages, each row by cuts of its own."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.models import (
    DecoderConfig,
    cached_transformer,
    decoder,
    decoder_model,
    decoder_spec,
    paged_decoder,
    paged_decoder_cache,
    paged_transformer,
    paged_transformer_cache,
    transformer,
    transformer_cache,
)
from tests.models.decoders import LEARNED, ROTARY, VARIANTS, moved

WINDOWS = DecoderConfig(vocab=11, layers=4, heads=2, embed=8, hidden=12, kv_heads=1, windows=(2, None))
TABLE = jnp.array([[5, 0, 3], [1, 4, -1], [2, -1, -1]])  # pages of 3


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


PAGED = {
    "learned": (LEARNED, partial(transformer, key=None), paged_transformer_cache, paged_transformer),
    "rotary-grouped": (ROTARY, partial(transformer, key=None), paged_transformer_cache, paged_transformer),
    "decoder-windows": (
        decoder_spec(WINDOWS),
        partial(decoder, config=WINDOWS, key=None),
        lambda p, *args: paged_decoder_cache(p, WINDOWS, *args),
        partial(paged_decoder, config=WINDOWS),
    ),
}


@pytest.mark.parametrize(("spec", "whole", "empty", "chunk"), PAGED.values(), ids=PAGED)
def test_law_9_each_row_by_cuts_of_its_own_equals_the_whole(spec, whole, empty, chunk):
    p, rng = moved(spec), np.random.default_rng(0)
    texts = [rng.integers(0, 11, n) for n in (8, 5, 3)]
    wanted = jax.jit(whole)(p, jnp.array([np.pad(text, (0, 8 - len(text))) for text in texts]))
    step, cache, at = jax.jit(chunk), empty(p, 6, 3, TABLE), [0, 0, 0]
    for many in ([3, 1, 0], [2, 3, 2], [0, 1, 1], [3, 0, 0]):  # how many of each are read
        rows = [np.pad(text[i : i + n], (0, 3 - n)) for text, i, n in zip(texts, at, many, strict=True)]
        logits, cache = step(p, jnp.array(rows), cache, lengths=jnp.array(many))
        for row, (i, n) in enumerate(zip(at, many, strict=True)):
            np.testing.assert_allclose(logits[row, :n], wanted[row, i : i + n], rtol=1e-4, atol=1e-4)
        at = np.add(at, many)
    assert cache["next"].tolist() == [8, 5, 3]
    back = cache | {"next": cache["next"] - jnp.array([2, 1, 0])}  # what is read again gives the same again
    again = step(p, jnp.array([texts[0][6:8], [texts[1][4], 0], [0, 0]]), back, lengths=jnp.array([2, 1, 0]))[0]
    np.testing.assert_allclose(again[0], wanted[0, 6:8], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(again[1, 0], wanted[1, 4], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: cached_transformer(p, jnp.ones(3), transformer_cache(p, 8)), TypeError, "expected integers"),
        (
            lambda p: paged_transformer(p, jnp.ones((3, 1)), paged_transformer_cache(p, 6, 3, TABLE)),
            TypeError,
            "paged_transformer: expected integers",
        ),
        (
            lambda p: paged_transformer(p, jnp.ones((2, 1), int), paged_transformer_cache(p, 6, 3, TABLE)),
            ValueError,
            r"leading axes \(2,\)",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(LEARNED, jax.random.key(0)))


def test_caches_of_8_bits_are_near_the_whole_in_pages_too():
    p, model = moved(decoder_spec(WINDOWS), 0.5), decoder_model(WINDOWS, dtype=jnp.int8)
    tokens = np.random.default_rng(1).integers(0, 11, (2, 5))
    whole = jax.jit(lambda p, tokens: decoder(p, tokens, WINDOWS, key=None))(p, tokens)
    kept, paged = model.cache(p, 5, leading=(2,)), model.paged_cache(p, 4, 3, jnp.array([[3, 0], [1, 2]]))
    assert (kept[0]["k"].dtype, paged["k"].dtype, paged["v_scales"].shape) == (jnp.int8, jnp.int8, (4, 4, 3, 1, 1))
    found, kept = jax.jit(model.chunk)(p, tokens, kept)
    assert 0 < abs(found - whole).max() < 0.1 * abs(whole).max()
    step = jax.jit(lambda p, tokens, cache, lengths: model.paged_chunk(p, tokens, cache, lengths=lengths))
    first, paged = step(p, tokens[:, :3], paged, jnp.array([3, 2]))
    last, paged = step(p, np.stack([[*tokens[0, 3:], 0], tokens[1, 2:]]), paged, jnp.array([2, 3]))
    np.testing.assert_allclose(jnp.concatenate([first[0], last[0, :2]]), found[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jnp.concatenate([first[1, :2], last[1]]), found[1], rtol=1e-4, atol=1e-4)
