"""Rows of the law table in other formats: whether what leaves gives what jnn gives, at several batch sizes.

python -m tests.export.formats stablehlo torch         tries all rows, and writes answers into docs/exports.json
python -m tests.export.formats onnx                    the same in the environment of jax2onnx and ONNX Runtime
python -m tests.export.formats litert --rows mlp cnn   some rows, in that of litert-converter
"""

import argparse
import functools
import importlib
import json
import re
import runpy
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from docs.exports_table import EXPORTS, FORMATS
from jnn import export
from jnn.files import write_whole
from tests.table import BLOCKS

SIZES = (1, 3)  # of batches; what leaves is traced with none of them


def without_noise(row):
    return lambda p, *x: row.apply(p, *x, key=None)


def by_stablehlo(row, path):
    """What the file gives, read as a process without jnn reads it."""
    file = export.stablehlo(without_noise(row), row.params, *row.inputs(2), path=path / "model.stablehlo")
    return jax.jit(jax.export.deserialize(bytearray(file.read_bytes())).call)


def by_torch(row, path):
    """What the module gives, imported from its source."""
    torch = importlib.import_module("torch")
    file = export.torch(without_noise(row), row.params, *row.inputs(2), path=path / "model.py")
    module = runpy.run_path(str(file))["load"]()
    return lambda *x: module(*(torch.tensor(np.asarray(a)) for a in x))


def by_onnx(row, path):
    """What ONNX Runtime gives."""
    runtime = importlib.import_module("onnxruntime")
    file = export.onnx(without_noise(row), row.params, *row.inputs(2), path=path / "model.onnx")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda *x: session.run(None, {name: np.asarray(a) for name, a in zip(names, x, strict=True)})


def by_litert(row, path):
    """What LiteRT's interpreter gives; a file for each batch size."""
    interpreter = importlib.import_module("ai_edge_litert.interpreter")

    def call(*x):
        file = export.litert(without_noise(row), row.params, *x, path=path / f"{len(x[0])}.tflite")
        reader = interpreter.Interpreter(str(file))
        made = reader.get_signature_runner()(**{f"x{i}": np.asarray(a) for i, a in enumerate(x, 1)})
        return [made[f"output_{i}"] for i in range(len(made))]

    return call


CALLS = {"stablehlo": by_stablehlo, "torch": by_torch, "onnx": by_onnx, "litert": by_litert}


@functools.cache
def expected(row, n):
    """Inputs, and what jnn gives for them."""
    inputs = row.inputs(n)
    return inputs, jax.tree.leaves(jax.jit(without_noise(row))(row.params, *inputs))


def assert_leaves(row, form, path):
    """Exports a row, and compares values and dtypes at each batch size."""
    call = CALLS[form](row, path)
    for n in SIZES:
        inputs, wanted = expected(row, n)
        found = [x.detach().numpy() if hasattr(x, "detach") else np.asarray(x) for x in jax.tree.leaves(call(*inputs))]
        assert len(found) == len(wanted)
        for a, b in zip(found, map(np.asarray, wanted), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def answer(row, form):
    """Whether a row leaves: "yes", or what stands in the way."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            assert_leaves(row, form, Path(folder))
    except Exception as error:  # of the other library's, whatever it is
        return f"no: {reason(str(error))}"
    return "yes"


def reason(words):
    """An error in a cell of a table: without names of files, and as long as a line."""
    words = re.sub(r"export\.\w+: [\w-]+ does not convert this function: |\S*/\S*|\|", "", words)
    return " ".join(words.split())[:110] or "other values"


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("forms", nargs="+", choices=CALLS)
    parser.add_argument("--rows", nargs="*", help="of the law table (all)")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 where the table says otherwise"
    )
    given = parser.parse_args(arguments)
    known = json.loads(EXPORTS.read_text()) if EXPORTS.exists() else {}
    table = {row.name: dict.fromkeys(FORMATS, "") | known.get(row.name, {}) for row in BLOCKS}
    for row in [row for row in BLOCKS if given.rows is None or row.name in given.rows]:
        for form in given.forms:
            table[row.name][form] = answer(row, form)
            print(row.name, form, table[row.name][form], flush=True)
        expected.cache_clear()
        if not given.check:
            write_whole(EXPORTS, json.dumps(table, indent=1) + "\n")
    return int(given.check and table != known)


if __name__ == "__main__":
    sys.exit(main())
