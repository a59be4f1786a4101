"""Streamed text: whole characters, nothing of a stop string; the same text whatever a call draws."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.cached_model import CachedModel
from jnn.generation import GREEDY, Transcript, generate, speculative_generate, stream

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
    end = ord(".")
    for ends in (end, [end], {end}, np.array(end), jnp.array([end]), (token for token in [end])):
        assert "".join(pieces(end=ends)) == TEXT[: TEXT.index(".")]


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
    for draw in (
        generate,
        partial(stream, tokenizer=BYTES),
    ):  # when it is called, not when the first piece is asked for
        with pytest.raises(ValueError, match="per_call"):
            draw({}, PROMPT, 2, MODEL, GREEDY, per_call=0)
    with pytest.raises(ValueError, match="stop strings that are not empty"):
        stream({}, PROMPT, 2, MODEL, GREEDY, tokenizer=BYTES, stop=[""])
    for tokenizer in (None, 3):
        with pytest.raises(TypeError, match=r"stream: expected a tokenizer whose decode\(tokens\) .* found (None|int)"):
            stream({}, PROMPT, 2, MODEL, GREEDY, tokenizer=tokenizer)
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


def sentencepiece():
    """Pieces with the space before them, and bytes for what has no piece, as Llama's first tokenizer has them."""
    tokenizers = pytest.importorskip("tokenizers")
    pieces = ["<s>", "\u2581", "\u2581ok", "\u2581the", "o", "n", "!", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    own = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[], byte_fallback=True))
    own.add_special_tokens(["<s>"])
    parts = tokenizers.decoders
    strip = parts.Strip(" ", 1, 0)
    own.decoder = parts.Sequence([parts.Replace("\u2581", " "), parts.ByteFallback(), parts.Fuse(), strip])
    return own


def bytelevel():
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    own = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    own.decoder = tokenizers.decoders.ByteLevel()
    return own


@pytest.mark.parametrize("make", [sentencepiece, bytelevel])
@pytest.mark.parametrize("seed", range(6))
def test_what_is_new_is_what_decoding_all_of_it_would_give(make, seed):
    """Random tokens, among them halves of characters and tokens without text, in random portions."""
    tokenizer, rng = make(), np.random.default_rng(seed)
    size = tokenizer.get_vocab_size()
    tokens = rng.integers(0, size if seed % 2 else min(size, 7), 120).tolist()
    if seed % 3 == 0:
        tokens[40:100] = [size - 256 + byte for byte in "\u65e5\u672c".encode() * 10]
    given, n, shown, longest = int(rng.integers(0, 20)), 0, "", ""
    text = Transcript(tokenizer, tokens[:given])
    context = tokens[max(0, given - 16) : given]
    before = len(tokenizer.decode(context).rstrip("\ufffd"))
    whole = lambda n: tokenizer.decode(context + tokens[given : given + n])[before:]
    while n < len(tokens) - given:
        n = min(len(tokens) - given, n + int(rng.integers(1, 5)))
        longest = max(whole(n).rstrip("\ufffd"), longest, key=len)
        shown += text.grown(tokens[given : given + n])
        assert text.shown == longest


def test_a_piece_costs_the_decoding_of_a_few_tokens_however_long_the_text_is():
    decoded = []
    counting = SimpleNamespace(decode=lambda tokens: (decoded.append(len(tokens)), BYTES.decode(tokens))[1])
    text, tokens = Transcript(counting, list(b"Say "), ["never"]), list(TEXT.encode() * 30)
    shown = "".join(text.grown(tokens[:n]) for n in range(1, len(tokens) + 1)) + text.last(tokens)
    assert shown == TEXT * 30
    assert max(decoded) < 64
    assert text.grown(tokens[:3]) == ""  # fewer again are no harm


def test_looking_for_a_stop_string_decodes_each_token_a_few_times_however_long_the_text():
    decoded = []
    counting = SimpleNamespace(decode=lambda tokens: decoded.append(len(tokens)) or BYTES.decode(tokens))
    model = says(b"a word and " * 18)
    for per_call in (1, 16):
        decoded.clear()
        generate({}, PROMPT, 192, model, GREEDY, stop=["never"], tokenizer=counting, per_call=per_call)
        assert max(decoded) < 60
