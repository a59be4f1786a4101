"""A network that leaves: each format gives jnn's logits, and what is drawn by hand on the page is recognized."""

import itertools
import math
import os
import signal

import jax
import pytest

import jnn
from experiments import browser, ship
from experiments.formats import write_page
from jnn.data import digits
from jnn.train import digest
from tests.experiments.shortened import flown
from tests.experiments.test_kills import run

TOY = {"steps": 2, "channels": (2, 2), "dense": 4, "batch_size": 8}
ONNX, LITERT, WEB = (os.environ.get(name) for name in ("JNN_ONNX_PYTHON", "JNN_LITERT_PYTHON", "JNN_ORT_WEB"))
CIRCLE = [(160 + 80 * math.cos(i * math.pi / 12), 160 + 110 * math.sin(i * math.pi / 12)) for i in range(25)]
DRAWN = {
    "0": [CIRCLE],
    "1": [[(150, 40), (150, 280)]],
    "2": [[(90, 90), (150, 45), (220, 80), (200, 150), (90, 270), (240, 270)]],
    "3": [[(90, 60), (200, 50), (220, 100), (150, 150), (230, 190), (210, 260), (90, 270)]],
    "4": [[(190, 40), (70, 190), (250, 190)], [(200, 120), (200, 290)]],
}


def untrained(config, name, spec, apply, data, held_out):
    params = jnn.init(spec, jax.random.key(0))
    logits = apply(params, held_out["x"], None)
    return params, {"accuracy": jnn.metrics.accuracy(logits, held_out["y"])}, []


def test_a_toy_leaves_by_this_environment(tmp_path, monkeypatch):
    pytest.importorskip("flatbuffers")
    pytest.importorskip("torch")
    few = {name: x[:40] for name, x in digits().items()}
    monkeypatch.setattr(ship, "digits", lambda: few)
    monkeypatch.setattr(ship, "train_one", untrained)  # it is that of experiments.digits
    outcome = ship.experiment(ship.Config(workdir=str(tmp_path), **TOY))
    assert max(outcome.metrics[f"{name}_distance"] for name in ("stablehlo", "torch")) < 1e-4
    files = {file.name for file in (tmp_path / "exported").iterdir()}
    assert files == {"README.md", "model.py", "model.safetensors", "model.stablehlo"}
    card = (tmp_path / "exported" / "README.md").read_text()
    assert digest(outcome.params) in card
    assert "torch_one_ms" in card
    assert [draw().axes for draw in outcome.figures.values()]


@pytest.mark.parametrize("option", ["onnx_python", "litert_python", "web"])
def test_what_is_not_there_is_said_before_the_training(option, monkeypatch):
    monkeypatch.setattr(ship, "train_one", None)
    with pytest.raises(FileNotFoundError, match=f"--{option.replace('_', '-')}: /nowhere is not there"):
        ship.experiment(ship.Config(**{option: "/nowhere"}))


def test_the_page_holds_all_that_it_needs(tmp_path):
    for name in ("model.onnx", "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / name).write_bytes(name.encode())
    text = write_page(tmp_path / "page.html", tmp_path / "model.onnx", tmp_path).read_text()
    assert "/*" not in text.replace("/**", "")
    assert "http" not in text


@pytest.mark.slow
def test_killed_it_ends_as_one_that_was_not(tmp_path):
    """All but the times, which are of the clock; and a pre-flight reports on its step."""
    options = ["--steps", "200", "--channels", "8", "16", "--dense", "32"]
    _, whole, _ = run(1, "experiments.ship", tmp_path / "whole", options)
    codes, found = zip(
        *(run(1, "experiments.ship", tmp_path / "killed", options, ["save"])[:2] for _ in range(2)), strict=True
    )
    assert codes == (-signal.SIGKILL, 0)
    steady = lambda result: {name: x for name, x in result.items() if not name.endswith(("_ms", "seconds"))}
    assert steady(found[1]) == steady(whole)
    assert whole["accuracy"] > 0.6
    flown("experiments.ship", tmp_path, options)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The folder of a network that has learned, in all formats."""
    if not (ONNX and WEB):
        pytest.skip("JNN_ONNX_PYTHON and JNN_ORT_WEB name no Python with jax2onnx, and no folder of onnxruntime-web")
    folder = tmp_path_factory.mktemp("ship")
    config = ship.Config(workdir=str(folder), onnx_python=ONNX, litert_python=LITERT, web=WEB, steps=600)
    return folder / "exported", ship.experiment(config).metrics


@pytest.mark.slow
def test_other_runtimes_give_the_same(shipped):
    _, metrics = shipped
    distances = {name: x for name, x in metrics.items() if name.endswith("distance")}
    assert "onnx_distance" in distances
    assert max(distances.values()) < 1e-4
    assert metrics["accuracy"] > 0.95


@pytest.mark.slow
def test_what_is_drawn_on_the_page_is_recognized(shipped, tmp_path):
    """Real events of a mouse in a real browser, without a network."""
    if browser.found() is None:
        pytest.skip("no Chromium is installed")
    folder, _ = shipped
    with browser.browser() as page:
        page.open(folder / "digits.html")
        page.wait("document.getElementById('state')?.textContent.startsWith('Draw')")
        left, top = page.value("(r => [r.left, r.top])(document.getElementById('pad').getBoundingClientRect())")
        answers = {}
        for digit, strokes in DRAWN.items():
            page.value("document.getElementById('clear').click()")
            for stroke in strokes:
                page.drag([(x + left, y + top) for x, y in between(stroke)])
            page.wait("document.getElementById('answer').textContent != '?'")
            answers[digit] = page.value("document.getElementById('answer').textContent")
    assert answers == {digit: digit for digit in DRAWN}


def between(stroke, parts=6):
    """A stroke with points on its way, as a hand makes them."""
    for (x, y), (u, v) in itertools.pairwise(stroke):
        yield from ((x + (u - x) * k / parts, y + (v - y) * k / parts) for k in range(parts))
    yield stroke[-1]
