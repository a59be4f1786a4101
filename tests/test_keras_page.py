"""What the page for who comes from Keras shows of Keras, where it is installed: without a prompt no doctest runs it."""

import os
import re
from pathlib import Path

import jax
import pytest

import jnn

PAGE = Path(__file__).parents[1] / "docs" / "coming_from_keras.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_is_shown_of_keras_runs(tmp_path, monkeypatch):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)  # where it saves weights
    digits = jnn.data.digits()
    x, y = digits["x"][:256, ..., None], digits["y"][:256]
    known = {"keras": keras, "x": x, "y": y, "held_out": (x, y), "folder": str(tmp_path / "backup")}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    with jax.numpy_rank_promotion("allow"):
        for block in blocks:
            exec(block, known)
        assert known["ReZero"]()(x[0], x[0]).shape == x[0].shape
        assert known["tuned"](x).shape == (256, 5)
    assert not known["body"].trainable_weights
    assert len(blocks) == 5
