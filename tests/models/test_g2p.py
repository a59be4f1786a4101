"""Real weights: English letters to phonemes, two GRUs that were trained on the CMU dictionary, from jnn's blocks.

The model: g2p_en, Park and Kim, 2019; see "Sequence to Sequence Learning with Neural Networks", Sutskever et al., 2014.
"""

import jax
import numpy as np
import pytest

import jnn
from experiments.g2p_en import END, FILE, LONGEST, PHONEMES, START, D, g2p_en, g2p_en_spec, load_g2p_en, rows, spelled
from jnn.data import cmudict, data_root, read_npz

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
    return load_g2p_en()


@pytest.fixture(scope="module")
def said(params):
    """{word: (row of letters, phonemes, logits)}, all words in one batch."""
    words = [*KNOWN, *INVENTED]
    letters = rows(words)
    tokens, logits = jax.device_get(jax.jit(g2p_en)(params, letters["x"], letters["length"]))
    cut = [row[:n] for row, n in zip(letters["x"], letters["length"], strict=True)]
    return dict(zip(words, zip(cut, tokens, logits, strict=True), strict=True))


def test_every_weight_has_its_place(weights):
    assert jnn.count_params(g2p_en_spec()) == sum(array.size for array in weights.values())
    assert len(PHONEMES) == len(weights["dec_emb"])


def test_gives_numpys_phonemes_and_logits(weights, said):
    for word, (row, ours, logits) in said.items():
        theirs, expected = numpy_g2p(weights, row)
        np.testing.assert_array_equal(ours[: len(theirs)], theirs, word)
        assert (ours[len(theirs) :] == END).all()
        np.testing.assert_allclose(logits[: len(theirs)], expected, atol=1e-3, err_msg=word)


@pytest.mark.parametrize("word", KNOWN)
def test_pronounces_known_words(said, word):
    assert " ".join(spelled(said[word][1])) == KNOWN[word]


@pytest.mark.slow
def test_pronounces_most_of_the_dictionary(params):
    path = data_root() / "cmudict" / "cmudict.dict"
    if not path.is_file():
        pytest.skip(f"cmudict/cmudict.dict is not in {data_root()}: fetch it, or set JNN_DATA")
    entries = [(word, own) for word, ways in cmudict().items() if word.isascii() and word.isalpha() for own in ways]
    entries = [entries[i] for i in np.random.default_rng(0).choice(len(entries), 1000, replace=False)]
    letters = rows([word for word, _ in entries])
    tokens, _ = jax.jit(g2p_en)(params, letters["x"], letters["length"])
    right = [spelled(row) == said for row, (_, said) in zip(np.asarray(tokens), entries, strict=True)]
    assert np.mean(right) > 0.6
