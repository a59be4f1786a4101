"""Subword tokenizers: round trips of hard text, published vocabularies, merges by hand, and one trained here."""

import itertools
import json

import numpy as np
import pytest

from jnn.data import data_root, gguf_tokenizer, read_gguf, read_tokenizer, tinyshakespeare, train_tokenizer

pytest.importorskip("tokenizers", reason="pip install 'jnn[text]'")
HARD = [
    "",
    " ",
    "Hello, world! It's 1234.5 o'clock, isn't it?",
    "  two spaces,\ttabs\t\t,\r\n\n newlines \n   ",
    "na\u00efve nai\u0308ve \u00df \u0130 \ufb01 \u212b",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f \uc548\ub155",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\U0001f469\u200d\U0001f469\u200d\U0001f466 \U0001f44d\U0001f3fd \U0001f1eb\U0001f1f7 \U0001d518",
    "\x00\x01\x1b[0m\x7f\u200b\u202e\ufeff\u2028\ufffd\U0010ffff",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "def f(x):\n    return x ** 2  # <|endoftext|> <b>\\n</b>",
]


def weights(*parts):
    """A folder of real vocabularies."""
    path = data_root().joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path


def assert_round_trip(tokenizer):
    for text, ids in zip(HARD, tokenizer.encode_all(HARD), strict=True):
        assert ids.dtype == np.int32
        assert tokenizer.decode(ids) == text
        assert ids.size == 0 or (ids.min() >= 0 and ids.max() < len(tokenizer))


def by_hand(word, ranks):
    """A word's parts: the pair that was merged first in training is merged first, from the left."""
    parts = list(word)
    while pairs := [pair for pair in itertools.pairwise(parts) if pair in ranks]:
        first, i, merged = min(pairs, key=ranks.__getitem__), 0, []
        while i < len(parts):
            both = tuple(parts[i : i + 2]) == first
            merged.append("".join(parts[i : i + 1 + both]))
            i += 1 + both
        parts = merged
    return parts


def test_gpt2s_vocabulary():
    folder = weights("tokenizers", "gpt2")
    tokenizer = read_tokenizer(folder)
    assert len(tokenizer) == 50257
    assert_round_trip(tokenizer)
    ids = json.loads((folder / "encoder.json").read_text())
    lines = (folder / "vocab.bpe").read_text().splitlines()[1:]
    ranks = {tuple(line.split(" ")): i for i, line in enumerate(lines)}
    for word in ("antidisestablishmentarianism", "tokenizers", "Mississippi", "zzzzzz"):
        expected = [ids[part] for part in by_hand(f"\u0120{word}", ranks)]
        assert tokenizer.encode(f" {word}").tolist() == expected


def test_minilms_vocabulary_is_neither_cut_nor_filled_up():
    folder = weights("weights", "minilm", "tokenizer.json").parent
    tokenizer, names = read_tokenizer(folder), (folder / "vocab.txt").read_text().splitlines()
    assert len(tokenizer) == len(names) == 30522
    words = ["[CLS]", "token", "##izer", "##s", "are", "fun", "[SEP]"]
    assert [names[i] for i in tokenizer.encode("Tokenizers are FUN", special=True)] == words
    assert [names[i] for i in tokenizer.encode("fun " * 200)] == ["fun"] * 200
    for text in HARD:
        assert all(0 <= i < 30522 for i in tokenizer.encode(text, special=True))
    assert tokenizer.encode(HARD[5]).tolist() == tokenizer.encode(tokenizer.decode(tokenizer.encode(HARD[5]))).tolist()


