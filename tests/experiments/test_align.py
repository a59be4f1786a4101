"""Instruction tuning, DPO and a reward model, of a tiny decoder: each stage learns, and the rule is what it says."""

import dataclasses

import jax
import numpy as np
import pytest

import jnn
from experiments import align
from jnn.data import train_tokenizer
from jnn.models import DecoderConfig, decoder_spec
from jnn.train import digest

NOUNS, VERBS = ("fox", "cat", "old king", "queen", "sword", "crown"), ("sleeps", "waits", "falls", "sings", "weeps")
LINES = [f"thou saidst thy {noun} {verb} {end}" for noun in NOUNS for verb in VERBS for end in ("here", "now", "today")]


@pytest.fixture
def tiny(monkeypatch):
    """The experiment on lines of one kind, with a network that draws its weights and words of its own."""
    pytest.importorskip("tokenizers", reason="pip install jnn[text]")
    text = "\n".join([*LINES, "SPEAKER:", "", "a line without old words in it", *LINES[:3]])
    words = [align.PROMPT.format(align.today(line)) + line for line in LINES]
    tokenizer = train_tokenizer(words * 2, 400, special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    sizes = DecoderConfig(vocab=len(tokenizer), layers=2, heads=2, embed=32, hidden=64, tied=True)
    base = jnn.init(decoder_spec(sizes), jax.random.key(7))
    monkeypatch.setattr(align, "pretrained", lambda config: (sizes, base, tokenizer))
    monkeypatch.setattr(align, "tinyshakespeare", lambda data_dir: text)
    return text, tokenizer


def config_of(folder, **changes):
    return align.Config(workdir=str(folder), learning_rate=2e-2, dpo_rate=2e-2, batch_size=8, tokens=64, **changes)


def test_old_words_are_those_of_today():
    found = align.today("Nay, thou ART ill; 'tis thy doing, o'er art.")
    assert found == "No, you Are ill; it is your doing, over are."
    assert align.today("Smart thouest, artful hatherley") == "Smart thouest, artful hatherley"


def test_pairs_are_masked_to_their_answers(tiny):
    text, tokenizer = tiny
    data = align.pairs(text, tokenizer, 64)
    assert len(data["x"]) == len(LINES)  # each once; no others
    for row, mask, line in zip(data["x"], data["mask"], LINES, strict=True):
        answers = [tokenizer.decode(tokens[own]) for tokens, own in zip(row, mask, strict=True)]
        assert answers == [line + align.END, align.today(line) + align.END]
        prompt = align.PROMPT.format(align.today(line))
        assert [tokenizer.decode(tokens[: own.argmax()]) for tokens, own in zip(row, mask, strict=True)] == [prompt] * 2
    longest = data["mask"].nonzero()[2].max() + 1
    assert 0 < len(align.pairs(text, tokenizer, longest - 1)["x"]) < len(LINES)


def test_too_few_tokens_are_one_error(tiny, capsys):
    with pytest.raises(SystemExit) as end:
        align.pairs(*tiny, 4)
    assert end.value.code == 2
    assert (
        "--tokens: expected enough for a prompt and its answer, found 4; the shortest has " in capsys.readouterr().err
    )


def test_a_beta_of_nothing_is_one_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        align.experiment(config_of(tmp_path, beta=0.0))
    assert end.value.code == 2
    assert "--beta: expected a positive number, found 0" in capsys.readouterr().err


@pytest.mark.slow
def test_every_stage_learns_and_goes_on(tmp_path, tiny):
    config = config_of(tmp_path, steps=20, test_pairs=8, every=10)
    outcome = align.experiment(config)
    metrics = outcome.metrics
    assert metrics["sft_loss"] < metrics["base_loss"] - 0.1
    assert metrics["dpo_win_rate"] == 1
    assert metrics["reward_accuracy"] == 1
    assert {row["step"] for row in outcome.history} == {10, 20}
    # what is given stays; what is trained is small
    assert sorted(outcome.params) == ["base", "dpo", "reward", "sft"]
    assert sorted(jnn.flatten(outcome.params["reward"])) == sorted(
        ["head/w", "head/b", *(f"lora/blocks/attention/{i}/lora/{part}" for i in "qv" for part in ("down", "up"))]
    )
    # started again, it finds its checkpoints
    assert digest(align.experiment(config).params) == digest(outcome.params)


def test_a_stage_alone_begins_with_the_model_itself(tmp_path, tiny):
    config = config_of(tmp_path, steps=10, test_pairs=8, stages=("dpo",))
    outcome = align.experiment(config)
    assert sorted(outcome.metrics) == ["base_loss", "base_win_rate", "dpo_loss", "dpo_win_rate"]
    assert outcome.metrics["dpo_win_rate"] == 1
    np.testing.assert_allclose(outcome.history[0]["train/loss_dpo"], np.log(2), atol=0.2)
    other = align.experiment(dataclasses.replace(config, workdir=str(tmp_path / "other"), seed=1))
    assert digest(other.params) != digest(outcome.params)
