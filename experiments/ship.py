"""A small network that leaves: trained on digits, exported to four formats, each measured, and a page to draw on.

Data      8x8 grey images of ten digits, as in experiments.digits: four fifths to train on, one fifth held out.
Network   conv 1-32-64, 3x3, 2x2 max pooling, dense 128, dropout 0.2, 10.
Training  as in experiments.digits.
Formats   StableHLO, read by JAX alone; a torch module of generated source; ONNX by jax2onnx, and LiteRT by
          litert-converter, in environments of their own (docs/export.md); a page with ONNX Runtime Web, to draw on.
Run       python -m experiments.ship [--onnx-python onnx/bin/python --web FOLDER] [--litert-python litert/bin/python]
          FOLDER is `dist` of npm's onnxruntime-web. What has no environment is left out.
Measured  held-out accuracy 0.992 (seed 0); a logit's greatest distance from jnn's on 359 images, the bytes, and the
          milliseconds of one image and of all of them (medians of 50 and 10 calls, one busy CPU core): jnn 0.027 and
          6.6; StableHLO 0, 216,084, 0.026 and 4.0; torch 6.7e-6, 214,643, 0.061 and 6.9; ONNX 5.7e-6, 224,984, 0.030
          and 20.3; LiteRT 7.6e-6, 214,528, 0.007 and 6.4 (one after another). The page is 19.4 MB, of which the runtime
          is all but 0.3; of 0, 1, 2, 3, 4 and 7, drawn by simulated strokes, it takes the 7 for a 3. 80 s.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from experiments import pictures
from experiments.digits import train_one
from experiments.formats import Format, by_stablehlo, by_torch, elsewhere, jitted, write_page
from experiments.harness import Outcome, launch
from experiments.options import Common
from experiments.training import first
from jnn import export
from jnn.data import digits, split
from jnn.models import cnn, cnn_spec


@dataclasses.dataclass(frozen=True)
class Config(Common):
    """A small network that leaves."""

    steps: int = 2400
    workdir: str = "runs/ship"
    batch_size: int = 64
    learning_rate: float = 2e-3
    channels: tuple[int, ...] = (32, 64)
    dense: int = 128
    dropout: float = 0.2
    onnx_python: str | None = None  # the Python of an environment with jax2onnx and onnxruntime
    litert_python: str | None = None  # that of an environment with litert-converter
    web: str | None = None  # the folder of onnxruntime-web's files


def experiment(config: Config) -> Outcome:
    """Trains, exports to every format that there is a converter of, measures each, and writes the page and the card."""
    check_elsewhere(config)
    arrays = digits()
    data, held_out = split(arrays | {"x": arrays["x"][..., None]}, 0.2, seed=config.seed)
    spec = cnn_spec((8, 8, 1), config.channels, config.dense, 10)
    apply = lambda p, x, key: cnn(p, x, key=key, rate=config.dropout)
    params, metrics, history = train_one(config, "", spec, apply, data, held_out)
    folder = Path(config.workdir) / "exported"
    folder.mkdir(parents=True, exist_ok=True)
    found = measured(formats(config, params, folder), held_out["x"]) if first() else []
    accuracy = float(metrics["accuracy"].value())
    files = [file for one in found for file in one.files]
    if config.onnx_python and config.web:
        files.append(write_page(folder / "digits.html", folder / "model.onnx", Path(config.web)))
    numbers = {"accuracy": accuracy} | {name: value for one in found for name, value in one.metrics().items()}
    about = "A convolutional network that recognizes handwritten digits of 8 by 8 pixels, whose ink is in 0 to 1."
    export.model_card(folder / "README.md", params, title="Digits", about=about, files=files, metrics=numbers)
    return Outcome(params, numbers, history, {CAPTION: partial(draw, found)})


def check_elsewhere(config: Config) -> None:
    """Raises FileNotFoundError, before anything is trained, unless what was named is there."""
    for option in ("onnx_python", "litert_python", "web"):
        path = getattr(config, option)
        if path and shutil.which(path) is None and not (option == "web" and Path(path).is_dir()):
            raise FileNotFoundError(f"--{option.replace('_', '-')}: {path} is not there; --help says what it is.")


def formats(config: Config, params, folder: Path) -> dict[str, Callable[[np.ndarray], Format]]:
    """What measures each format on images, jnn's own program first."""
    model, x = partial(cnn, key=None), np.zeros((1, 8, 8, 1), np.float32)
    made = {
        "jnn": lambda images: jitted(model, params, images),
        "stablehlo": lambda images: by_stablehlo(
            export.stablehlo(model, params, x, path=folder / "model.stablehlo"), images
        ),
        "torch": lambda images: by_torch(export.torch(model, params, x, path=folder / "model.py"), images),
    }
    if config.onnx_python:
        made["onnx"] = lambda images: elsewhere("onnx", "b", config.onnx_python, folder / "model.onnx", params, images)
    if config.litert_python:
        file = folder / "model.tflite"
        made["litert"] = lambda images: elsewhere("litert", "1", config.litert_python, file, params, images)
    return made


def measured(made: dict[str, Callable[[np.ndarray], Format]], images: np.ndarray) -> list[Format]:
    """Every format on the same images; each knows how far it is from jnn."""
    found = [dataclasses.replace(measure(images), name=name) for name, measure in made.items()]
    return [dataclasses.replace(one, distance=float(np.abs(one.logits - found[0].logits).max())) for one in found]


CAPTION = "Milliseconds of one image and of all held-out ones, by format."


def draw(found: list[Format]):
    panels = {"one image, ms": "one", "all held-out images, ms": "all"}
    return pictures.dots({panel: {one.name: [getattr(one, what)] for one in found} for panel, what in panels.items()})


if __name__ == "__main__":
    launch(experiment, Config)
