"""Masked-language pre-training: a small run from end to end, and what is hidden, held out and begun with."""

import contextlib
import io
import json
import shutil

import jax
import numpy as np
import pytest

import jnn
from experiments import bert
from experiments.corpora import END, FIRST, MASK, reading
from experiments.harness import launch
from jnn import models
from jnn.train import digest

SMALL = ["--steps", "6", "--warmup", "2", "--tune-steps", "2", "--vocabulary", "512", "--layers", "1", "--heads", "2"]
SMALL += ["--embed", "8", "--tokens", "16", "--batch-size", "8", "--tune-rates", "1e-3"]
SMALL += ["--train-reviews", "16", "--choose-reviews", "8", "--test-reviews", "8"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Forty reviews of either part, a play and two speeches."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("imdb", "shakespeare", "sotu"):
        (folder / name).mkdir()
    for part in ("train", "test"):
        words = [(label, f"{part} {i}: a {'fine' if label else 'poor'} film") for label in (0, 1) for i in range(20)]
        lines = [json.dumps({"text": text, "label": label}) for label, text in words]
        (folder / "imdb" / f"{part}.jsonl").write_text("\n".join(lines))
    (folder / "shakespeare" / "input.txt").write_text("To be, or not to be. " * 200)
    for year in (1790, 1791):
        (folder / "sotu" / f"{year}_george_washington_n.txt").write_text(f"Fellow citizens of {year}. " * 100)
    return folder


def run(data_dir, folder):
    """The last line of a small run."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        launch(bert.experiment, bert.Config, [*SMALL, "--data-dir", str(data_dir), "--workdir", str(folder)])
    return json.loads(out.getvalue().splitlines()[-1])


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    """A run's folder, and its result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(data_dir, folder)


def test_a_small_run_goes_from_text_to_accuracies(whole):
    folder, result = whole
    for start in bert.STARTS:
        assert 0 <= result[f"test_accuracy_{start}"] <= 1
        assert result[f"rate_{start}"] == 1e-3
        assert len(result[f"choose_accuracy_{start}"]) == 1
    for text in ("reviews", "plays", "speeches"):
        assert 0 <= result[f"masked_accuracy_{text}"] <= 1
        assert 1 < result[f"masked_perplexity_{text}"] < 1000
    folders = {path.parent.name for path in folder.rglob("metrics.jsonl")}
    assert folders == {"pretraining", "pretrained-0.001", "scratch-0.001"}
    assert "Held-out reviews" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_begun_again_without_its_result_it_ends_with_the_same_parameters(whole, data_dir, tmp_path):
    folder, result = whole
    shutil.copytree(folder, tmp_path / "again")
    (tmp_path / "again" / "result.json").unlink()
    assert run(data_dir, tmp_path / "again")["params_digest"] == result["params_digest"]


def test_what_is_held_out_is_in_no_training(data_dir):
    found = reading(str(data_dir), 512, 16, train=16, choose=8, test=8)
    text = found.tokenizer.decode
    held = text(found.held_out["reviews"]).split("<|endoftext|>")[:-1]
    assert len(held) == 8
    assert not any(review in text(found.ids) for review in held)
    assert (found.ids == END).sum() == 40 - 8 + 2
    assert not np.isin(found.ids, [MASK]).any()
    rows = lambda part: {text(x[:n]) for x, n in zip(part["x"], part["length"], strict=True)}
    assert rows(found.choose) <= {review[-len(row) :] for review in held for row in rows(found.choose)}
    assert not rows(found.train) & rows(found.choose)
    assert all(("fine" in text(x)) == y for x, y in zip(found.train["x"], found.train["y"], strict=True))
    assert all("test" in row for row in rows(found.test))


def test_the_same_places_are_hidden_wherever_there_is_no_key():
    config = bert.Config(vocabulary=512)
    x = jax.random.randint(jax.random.key(1), (64, 128), FIRST, 512)
    a, b = bert.hidden(x, config, None), bert.hidden(x, config, None)
    np.testing.assert_array_equal(a.inputs, b.inputs)
    assert a.weights.mean() == pytest.approx(config.hide, abs=0.02)
    assert (bert.hidden(x, config, jax.random.key(2)).weights != a.weights).any()


def test_a_spec_that_begins_with_parameters_draws_these():
    sizes = models.EncoderConfig(vocab=512, layers=2, heads=2, embed=8, hidden=16, context=8)
    spec = models.encoder_spec(sizes)
    params = jnn.init(spec, jax.random.key(3))
    assert digest(jnn.init(bert.beginning(spec, params), jax.random.key(4))) == digest(params)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--warmup", "6"], "--warmup: expected fewer than the 6 steps, found 6."),
        (["--test-reviews", "41"], "--test-reviews: expected as many as there are, found 16 and 8 of 40, 41 of 40."),
        (["--heads", "3"], "EncoderConfig: "),
        (["--tune-rates", "0"], "--tune-rates: expected one or more positive numbers"),
    ],
)
def test_what_cannot_be_is_one_line(options, message, data_dir, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        launch(
            bert.experiment,
            bert.Config,
            [*SMALL, "--data-dir", str(data_dir), "--workdir", str(tmp_path / "run"), *options],
        )
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
