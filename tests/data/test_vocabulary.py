"""Vocabularies: ids in range, exact inverses, truncation with lengths, bad input."""

import re
import unicodedata

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
        ("one<br>two<br/>three", ["one", "two", "three"]),
        ("snake_case", ["snake", "case"]),
        ("Café naïve ÜBER", ["café", "naïve", "über"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("Καλημέρα κόσμε", ["καλημέρα", "κόσμε"]),
        ("हिन्दी में नमस्ते", ["हिन्दी", "में", "नमस्ते"]),  # vowel signs and virama are marks
        ("שָׁלוֹם עוֹלָם", ["שָׁלוֹם", "עוֹלָם"]),
        ("السلام عليكم", ["السلام", "عليكم"]),
        ("می\u200cخواهم بروم", ["می\u200cخواهم", "بروم"]),  # a joiner is spelling
        ("don’t п’ять пʼять", ["don't", "п'ять", "п'ять"]),  # three characters for one apostrophe
        ("un\u00adder \ufeffthe", ["under", "the"]),  # what is not seen
        ("世界，你好", ["世界", "你好"]),  # without spaces: one word for each run
        ("🙂 a❤️b 👨\u200d👩\u200d👧", ["a", "b"]),
        ("x² ½ ٣٤", ["x²", "½", "٣٤"]),
    ],
)
def test_words(text, expected):
    assert words(text) == [unicodedata.normalize("NFC", word) for word in expected]


def random_texts(characters, n=200):
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(characters, 30)) for _ in range(n)]


def test_words_of_ascii_are_runs_of_letters_digits_and_inner_apostrophes():
    for text in random_texts([chr(i) for i in range(128)] + list("aB'' ")):
        assert words(text) == re.findall(r"[a-z0-9]+(?:'[a-z0-9]+)*", text.lower())


ANY = [chr(i) for i in range(0x80, 0x3000) if unicodedata.category(chr(i)) not in ("Cn", "Cs")]


def test_equivalent_texts_have_the_same_words_and_words_are_their_own_words():
    for text in random_texts([*ANY, *(" '" * 300)]):
        found = words(text)
        for form in ("NFC", "NFD"):
            assert words(unicodedata.normalize(form, text)) == found
        assert words(" ".join(found)) == found
        letters = [c for c in unicodedata.normalize("NFC", text.lower()) if c.isalnum() and c != "ʼ"]
        assert [c for word in found for c in word if c.isalnum()] == letters


def test_a_vocabulary_knows_its_words_in_every_script():
    vocabulary = Words.build(["мама мыла раму утром рано"], 10)
    ids = vocabulary.encode("МАМА мыла, раму УТРОМ рано!")
    assert [vocabulary.names[i] for i in ids] == ["мама", "мыла", "раму", "утром", "рано"]


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
        (lambda: pad([np.ones(3)], 0), "length to be an integer, 1 or more, found 0"),
        (lambda: pad([np.ones(3)], 2, keep="middle"), "keep is 'first' or 'last', found 'middle'"),
        (lambda: pad([], 2), "at least one id, found none"),
        (lambda: pad([np.ones(2), np.ones(0)], 2), "at least one id, found sequence 1 empty"),
        (lambda: pad([np.array([1.5])], 2), r"sequence 0: expected a row of integers, found float64\[1\]"),
        (lambda: pad([np.array([1]), np.array([2**40])], 2), "sequence 1: expected ids that int32 holds, found 10995"),
        (lambda: Characters.build("ab").decode([-1]), "expected ids in 0..1, found -1 at 0"),
        (lambda: Characters.build("ab").decode(np.array([0, 2])), "expected ids in 0..1, found 2 at 1"),
        (lambda: Characters.build("ab").decode([0.5]), "expected a row of integers, found float64"),
        (lambda: Characters.build("abc").encode("abd"), "'d' at 2 is not among the 3 known characters"),
    ],
)
def test_bad_input_is_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_text_is_not_taken_for_many():
    with pytest.raises(TypeError, match=r"expected several texts, found one str. Give a list of them"):
        Words.build("a b c", 5)


def test_a_list_is_not_taken_for_a_text():
    with pytest.raises(TypeError, match=r"words: expected a text, found list"):
        Words.build(["a"], 3).encode(["a"])


def test_nothing_decodes_to_nothing():
    assert Characters.build("ab").decode([]) == Characters.build("ab").decode(i for i in ()) == ""
