"""Real weights: English letters to phonemes, two GRUs that were trained on the CMU dictionary, from jnn's blocks.

The model: g2p_en, Park and Kim, 2019; see "Sequence to Sequence Learning with Neural Networks", Sutskever et al., 2014.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.data import data_root, read_npz
from jnn.layers import embed, embed_spec, gru_cell, gru_cell_spec, linear, linear_spec, rnn
from tests.layers.recurrences import from_torch

FILE = "weights/g2p_en/checkpoint20.npz"
LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
CONSONANTS = {*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH"}
STRESSED = {vowel + stress for vowel in VOWELS for stress in "012"}
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *sorted(CONSONANTS | STRESSED | {"UW"})]
UNKNOWN, LETTERS_END, START, END = 1, 2, 2, 3
D, LONGEST = 256, 20

# as in the CMU Pronouncing Dictionary, stress included
KNOWN = {
    "cat": "K AE1 T",
    "paper": "P EY1 P ER0",
    "water": "W AO1 T ER0",
    "yellow": "Y EH1 L OW0",
    "music": "M Y UW1 Z IH0 K",
    "thing": "TH IH1 NG",
    "nation": "N EY1 SH AH0 N",
    "phone": "F OW1 N",
    "knight": "N AY1 T",
    "school": "S K UW1 L",
    "machine": "M AH0 SH IY1 N",
    "computer": "K AH0 M P Y UW1 T ER0",
    "university": "Y UW2 N AH0 V ER1 S AH0 T IY0",
}
INVENTED = ["blorptastic", "zxqj", "a", "antidisestablishmentarianism", "wugs", "naïve"]


def g2p_spec():
    return {
        "letters": embed_spec(len(LETTERS), D),
        "encoder": gru_cell_spec(D, D),
        "phonemes": embed_spec(len(PHONEMES), D),
        "decoder": gru_cell_spec(D, D),
        "out": linear_spec(D, len(PHONEMES), axes=("hidden", "vocab")),
    }


def g2p(p, letters, lengths):
    """Letters (b, t) -> phonemes (b, LONGEST), the likeliest at each step, and their logits; padded with END."""
    _, h = rnn(gru_cell, p["encoder"], embed(p["letters"], letters), lengths=lengths)

    def step(carry, _):
        h, last, done = carry
        h, y = gru_cell(p["decoder"], h, embed(p["phonemes"], last))
        logits = linear(p["out"], y)
        token = jnp.where(done, END, jnp.argmax(logits, -1))
        return (h, token, done | (token == END)), (token, logits)

    start = jnp.full(letters.shape[:1], START), jnp.zeros(letters.shape[:1], bool)
    _, (tokens, logits) = jax.lax.scan(step, (h, *start), None, length=LONGEST)
    return tokens.T, logits.swapaxes(0, 1)


def rows(words):
    """Words as padded rows of letters, END behind each, and their lengths."""
    ids = [[LETTERS.index(c) if c in LETTERS else UNKNOWN for c in word] + [LETTERS_END] for word in words]
    lengths = np.array([len(row) for row in ids])
    padded = np.zeros((len(ids), max(lengths)), np.int32)
    for row, one in zip(padded, ids, strict=True):
        row[: len(one)] = one
    return padded, lengths


def spelled(tokens):
    """Phonemes up to END, as the dictionary writes them."""
    tokens = tokens.tolist()
    return " ".join(PHONEMES[i] for i in tokens[: tokens.index(END) if END in tokens else None])


def numpy_g2p(weights, row):
    """One word's phonemes and logits (n, phonemes), a gate at a time, in float64."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    sigmoid = lambda x: 1 / (1 + np.exp(-x))

    def cell(side, x, h):
        of_x = np.split(w[f"{side}_w_ih"] @ x + w[f"{side}_b_ih"], 3)
        of_h = np.split(w[f"{side}_w_hh"] @ h + w[f"{side}_b_hh"], 3)
        reset, update = (sigmoid(of_x[i] + of_h[i]) for i in (0, 1))
        new = np.tanh(of_x[2] + reset * of_h[2])
        return new + update * (h - new)

    h = np.zeros(D)
    for letter in row:
        h = cell("enc", w["enc_emb"][letter], h)
    tokens, logits = [START], []
    while len(logits) < LONGEST and tokens[-1] != END:
        h = cell("dec", w["dec_emb"][tokens[-1]], h)
        logits.append(w["fc_w"] @ h + w["fc_b"])
        tokens.append(int(np.argmax(logits[-1])))
    return np.array(tokens[1:]), np.array(logits)


@pytest.fixture(scope="module")
def weights():
    path = data_root() / FILE
    if not path.is_file():
        pytest.skip(f"{FILE} is not in {data_root()}: fetch g2p_en's checkpoint20.npz, or set JNN_DATA")
    return read_npz(path)


@pytest.fixture(scope="module")
def params(weights):
    cell = lambda side: from_torch("gru", *(weights[f"{side}_{part}"] for part in ("w_ih", "w_hh", "b_ih", "b_hh")))
    arrays = {
        "letters": {"table": weights["enc_emb"]},
        "encoder": cell("enc"),
        "phonemes": {"table": weights["dec_emb"]},
        "decoder": cell("dec"),
        "out": {"w": weights["fc_w"].T, "b": weights["fc_b"]},
    }
    return jnn.load(g2p_spec(), arrays)


@pytest.fixture(scope="module")
def said(params):
    """{word: (row of letters, phonemes, logits)}, all words in one batch."""
    words = [*KNOWN, *INVENTED]
    letters, lengths = rows(words)
    tokens, logits = jax.device_get(jax.jit(g2p)(params, letters, lengths))
    cut = [row[:n] for row, n in zip(letters, lengths, strict=True)]
    return dict(zip(words, zip(cut, tokens, logits, strict=True), strict=True))


def test_every_weight_has_its_place(weights):
    assert jnn.count_params(g2p_spec()) == sum(array.size for array in weights.values())
    assert len(PHONEMES) == len(weights["dec_emb"])


def test_gives_numpys_phonemes_and_logits(weights, said):
    for word, (row, ours, logits) in said.items():
        theirs, expected = numpy_g2p(weights, row)
        np.testing.assert_array_equal(ours[: len(theirs)], theirs, word)
        assert (ours[len(theirs) :] == END).all()
        np.testing.assert_allclose(logits[: len(theirs)], expected, atol=1e-3, err_msg=word)


@pytest.mark.parametrize("word", KNOWN)
def test_pronounces_known_words(said, word):
    assert spelled(said[word][1]) == KNOWN[word]


@pytest.mark.slow
def test_pronounces_most_of_the_dictionary(params):
    path = data_root() / "cmudict" / "cmudict.dict"
    if not path.is_file():
        pytest.skip(f"cmudict/cmudict.dict is not in {data_root()}: fetch it, or set JNN_DATA")
    lines = (line.partition(" #")[0].split() for line in path.read_text().splitlines())
    entries = [(word, " ".join(said)) for word, *said in lines if word.isascii() and word.isalpha()]
    entries = [entries[i] for i in np.random.default_rng(0).choice(len(entries), 1000, replace=False)]
    tokens, _ = jax.jit(g2p)(params, *rows([word for word, _ in entries]))
    right = [spelled(row) == said for row, (_, said) in zip(np.asarray(tokens), entries, strict=True)]
    assert np.mean(right) > 0.6
