"""python -m jnn.export: a function, a file of weights and shapes; and what cannot be written is one line."""

import runpy
import sys

import jax
import numpy as np
import pytest

import jnn
from jnn.data import write_safetensors
from jnn.export.__main__ import main

torch = pytest.importorskip("torch")


def plain(p, x):
    return x @ p["fc0"]["w"]


@pytest.fixture
def weights(tmp_path):
    p = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))
    return p, str(write_safetensors(tmp_path / "weights.safetensors", jnn.flatten(p)))


def test_a_model_leaves_by_its_name_and_weights(tmp_path, weights, capsys):
    p, file = weights
    given = ["jnn.models.mlp", "--weights", file, "--input", "float32[b,4]", "--output", str(tmp_path / "model.py")]
    assert main(["torch", *given]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "model.py")
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found = runpy.run_path(str(tmp_path / "model.py"))["load"]()(torch.tensor(x))
    np.testing.assert_allclose(found.detach(), jnn.models.mlp(p, x, key=None), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        ("jnn.models.nothing", "float32[b,4]", "expected a function such as jnn.models.mlp"),
        ("jnn.nowhere.mlp", "float32[b,4]", "No module named 'jnn.nowhere'"),
        ("jnn.models.mlp", "b,4", "expected inputs such as float32[b,8,8,1]"),
        ("jnn.models.mlp", "float32[b,5]", "linear"),
        ("jnn.models.mlp", "float23[b,4]", "expected inputs such as float32[b,8,8,1], found 'float23[b,4]'"),
        (f"{__name__}:plain", "float32[b,5]", "dot_general requires contracting dimensions"),
        (f"{__name__}:plain", "float32[b,4] float32[b,4]", "takes 2 positional arguments but 3 were given"),
    ],
)
def test_what_cannot_be_written_is_one_line(function, shape, message, tmp_path, weights, capsys):
    inputs = [word for one in shape.split() for word in ("--input", one)]
    given = [function, "--weights", weights[1], *inputs, "--output", str(tmp_path / "model.py")]
    assert main(["torch", *given]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err


def test_onnx_says_where_it_lives(tmp_path, weights, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    given = ["--weights", weights[1], "--input", "float32[b,4]", "--output", str(tmp_path / "model.onnx")]
    assert main(["onnx", "jnn.models.mlp", *given]) == 2
    assert "pip install jax2onnx" in capsys.readouterr().err


def network(p, x):
    """Of somebody's own, that reads a parameter by its name."""
    return x @ p["w"]


def test_weights_that_were_forgotten_are_said(tmp_path, capsys):
    given = ["--input", "float32[b,4]", "--output", str(tmp_path / "model.py")]
    assert main(["torch", f"{__name__}:network", *given]) == 2
    assert "the function reads 'w', which --weights would hold" in capsys.readouterr().err
