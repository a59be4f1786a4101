"""Translation, tiny: a run on a made-up language reports, goes on and is finished; the peer learns the same."""

import dataclasses
import itertools

import jax
import numpy as np
import optax
import pytest
import torch

import jnn
from experiments import translate
from experiments.harness import launch
from experiments.peers import torch_translate
from experiments.translate import END, LONGEST, PAD, START, Config
from jnn.models import EncoderDecoderConfig, encoder_decoder, encoder_decoder_spec
from jnn.strict_json import loads

WORDS = {"open": "öffne", "close": "schließe", "the": "die", "file": "Datei", "window": "Fassade", "now": "jetzt"}
TINY = {"steps": 4, "vocab": 300, "length": 24, "layers": 1, "heads": 2, "embed": 16, "hidden": 16, "batch_size": 8}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Every word in the place of another: 120 pairs, of which some test."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "libreoffice_en_de").mkdir()
    texts = list(itertools.permutations(WORDS, 3))
    lines = [f"{' '.join(text)}\t{' '.join(WORDS[word] for word in text)}\n" for text in texts]
    (folder / "libreoffice_en_de" / "train.tsv").write_text("".join(lines[::2]), encoding="utf-8")
    (folder / "libreoffice_en_de" / "test.tsv").write_text("".join(lines[1::12]), encoding="utf-8")
    return str(folder)


def options(folder, data_dir, **changes):
    """The command line of a tiny run."""
    given = {**TINY, "warmup": 1, "workdir": folder, "data_dir": data_dir, **changes}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
def test_a_run_reports_its_scores_and_where_it_looks_and_goes_on(tmp_path, data_dir, capsys):
    command = options(tmp_path / "run", data_dir)
    launch(translate.experiment, Config, command)
    result = loads(capsys.readouterr().out.splitlines()[-1])
    assert {"val_loss", "bleu", "chrf", "seconds", "params_digest"} == set(result)
    report = (tmp_path / "run" / "report.html").read_text()
    assert report.count("Where the last layer looks while it writes") >= translate.MAPS
    assert "Held-out sentences" in report
    for name in ("result.json", "report.html"):
        (tmp_path / "run" / name).unlink()
    launch(translate.experiment, Config, command)  # from its checkpoint: nothing is left to train
    again = loads(capsys.readouterr().out.splitlines()[-1])
    assert again["params_digest"] == result["params_digest"]


def test_what_makes_no_sense_is_one_line(tmp_path, data_dir, capsys):
    wrong = {"warmup": 4}, {"heads": 3}, {"vocab": 258}, {"batch_size": 12}
    for changes, said in zip(wrong, ("--warmup", "heads", "train_tokenizer", "train"), strict=True):
        with pytest.raises(SystemExit) as end:
            launch(translate.experiment, Config, options(tmp_path / "run", data_dir, **changes))
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        assert said in line


def test_pairs_that_do_not_fit_are_left_out(data_dir):
    tokenizer, training, _ = translate.prepared(Config(data_dir=data_dir, vocab=300, length=24))
    rows = translate.encode(tokenizer, ["open", "", "open " * 30], ["öffne"] * 3, 24)
    assert rows["x"].shape == (1, 24)
    assert tokenizer.decode(rows["x"][0, : rows["length"][0]]) == "open"
    y = rows["y"][0]
    assert y[0] == START
    assert tokenizer.decode(y[1 : list(y).index(END)]) == "öffne"
    assert (y[list(y).index(END) + 1 :] == PAD).all()
    assert (training["length"] > 0).all()


def test_a_translation_is_what_the_whole_network_finds_likeliest(data_dir):
    tokenizer, _, _ = translate.prepared(Config(data_dir=data_dir, vocab=300))
    sizes = EncoderDecoderConfig(len(tokenizer), 1, 2, 16, 16, pre_norm=True)
    params = jnn.init(encoder_decoder_spec(sizes), jax.random.key(3))
    texts = ["open the file now", "close"]
    found = translate.translate(params, tokenizer, texts, sizes, rows=2)
    whole = jax.jit(lambda source, read: encoder_decoder(params, source, read, sizes, key=None))
    for text, own in zip(texts, found, strict=True):
        written = [START]
        while len(written) <= LONGEST and written[-1] != END:
            read = np.pad(written, (0, LONGEST - len(written))).astype(np.int32)
            written.append(int(whole(tokenizer.encode(text), read)[len(written) - 1].argmax()))
        assert own == tokenizer.decode([token for token in written[1:] if token != END])


