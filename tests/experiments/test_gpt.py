"""The language model's experiment: what it reads, its options one by one and together, on a text of a few lines."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from experiments import gpt
from experiments.completion import Config as SourcesConfig
from experiments.corpus import Growing, divide, make_tokenizer, packed_rows, tokenize
from experiments.harness import launch
from experiments.options import settings
from jnn.data import Characters, Windows, read_tokenizer
from jnn.models import transformer_spec
from jnn.train import Context

LINES = [f"{name}:\nhow {verb} thou, {other}?" for name in ("Ann", "Ben") for verb in ("art", "do") for other in "abc"]
TEXT = "\n\n".join(LINES * 6)


def tiny(folder, **options):
    """A config that is trained in a moment, on TEXT."""
    path = folder / "text.txt"
    path.write_text(TEXT)
    sizes = {"layers": 1, "heads": 2, "embed": 8, "context": 16, "batch_size": 8, "steps": 12, "warmup": 2, "sample": 4}
    return gpt.Config(**(sizes | {"workdir": str(folder / "run"), "text": str(path)} | options))


def test_without_documents_a_text_is_one_stream_of_characters():
    characters = Characters.build(TEXT)
    tokens = characters.encode(TEXT)
    corpus = tokenize(make_tokenizer(None, TEXT, [], None), divide(TEXT, None), packed=False)
    expected = Windows(tokens[: int(0.9 * len(tokens))], 16, 3, seed=5)[2]
    for name, array in corpus.batches(16, 3, seed=5)[2].items():
        np.testing.assert_array_equal(array, expected[name])
    assert corpus.characters == 1.0
    assert sum(map(len, (*corpus.training, *corpus.validating))) == len(TEXT)


def test_documents_are_divided_whole_and_end_with_the_separator():
    training, validating = divide(TEXT, "\n\n")
    assert training + validating == [f"{line}\n\n" for line in LINES * 6]
    assert len(validating) == 8
    tokenizer = make_tokenizer(300, TEXT, training, "\n\n")
    assert [tokenizer.encode(text)[-1] for text in training] == [tokenizer.id("\n\n")] * len(training)


def test_the_loss_of_packed_documents_is_that_of_each_alone():
    documents = [np.array([1, 2, 3, 4]), np.array([5, 6, 7])]
    spec = transformer_spec(11, 8, layers=2, heads=2, embed=8)
    p = jax.tree.map(lambda x: x + 0.2, jnn.init(spec, jax.random.key(0)))
    context = Context(key=None, draw=jax.random.key(0), step=jnp.int32(0))
    rows = packed_rows(documents, 8) | {"weight": np.ones(1, np.float32)}
    for chunked in (False, True):
        run = jax.jit(lambda p, batch, chunked=chunked: gpt.loss(p, batch, context, chunked=chunked))
        packed = run(p, rows)
        np.testing.assert_array_equal(packed.weights, [[1, 1, 1, 1, 1, 0, 0, 0]])
        alone = [run(p, {"x": d[None, :-1], "y": d[None, 1:]}).values[0] for d in documents]
        np.testing.assert_allclose(packed.values[0, :5], np.concatenate(alone), rtol=1e-5)


def test_rows_grow_in_a_few_stages():
    windows = Windows(np.arange(500), 32, 4, seed=0)
    growing = Growing(windows, 32, 30)
    assert [growing.length(step) for step in (0, 9, 10, 19, 20, 29, 30, 99)] == [4, 4, 8, 8, 16, 16, 32, 32]
    for name, array in growing[12].items():
        np.testing.assert_array_equal(array, windows[12][name][:, :8])


def test_schedules_warm_up_and_fall():
    config = gpt.Config(steps=100, warmup=10, learning_rate=1.0)
    flat = gpt.schedule(dataclasses.replace(config, schedule="wsd"))
    np.testing.assert_allclose([flat(step) for step in (0, 5, 10, 80, 90, 100)], [0, 0.5, 1, 1, 0.5, 0], atol=1e-6)
    cosine = gpt.schedule(config)
    np.testing.assert_allclose([cosine(step) for step in (0, 5, 10, 55, 100)], [0, 0.5, 1, 0.55, 0.1], atol=1e-6)


def test_trains_on_packed_documents_in_byte_pairs_by_muon_with_short_rows_first(tmp_path):
    options = {"tokenizer": "bpe", "vocab": 280, "separator": "\n\n", "optimizer": "muon", "length_warmup": 4}
    config = tiny(tmp_path, **options, steps=8, loss="chunked")
    found = gpt.experiment(config)
    assert set(found.metrics) == {"val_loss", "val_bits_per_character"}
    tokenizer, (_, validating) = read_tokenizer(tmp_path / "run"), divide(TEXT, "\n\n")
    assert len(tokenizer) == found.params["embed"]["table"].shape[0] <= 280
    tokens, characters = sum(len(tokenizer.encode(text)) for text in validating), sum(map(len, validating))
    bits = found.metrics["val_loss"] / np.log(2) * tokens / characters
    assert found.metrics["val_bits_per_character"] == pytest.approx(bits)


@pytest.mark.slow
def test_trains_in_bfloat16_with_dropout_and_a_flat_rate(tmp_path):
    found = gpt.experiment(tiny(tmp_path, compute_dtype="bfloat16", dropout=0.1, schedule="wsd", steps=40))
    assert set(found.metrics) == {"val_loss", "val_accuracy", "val_bits_per_character"}
    assert found.metrics["val_loss"] < np.log(len(set(TEXT)))
    assert found.params["embed"]["table"].dtype == jnp.float32


def refused(capsys, code, folder, *options):
    """The one line that the experiment, launched with these options, ends with."""
    with pytest.raises(SystemExit) as end:
        launch(gpt.experiment, gpt.Config, ["--workdir", str(folder / "run"), *options])
    assert end.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--vocab", "300"], 2, "--vocab: of --tokenizer bpe alone"),
        (["--vocab", "256", "--tokenizer", "bpe"], 2, "--vocab: expected a whole number of at least 257"),
        (["--length-warmup", "12"], 2, "--length-warmup: expected fewer than the 12 steps, found 12"),
        (["--warmup", "12"], 2, "--warmup: expected fewer than the 12 steps, found 12"),
        (
            ["--warmup", "10", "--schedule", "wsd"],
            2,
            "--warmup: expected fewer than the 10 steps before the last fifth",
        ),
        (["--separator", "@"], 1, "--separator: expected it between two documents at least, found 1"),
        (["--text", "no/such"], 1, "no/such"),
        (["--context", "9999"], 2, "expected a sequence of integers longer than the context of 9999"),
    ],
)
def test_what_means_nothing_is_one_line(tmp_path, capsys, options, code, message):
    begin = ["--steps", "12", "--warmup", "2", "--batch-size", "8", "--text", tiny(tmp_path).text]
    assert message in refused(capsys, code, tmp_path, *begin, *options)


@pytest.mark.parametrize(("content", "message"), [(b"a\xff", "is not UTF-8 at offset 1"), (b"", "is empty")])
def test_a_file_that_is_no_text_is_one_line(tmp_path, capsys, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    assert message in refused(capsys, 1, tmp_path, "--text", str(tmp_path / "a.txt"))


def test_a_run_does_not_go_on_with_a_text_that_has_changed(tmp_path, capsys):
    config = tiny(tmp_path)
    options = [
        f"--{name}={value}" for name, value in (("steps", 2), ("warmup", 1), ("batch-size", 8), ("text", config.text))
    ]
    sizes = ["--layers=1", "--heads=2", "--embed=8", "--context=16", "--sample=4", f"--workdir={tmp_path / 'run'}"]
    launch(gpt.experiment, gpt.Config, [*options, *sizes])
    capsys.readouterr()
    path = tmp_path / "text.txt"
    path.write_text(path.read_text().replace("thou", "you!", 1))  # as long as it was, of the same characters or not
    line = refused(capsys, 1, tmp_path, *options, *sizes)
    assert re.search(r"holds a run with other settings \(text_sha256 \w{16} there, \w{16} here\)", line)


def test_the_files_of_a_folder_are_what_a_run_reads(tmp_path):
    of = lambda: settings(SourcesConfig(sources=str(tmp_path)))["sources_sha256"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.py").write_text("1")
    first = of()
    assert first == of()
    (tmp_path / "deep" / "a.py").rename(tmp_path / "a.py")
    renamed = of()
    (tmp_path / "a.py").write_text("2")
    assert len({first, renamed, of()}) == 3
