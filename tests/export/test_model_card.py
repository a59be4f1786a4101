"""Model card: hashes that are those of the files and of the weights, and what was measured."""

import hashlib
import shlex
import sys

import jax
import pytest

import jnn
from jnn.export import model_card
from jnn.train import digest


def test_the_card_says_what_the_files_are(tmp_path):
    p = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    card = model_card(
        tmp_path / "README.md", p, title="Digits", about="An MLP.", files=[file], metrics={"accuracy": 0.25}
    ).read_text()
    assert hashlib.sha256(b"weights").hexdigest() in card
    assert digest(p) in card
    for line in ("# Digits", "An MLP.", "| accuracy | 0.25 |", "| `fc0/w` | float32 | 4x8 |", "58 numbers"):
        assert line in card
    assert f"jnn {jnn.__version__}, JAX {jax.__version__}" in card
    assert shlex.join(sys.orig_argv) in card.split("## Made by")[1]


def test_metrics_are_numbers_and_a_spec_is_refused(tmp_path):
    spec = jnn.models.mlp_spec((4, 2))
    p = jnn.init(spec, jax.random.key(0))
    half = jnn.metrics.mean(jax.numpy.array([0.0, 1.0]))
    assert "| accuracy | 0.5 |" in model_card(tmp_path / "a.md", p, title="a", metrics={"accuracy": half}).read_text()
    with pytest.raises(TypeError, match=r"export\.model_card: .* That is a spec; make params of it"):
        model_card(tmp_path / "b.md", spec, title="b")


def test_another_weight_is_another_card(tmp_path):
    cards = [model_card(tmp_path / f"{i}.md", {"w": jax.numpy.full(2, i)}, title="w", command=["x"]) for i in (0, 1)]
    assert cards[0].read_text() != cards[1].read_text()
