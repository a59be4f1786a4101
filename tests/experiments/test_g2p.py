"""Letters to phonemes, tiny: both networks run on a made-up dictionary, write what is likeliest, and are scored."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import g2p
from experiments.g2p import NETWORKS, Config
from experiments.harness import launch
from experiments.phonemes import (
    END,
    FIRST,
    LONGEST,
    START,
    bare,
    decode,
    dictionary,
    encode,
    error_rates,
    letters,
    nearest,
    parts,
)
from jnn.strict_json import loads

SOUNDS = {"a": "AA1", "e": "EH0", "k": "K", "t": "T", "s": "S"}
TINY = {"steps": 4, "warmup": 1, "length": 6, "embed": 8, "hidden": 8, "layers": 1, "heads": 2, "batch_size": 8}
GATES, D = 3 * 256, 256


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """120 words, each letter a sound, a few of two ways to say them; and g2p_en's arrays, of noise."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("cmudict", "weights/g2p_en"):
        (folder / name).mkdir(parents=True)
    words = list(map("".join, itertools.permutations(SOUNDS, 4)))
    lines = [f"{word} {' '.join(SOUNDS[letter] for letter in word)}\n" for word in words]
    lines += [f"{word}(2) {SOUNDS[word[0]]}\n" for word in words[:9]] + ["it's IH1 T S\n", f"{'a' * 21} AA1\n"]
    (folder / "cmudict" / "cmudict.dict").write_text("".join(lines))
    shapes = {"enc_emb": (29, D), "dec_emb": (74, D), "fc_w": (74, D), "fc_b": (74,)}
    cell = {"w_ih": (GATES, D), "w_hh": (GATES, D), "b_ih": (GATES,), "b_hh": (GATES,)}
    shapes |= {f"{side}_{part}": shape for side in ("enc", "dec") for part, shape in cell.items()}
    draw = np.random.default_rng(0).normal
    arrays = {name: draw(size=shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(folder / "weights" / "g2p_en" / "checkpoint20.npz", **arrays)
    return str(folder)


def options(folder, data_dir, **changes):
    """The command line of a tiny run."""
    given = {**TINY, "workdir": folder, "data_dir": data_dir, **changes}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("model", ["lstm", pytest.param("transformer", marks=pytest.mark.slow)])
def test_a_run_reports_its_error_rates(tmp_path, data_dir, model, capsys):
    launch(g2p.experiment, Config, options(tmp_path / "run", data_dir, model=model))
    result = loads(capsys.readouterr().out.splitlines()[-1])
    rates = {f"{form}{of}_error_rate" for form in ("", "unstressed_") for of in ("phoneme", "word")}
    others = {f"g2p_en_{name}" for name in rates}
    assert {"val_loss", *rates, *others, "seconds", "params_digest"} == set(result)
    assert "Held-out words that it got wrong" in (tmp_path / "run" / "report.html").read_text()


def test_what_makes_no_sense_is_one_line(tmp_path, data_dir, capsys):
    wrong = {"warmup": 4}, {"heads": 3, "model": "transformer"}, {"length": 2}
    for changes, said in zip(wrong, ("--warmup", "heads", "pad"), strict=True):
        with pytest.raises(SystemExit) as end:
            launch(g2p.experiment, Config, options(tmp_path / "run", data_dir, **changes))
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert said in line


def test_weights_that_are_not_there_are_missed_before_anything_is_trained(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        launch(g2p.experiment, Config, options(tmp_path / "run", tmp_path))
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("error: weights/g2p_en/checkpoint20.npz: not found in ")


@pytest.mark.parametrize("model", NETWORKS)
def test_what_is_written_is_what_the_taught_network_finds_likeliest(model):
    network = NETWORKS[model](Config(model=model, **TINY), FIRST + 5)
    params = jnn.init(network.spec, jax.random.key(0))
    rows = letters(["kate", "as", "testate"], 8)
    written = np.asarray(network.write(params, rows["x"], rows["length"]))
    assert written.shape == (3, LONGEST)
    read = jnp.concatenate([jnp.full((3, 1), START), written[:, :-1]], 1)
    likeliest = np.asarray(network.logits(params, rows["x"], rows["length"], read, None).argmax(-1))
    before_end = np.cumsum(written == END, 1) <= (written == END)
    np.testing.assert_array_equal(written[before_end], likeliest[before_end])


def test_a_words_pronunciations_are_in_one_part_and_come_back(data_dir):
    known, phonemes = dictionary(data_dir)
    assert phonemes == sorted(SOUNDS.values())
    assert "it's" not in known
    assert max(map(len, known)) == 4
    words = parts(known)
    assert sorted(itertools.chain(*words)) == sorted(known)
    assert all(words)
    rows = encode(words[0], known, phonemes, 6)
    assert len(rows["y"]) == sum(len(known[word]) for word in words[0])
    said = [decode(row[1:], phonemes) for row in rows["y"].tolist()]
    assert said == [own for word in words[0] for own in known[word]]
    assert len(encode(words[0], known, phonemes, 4)["y"]) < len(rows["y"])  # of four sounds and an end


def test_rates_are_those_of_the_nearest_pronunciation():
    read = [("R", "EH1", "D"), ("R", "IY1", "D")]
    assert nearest(("R", "IY1", "D", "Z"), read) == read[1]
    assert bare(("R", "IY1", "D")) == ("R", "IY", "D")
    rates = error_rates([("R", "IY1", "D"), ("R", "IY0", "D", "Z"), ()], [read, read, [("AH0",)]])
    assert rates["phoneme_error_rate"] == pytest.approx((0 + 2 + 1) / 7)
    assert rates["word_error_rate"] == pytest.approx(2 / 3)
    assert rates["unstressed_phoneme_error_rate"] == pytest.approx((0 + 1 + 1) / 7)
    assert rates["unstressed_word_error_rate"] == pytest.approx(2 / 3)
