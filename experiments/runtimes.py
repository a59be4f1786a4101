"""An ONNX or LiteRT file on images, where its runtime is: logits into a file, milliseconds of one image and of all.

Run       python -m experiments.runtimes model.onnx images.npy logits.npy
Needs     NumPy, and onnxruntime for .onnx or ai-edge-litert for .tflite
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from experiments.clocks import milliseconds

REPEATS = 50  # of one image; of all a fifth as many
Call = Callable[[np.ndarray], np.ndarray]


def main(arguments: Sequence[str]) -> None:
    file, images, logits = arguments
    call, x = RUNTIMES[Path(file).suffix](file), np.load(images)
    np.save(logits, call(x))
    print(*one_and_all(call, x))


def onnx(file: str) -> Call:
    """ONNX Runtime, of any number of images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def litert(file: str) -> Call:
    """LiteRT's interpreter, one image after another."""
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(file)
    run.allocate_tensors()
    (given,), (made,) = run.get_input_details(), run.get_output_details()

    def one(x: np.ndarray) -> np.ndarray:
        run.set_tensor(given["index"], x)
        run.invoke()
        return run.get_tensor(made["index"])

    return lambda x: np.concatenate([one(x[i : i + 1]) for i in range(len(x))])


RUNTIMES = {".onnx": onnx, ".tflite": litert}


def one_and_all(call: Call, x: np.ndarray) -> tuple[float, float]:
    """Milliseconds of a call on the first image, and of one on all."""
    (one,) = milliseconds({"one": lambda: call(x[:1])}, REPEATS).values()
    (every,) = milliseconds({"all": lambda: call(x)}, REPEATS // 5).values()
    return one, every


if __name__ == "__main__":
    main(sys.argv[1:])