def test_smollm2s_vocabulary_in_its_gguf_file():
    metadata, _ = read_gguf(weights("weights", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"))
    tokenizer, tokens = gguf_tokenizer(metadata), metadata["tokenizer.ggml.tokens"]
    assert len(tokenizer) == 49152
    assert_round_trip(tokenizer)
    ranks = {tuple(merge.split(" ")): i for i, merge in enumerate(metadata["tokenizer.ggml.merges"])}
    assert [tokens[i] for i in tokenizer.encode(" Mississippi 42")] == [
        *by_hand("\u0120Mississippi", ranks),
        "\u0120",
        "4",
        "2",
    ]
    assert tokenizer.encode("<|im_start|>a").tolist() == [tokenizer.id("<|im_start|>"), tokenizer.id("a")]


@pytest.mark.slow
def test_ids_are_those_of_transformers():
    transformers = pytest.importorskip("transformers", reason="the oracle: pip install jnn[oracles]")
    pytest.importorskip("gguf", reason="with which it reads the file: pip install jnn[oracles]")
    folder, file = weights("tokenizers", "gpt2"), weights("weights", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
    files = {"vocab": str(folder / "encoder.json"), "merges": str(folder / "vocab.bpe")}
    bert = str(weights("weights", "minilm", "tokenizer.json"))
    for ours, theirs in (
        (read_tokenizer(folder), transformers.GPT2TokenizerFast(**files)),
        (
            gguf_tokenizer(read_gguf(file)[0]),
            transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name),
        ),
        (read_tokenizer(bert), transformers.PreTrainedTokenizerFast(tokenizer_file=bert)),
    ):
        for text in (*HARD, tinyshakespeare()[:100_000]):
            assert ours.encode(text).tolist() == theirs.encode(text, add_special_tokens=False)


def test_one_that_is_trained_here_knows_every_text(tmp_path):
    try:
        text = tinyshakespeare()[:100_000]
    except FileNotFoundError:
        text = "".join(f"to be or not to be, {i}. " for i in range(4000))
    tokenizer = train_tokenizer(text.splitlines(keepends=True), 512)
    assert len(tokenizer) == 512
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) < 0.6 * len(text)
    assert_round_trip(tokenizer)
    tokenizer.save(tmp_path / "tokenizer.json")
    again = read_tokenizer(tmp_path)
    np.testing.assert_array_equal(again.encode(text), ids)
    assert again.id("<|endoftext|>") == 0
    saved = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    ranks = {tuple(pair): i for i, pair in enumerate(saved["merges"])}
    for word in ("Shakespeare", "speak", "gentleman"):
        assert tokenizer.encode(f" {word}").tolist() == [
            saved["vocab"][part] for part in by_hand(f"\u0120{word}", ranks)
        ]


def small():
    return train_tokenizer(["low lower lowest"], 260, digits=True)


def test_a_digit_may_be_a_word():
    tokenizer = train_tokenizer(["2024 2024 2024"], 300, digits=True)
    assert [tokenizer.decode([i]) for i in tokenizer.encode("2024")] == ["2", "0", "2", "4"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (read_tokenizer, FileNotFoundError, "read_tokenizer: expected tokenizer.json, or"),
        (lambda path: read_tokenizer(path / "bad.json"), ValueError, "bad.json: no tokenizer"),
        (lambda path: train_tokenizer("text", 300), TypeError, r"found one str. Give a list of them: \[text\]"),
        (lambda path: train_tokenizer([b"text"], 300), TypeError, "train_tokenizer: expected texts, found bytes"),
        (lambda path: train_tokenizer(["text"], 256), ValueError, "256 bytes and 1 special tokens, found 256 in all"),
        (
            lambda path: gguf_tokenizer({"tokenizer.ggml.model": "llama"}),
            ValueError,
            "found model 'llama' with pre None",
        ),
        (lambda path: small().encode(b"x"), TypeError, "Tokenizer: expected a text, found bytes"),
        (lambda path: small().encode_all("x"), TypeError, "Tokenizer: expected several texts, found one str"),
        (lambda path: small().decode([0.5]), ValueError, "Tokenizer: expected a row of integers, found float64"),
        (lambda path: small().decode([260]), ValueError, "Tokenizer: expected ids in 0..259, found 260 at 0"),
        (lambda path: small().id("nothing"), ValueError, "'nothing' is not among its 260 tokens"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, call, error, message):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(error, match=message):
        call(tmp_path)
