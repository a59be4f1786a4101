"""Streamed text: whole characters, nothing of a stop string; the same text whatever a call draws."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.cached_model import CachedModel
from jnn.generation import GREEDY, generate, speculative_generate, stream

TEXT = "Zoë: «naïve» 日本 ok.\n\nend"
BYTES = SimpleNamespace(decode=lambda tokens: bytes(tokens).decode(errors="replace"))
PROMPT = jnp.array(list(b"Say "))


def says(content):
    """A model that says these bytes behind the prompt, whatever they are: its cache is how many it has read."""
    script = jnp.array([*b"Say ", *content, *[0] * 200])

    def chunk(p, tokens, cache):
        at = cache["next"] + jnp.arange(1, tokens.shape[-1] + 1)
        logits = jnp.broadcast_to(9.0 * jax.nn.one_hot(script[at], 256), (*tokens.shape, 256))
        return logits, {"next": cache["next"] + tokens.shape[-1]}

    return CachedModel(lambda p, length, leading=(): {"next": jnp.zeros((), jnp.int32)}, chunk, lambda p: 256)


MODEL = says(TEXT.encode())
STEPS = len(TEXT.encode())


def pieces(per_call=1, **options):
    return list(stream({}, PROMPT, STEPS, MODEL, GREEDY, tokenizer=BYTES, per_call=per_call, **options))


@pytest.mark.parametrize("per_call", [1, 3, 16])
def test_pieces_are_the_text_and_never_half_a_character(per_call):
    found = pieces(per_call)
    assert "".join(found) == TEXT
    assert "\ufffd" not in "".join(found)
    assert "" not in found
    assert len(found) > 1


def test_a_stop_string_is_never_shown():
    for per_call in (1, 3, 16):
        assert "".join(pieces(per_call, stop=("\n\n", "»»"))) == TEXT[: TEXT.index("\n\n")]
    assert pieces(stop=("ï",))[-1] == "a"
    assert "".join(pieces(end=ord("."))) == TEXT[: TEXT.index(".")]


def test_a_text_stops_with_the_token_that_completes_the_string():
    texts = [
        generate({}, PROMPT, STEPS, MODEL, GREEDY, stop=["ok", "日"], tokenizer=BYTES, per_call=n) for n in (1, 16)
    ]
    for found in texts:
        assert BYTES.decode(found.tokens[: found.lengths].tolist()) == "Say " + TEXT[: TEXT.index("日") + 1]
        assert not found.tokens[found.lengths :].any()


def test_rows_stop_each_by_itself():
    shifted = lambda tokens: "".join(chr(token) for token in tokens)
    prompts = jnp.stack([PROMPT, PROMPT])
    found = generate({}, prompts, 9, MODEL, GREEDY, stop=["Zo"], tokenizer=SimpleNamespace(decode=shifted))
    assert found.lengths.tolist() == [6, 6]


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match=r"expected one prompt \(t,\), found \(2, 4\)"):
        stream({}, jnp.stack([PROMPT, PROMPT]), 2, MODEL, tokenizer=BYTES)
    for draw in (generate, partial(stream, tokenizer=BYTES), partial(speculative_generate, draft=None)):
        with pytest.raises(TypeError, match="expected an array for prompt, found list"):
            draw({}, [1, 2], 2, MODEL)
    with pytest.raises(ValueError, match="stop strings that are not empty"):
        stream({}, PROMPT, 2, MODEL, GREEDY, tokenizer=BYTES, stop=[""])
    with pytest.raises(TypeError, match=r"several stop strings, found one str\. Give stop=\['end'\]"):
        generate({}, PROMPT, 2, MODEL, GREEDY, tokenizer=BYTES, stop="end")
    with pytest.raises(ValueError, match="not within `jit`"):
        jax.jit(lambda prompt: generate({}, prompt, 2, MODEL, GREEDY, stop=["a"], tokenizer=BYTES))(PROMPT)


def test_what_cannot_be_drawn_is_said_beside_stop_strings_too():
    broken = lambda p, tokens, cache: (MODEL.chunk(p, tokens, cache)[0] * jnp.nan, cache)
    model = CachedModel(MODEL.cache, broken, MODEL.vocab)
    for draw in (generate, lambda *args, **options: list(stream(*args, **options))):
        with pytest.raises(ValueError, match="the logits of step 0 are NaN"):
            draw({}, PROMPT, 4, model, GREEDY, tokenizer=BYTES, stop=["x"])


def test_what_the_model_rules_out_is_not_drawn_where_nothing_else_is_allowed():
    never = lambda p, tokens, cache: (jnp.where(jnp.arange(256) == 7, -jnp.inf, 0.0 * tokens[..., None]), cache)
    model = CachedModel(MODEL.cache, never, MODEL.vocab)
    only = lambda tokens, lengths: jnp.arange(256) == 7
    with pytest.raises(ValueError, match="no token is allowed there"):
        generate({}, PROMPT, 2, model, GREEDY, allow=only)


def test_a_real_tokenizer_in_pieces():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=256, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    prompt, whole = tokenizer.encode("Say ").ids, tokenizer.encode("Say " + TEXT).ids
    script = np.array([*whole, *[0] * 200])

    def chunk(p, tokens, cache):
        at = cache["next"] + jnp.arange(1, tokens.shape[-1] + 1)
        return 9.0 * jax.nn.one_hot(jnp.asarray(script)[at], 256), {"next": cache["next"] + tokens.shape[-1]}

    model = CachedModel(lambda p, length, leading=(): {"next": jnp.zeros((), jnp.int32)}, chunk, lambda p: 256)
    given = len(prompt)
    assert whole[:given] == prompt
    found = list(stream({}, jnp.array(prompt), len(whole) - given, model, GREEDY, tokenizer=tokenizer, per_call=1))
    assert "".join(found) == TEXT