@pytest.mark.slow
def test_the_peer_has_jnns_parameters_and_attentions_biases_and_learns(data_dir):
    config = Config(**TINY, data_dir=data_dir, warmup=1, learning_rate=1e-2)
    tokenizer, pairs, _ = translate.prepared(config)
    network = torch_translate.train(config, len(tokenizer), pairs)
    sizes = EncoderDecoderConfig(len(tokenizer), 1, 2, 16, 16, pre_norm=True)
    biases = 3 * 4 * 16  # of three attentions' four maps
    ours = jnn.count_params(encoder_decoder_spec(sizes))
    assert sum(p.numel() for p in network.parameters()) == ours + biases
    longer = torch_translate.train(dataclasses.replace(config, steps=20), len(tokenizer), pairs)
    assert loss(longer, pairs) < loss(network, pairs)
    assert len(torch_translate.translate(longer, tokenizer, ["open the file", "now"])) == 2


def in_torch(params):
    """jnn's parameters by the peer's names; the biases that jnn has not are 0."""
    arrays = {"embed.weight": params["embed"]["table"]}
    for side, cross in (("encoder", ()), ("decoder", (("cross", "multihead_attn"),))):
        norms = ("norm1", "norm_cross", "norm2") if cross else ("norm1", "norm2")
        for i in range(len(params[side]["blocks"]["norm1"]["bias"])):
            own, at = jax.tree.map(lambda x, i=i: x[i], params[side]["blocks"]), f"inner.{side}.layers.{i}"
            for name, theirs in (("attention", "self_attn"), *cross):
                maps = [own[name][part]["w"].reshape(16, 16).T for part in "qkvo"]
                arrays[f"{at}.{theirs}.in_proj_weight"] = np.concatenate(maps[:3])
                arrays[f"{at}.{theirs}.out_proj.weight"] = maps[3]
                arrays |= {f"{at}.{theirs}.in_proj_bias": np.zeros(48), f"{at}.{theirs}.out_proj.bias": np.zeros(16)}
            for theirs, name in (("linear1", "up"), ("linear2", "down")):
                arrays |= {f"{at}.{theirs}.weight": own[name]["w"].T, f"{at}.{theirs}.bias": own[name]["b"]}
            for k, name in enumerate(norms, 1):
                arrays |= {f"{at}.norm{k}.weight": own[name]["scale"], f"{at}.norm{k}.bias": own[name]["bias"]}
        last = params[side]["norm"]
        arrays |= {f"inner.{side}.norm.weight": last["scale"], f"inner.{side}.norm.bias": last["bias"]}
    return {name: torch.tensor(np.asarray(array, np.float32)) for name, array in arrays.items()}


def test_the_peer_computes_what_jnn_does():
    sizes = EncoderDecoderConfig(300, 2, 2, 16, 24, pre_norm=True)
    params = jnn.init(encoder_decoder_spec(sizes), jax.random.key(0))
    network = torch_translate.Translator(300, Config(vocab=300, layers=2, heads=2, embed=16, hidden=24)).eval()
    network.load_state_dict(in_torch(params))
    rng, length = np.random.default_rng(0), np.array([9, 4])
    source, target = (rng.integers(0, 300, (2, t)).astype(np.int32) for t in (9, 7))
    ours = jax.jit(lambda s, t: encoder_decoder(params, s, t, sizes, key=None, lengths=length))(source, target)
    with torch.no_grad():
        theirs = network(*(torch.from_numpy(x).long() for x in (source, length, target)))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)


@torch.no_grad()
def loss(network, pairs):
    x, length, y = (torch.from_numpy(pairs[name]).long() for name in ("x", "length", "y"))
    logits = network.eval()(x, length, y[:, :-1])
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), y[:, 1:].flatten(), ignore_index=PAD))


def test_the_peers_schedule_is_jnns():
    config = Config(steps=10, warmup=4, learning_rate=0.5)
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.5, 4, 10)
    for step in range(10):
        assert torch_translate.rate_at(step, config) == pytest.approx(float(schedule(step)), abs=1e-6)
