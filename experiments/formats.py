"""A network of images in other formats: what each gives, how far that is from jnn's, how large it is, how fast.

jitted(model, p, images), by_stablehlo(file, images), by_torch(file, images)
elsewhere(form, batch, python, file, p, images)      by the Python of another environment
write_page(path, model, web)                         one file with model and runtime, on which one draws
"""

from __future__ import annotations

import base64
import dataclasses
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

import jnn
from experiments.runtimes import one_and_all
from jnn.data import write_safetensors
from jnn.files import write_whole
from jnn.optional import optional
from jnn.param import Params

RUNTIME = {"RUNTIME": "ort.wasm.bundle.min.mjs", "WASM": "ort-wasm-simd-threaded.wasm"}
PAGE = Path(__file__).with_name("recognizer.html")


@dataclasses.dataclass(frozen=True)
class Format:
    """What a format gives for images: logits, the milliseconds of one image and of all, its files, the distance."""

    logits: np.ndarray
    one: float
    all: float
    files: tuple[Path, ...] = ()
    name: str = ""
    distance: float = 0.0  # the greatest, of a logit from jnn's

    def metrics(self) -> dict[str, float]:
        """Its numbers by name."""
        found = {"one_ms": self.one, "all_ms": self.all, "distance": self.distance}
        found |= {"bytes": sum(file.stat().st_size for file in self.files)} if self.files else {}
        return {f"{self.name}_{what}": value for what, value in found.items()}


def timed(call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, files: tuple[Path, ...] = ()) -> Format:
    """A call on all images and on one."""
    return Format(call(images), *one_and_all(call, images), files)


def jitted(model: Callable, p: Params, images: np.ndarray) -> Format:
    """jnn's own, compiled."""
    program = jax.jit(model)
    return timed(lambda x: np.asarray(program(p, x)), images)


def by_stablehlo(file: Path, images: np.ndarray) -> Format:
    """What `jax.export` reads."""
    program = jax.jit(jax.export.deserialize(bytearray(file.read_bytes())).call)
    return timed(lambda x: np.asarray(program(x)), images, (file,))


def by_torch(file: Path, images: np.ndarray) -> Format:
    """The module of generated source, without its gradients."""
    torch = optional("torch", "test")
    network = runpy.run_path(str(file))["load"]().requires_grad_(False)
    return timed(lambda x: network(torch.from_numpy(x)).numpy(), images, (file, file.with_suffix(".safetensors")))


def elsewhere(form: str, batch: str, python: str, file: Path, p: Params, images: np.ndarray) -> Format:
    """A format that the Python of another environment converts to and runs.

    Args:
      form: "onnx" or "litert".
      batch: the size of a batch that the file is for, a letter for any.
      python, file: of the environment, and where the network shall be.
      p, images: its parameters, and what it is measured on.
    """
    weights = write_safetensors(file.with_name("weights.safetensors"), jnn.flatten(p))
    x, y = file.with_name("images.npy"), file.with_name("logits.npy")
    np.save(x, images)
    shape = f"float32[{batch},{','.join(map(str, images.shape[1:]))}]"
    given = ["jnn.models.cnn", "--weights", str(weights), "--input", shape, "--output", str(file)]
    _run([python, "-m", "jnn.export", form, *given])
    one, every = map(float, _run([python, "-m", "experiments.runtimes", str(file), str(x), str(y)]).split()[-2:])
    found = Format(np.load(y), one, every, (file,))
    for part in (weights, x, y):
        part.unlink()
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PAGE.parents[1])
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def write_page(path: Path, model: Path, web: Path) -> Path:
    """A page that holds a model and ONNX Runtime Web, from the folder of its files."""
    text = PAGE.read_text()
    for mark, file in {"MODEL": model, **{mark: web / name for mark, name in RUNTIME.items()}}.items():
        text = text.replace(f"/*{mark}*/", base64.b64encode(file.read_bytes()).decode())
    write_whole(path, text)
    return path
