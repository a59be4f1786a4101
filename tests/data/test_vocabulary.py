"""Vocabularies: ids in range, exact inverses, truncation with lengths, bad input."""

import numpy as np
import pytest

from jnn.data import PAD, UNKNOWN, Characters, Words, pad, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good, GOOD; good!", ["good"] * 3),
        ("isn't 'quoted' rock'n'roll", ["isn't", "quoted", "rock'n'roll"]),
        ("one<br /><br />two", ["one", "two"]),
        ("10/10", ["10", "10"]),
        ("... --", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_the_most_frequent_words_get_the_ids_and_ties_go_alphabetically():
    vocabulary = Words.build(["z z z b a", "b a c"], size=5)
    assert vocabulary.names == ("<pad>", "<unknown>", "z", "a", "b")
    assert len(vocabulary) == 5
    assert vocabulary.encode("A c z").tolist() == [3, UNKNOWN, 2]


def test_the_order_of_texts_does_not_matter():
    texts = ["a b c", "c d e", "e f a"]
    assert Words.build(texts, 6) == Words.build(texts[::-1], 6)


def test_a_text_without_words_is_one_unknown_word():
    assert Words.build(["a"], 3).encode("?!").tolist() == [UNKNOWN]


def test_words_that_spell_the_special_names_stay_unknown():
    assert Words.build(["a"], 3).encode("<pad> <unknown>").tolist() == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("keep", ["first", "last"])
def test_padding_comes_after_and_lengths_say_where(keep):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 100, n) for n in rng.integers(1, 12, 50)]
    ids, lengths = pad(sequences, 6, keep=keep)
    assert (ids.shape, ids.dtype, lengths.dtype) == ((50, 6), np.int32, np.int32)
    for row, n, sequence in zip(ids, lengths, sequences, strict=True):
        assert n == min(len(sequence), 6)
        assert row[:n].tolist() == (sequence[:6] if keep == "first" else sequence[-6:]).tolist()
        assert (row[n:] == PAD).all()


@pytest.mark.parametrize("text", ["hello", "ümläut\n🙂\t", "a" * 100])
def test_characters_round_trip(text):
    vocabulary = Characters.build(text)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert (ids.min(), ids.max(), ids.dtype) == (0, len(vocabulary) - 1, np.int32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Words.build(["a"], 2), "Words: size counts padding and the unknown word too, so 3 or more; found 2"),
        (lambda: pad([np.ones(3)], 0), "length at least 1; found 'first', 0"),
        (lambda: pad([np.ones(3)], 2, keep="middle"), "keep is 'first' or 'last' .* found 'middle'"),
        (lambda: pad([], 2), "at least one id, found none"),
        (lambda: pad([np.ones(2), np.ones(0)], 2), "at least one id, found sequence 1 empty"),
        (lambda: Characters.build("abc").encode("abd"), "'d' at 2 is not among the 3 known characters"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
