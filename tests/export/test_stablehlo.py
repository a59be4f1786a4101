"""StableHLO: a process that has JAX alone reads the file and gives the same, for every batch size."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import export
from tests.programs import ALONE

pytest.importorskip("flatbuffers", reason="pip install jnn[export]")
MODEL = partial(jnn.models.mlp, key=None)
SIZES = (1, 4, 7)
WITHOUT = """
import sys
sys.modules["jnn"] = None
import jax, numpy as np
from safetensors.numpy import load_file
inside, beside = (jax.export.deserialize(bytearray(open(name, "rb").read())).call for name in ("in.hlo", "by.hlo"))
x, weights = np.load("x.npy"), load_file("by.safetensors")
for n in map(int, sys.argv[1:]):
    np.save(f"{n}.npy", np.stack([inside(x[:n]), beside(weights, x[:n])]))
"""


def params():
    return jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))


def exported(path, *inputs, f=MODEL, **options):
    file = export.stablehlo(f, params(), *inputs, path=path / "model.stablehlo", **options)
    return jax.export.deserialize(bytearray(file.read_bytes()))


def test_a_process_without_jnn_runs_the_file(tmp_path):
    p, x = params(), np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    export.stablehlo(MODEL, p, x, path=tmp_path / "in.hlo")
    export.stablehlo(MODEL, p, x[:1], path=tmp_path / "by.hlo", weights="beside")
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", WITHOUT, *map(str, SIZES)]
    subprocess.run(command, check=True, cwd=tmp_path, env=ALONE)
    for n in SIZES:
        for found in np.load(tmp_path / f"{n}.npy"):
            np.testing.assert_allclose(found, MODEL(p, x[:n]), rtol=1e-4, atol=1e-4)


def test_the_file_is_for_the_platforms_that_were_asked_for(tmp_path):
    x = jax.ShapeDtypeStruct((2, 4), jnp.float32)
    assert exported(tmp_path, x).platforms == ("cpu", "cuda", "tpu")
    assert exported(tmp_path, x, platforms=["cpu"]).platforms == ("cpu",)
    with pytest.raises(ValueError, match="abacus"):
        exported(tmp_path, x, platforms=["abacus"])


def test_the_file_says_nothing_of_where_it_was_made(tmp_path):
    x = jax.ShapeDtypeStruct((2, 4), jnp.float32)
    exported(tmp_path, x)
    content = (tmp_path / "model.stablehlo").read_bytes()
    assert b".py" not in content
    assert b"/jnn" not in content


def test_gradients_come_along(tmp_path):
    x = jax.random.normal(jax.random.key(1), (3, 4))
    call = exported(tmp_path, x, vjp_order=1).call
    found = jax.grad(lambda x: call(x).sum())(x)
    np.testing.assert_allclose(found, jax.grad(lambda x: MODEL(params(), x).sum())(x), rtol=1e-4, atol=1e-5)


def test_axes_are_free_by_letters_and_fixed_without(tmp_path):
    x = jnp.ones((2, 3, 4))
    assert str(exported(tmp_path, x, shapes="b, t, ...").in_avals[0].shape) == "(b, t, 4)"
    assert exported(tmp_path, x, shapes=None).in_avals[0].shape == (2, 3, 4)


def test_what_does_not_fit_is_said(tmp_path):
    x = jnp.ones((2, 4))
    with pytest.raises(ValueError, match=r"export.stablehlo: expected shapes of the inputs float32\[2, 4\]"):
        exported(tmp_path, x, shapes="b, 5")
    with pytest.raises(ValueError, match="expected a shape for each of 1 inputs, found 2"):
        exported(tmp_path, x, shapes=("b, ...", None))
    halves = lambda p, x: MODEL(p, x) if x.shape[0] > 3 else x
    with pytest.raises(ValueError, match="does not hold for every size"):
        exported(tmp_path, x, f=halves)
