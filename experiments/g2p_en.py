"""g2p_en, published weights from jnn's blocks: English letters to phonemes, two GRUs trained on the CMU dictionary.

    load_g2p_en(data_dir) -> params
    g2p_en(params, letters, lengths) -> phonemes, logits        rows(words) and spelled(phonemes) around it

The model: g2p_en, Park and Kim, 2019; see "Sequence to Sequence Learning with Neural Networks", Sutskever et al., 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import jnn
from jnn.data import find, pad, read_npz
from jnn.layers import embed, embed_spec, gru_cell, gru_cell_spec, linear, linear_spec, rnn

FILE = "weights/g2p_en/checkpoint20.npz"
LETTERS = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
CONSONANTS = {*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH"}
STRESSED = {vowel + stress for vowel in VOWELS for stress in "012"}
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *sorted(CONSONANTS | STRESSED | {"UW"})]
UNKNOWN, LETTERS_END, START, END = 1, 2, 2, 3
D, LONGEST = 256, 20


def g2p_en_spec() -> jnn.Spec:
    """Declares its parameters."""
    gru = gru_cell_spec(D, D, recurrent_bias=True)
    return {
        "letters": embed_spec(len(LETTERS), D),
        "encoder": gru,
        "phonemes": embed_spec(len(PHONEMES), D),
        "decoder": gru,
        "out": linear_spec(D, len(PHONEMES), axes=("hidden", "vocab")),
    }


def load_g2p_en(data_dir: str | None = None) -> jnn.Params:
    """Its parameters, from the file that is published."""
    weights = read_npz(find(data_dir, FILE, how="put g2p_en's checkpoint20.npz there"))
    return jnn.load(
        g2p_en_spec(),
        {
            "letters": {"table": weights["enc_emb"]},
            "encoder": _cell(weights, "enc"),
            "phonemes": {"table": weights["dec_emb"]},
            "decoder": _cell(weights, "dec"),
            "out": {"w": weights["fc_w"].T, "b": weights["fc_b"]},
        },
    )


def _cell(weights: dict[str, np.ndarray], side: str) -> dict[str, dict[str, np.ndarray]]:
    """A cell's parameters, from the rows of all gates that torch has."""
    parts = {"input": "ih", "recurrent": "hh"}
    return {
        part: {"w": weights[f"{side}_w_{of}"].T.reshape(-1, 3, D), "b": weights[f"{side}_b_{of}"].reshape(3, D)}
        for part, of in parts.items()
    }


def g2p_en(p: jnn.Params, letters: jax.Array, lengths: jax.Array) -> tuple[jax.Array, jax.Array]:
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


def rows(words: Sequence[str]) -> dict[str, np.ndarray]:
    """Words as padded rows x of letters, the end behind each, and the "length" of each."""
    ids = [[LETTERS.index(c) if c in LETTERS else UNKNOWN for c in word] + [LETTERS_END] for word in words]
    padded, lengths = pad([np.array(row) for row in ids], max(map(len, ids)))
    return {"x": padded, "length": lengths}


def spelled(phonemes: np.ndarray) -> tuple[str, ...]:
    """Phonemes up to END, as the dictionary writes them."""
    ids = phonemes.tolist()
    return tuple(PHONEMES[i] for i in ids[: ids.index(END) if END in ids else None])
