"""StableHLO: a model as a compiler's program, which a process with JAX alone reads and runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from jnn.data import write_safetensors
from jnn.export._traced import Shapes, any_sizes, anywhere, by_paths, check_arguments, input_shapes, weights_beside
from jnn.files import writing
from jnn.optional import optional
from jnn.param import Params, flatten

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def stablehlo(
    f: Callable[..., Any],
    p: Params,
    *inputs: Any,
    path: str | Path,
    shapes: Shapes = "b, ...",
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
    weights: Literal["inside", "beside"] = "inside",
    vjp_order: int = 0,
) -> Path:
    """StableHLO export: a model as one file that `jax.export.deserialize` reads, for batches of any size.

    See "StableHLO", OpenXLA, 2022 (openxla.org/stablehlo). The formulations are those of `jnn.backend` that run
    anywhere; of one platform alone, its own.

        call = jax.export.deserialize(bytearray(Path("model.stablehlo").read_bytes())).call
        y = call(x)                                       # weights inside
        y = call(safetensors.numpy.load_file(...), x)     # weights beside, by path

    Args:
      f: `(p, *inputs) -> outputs`, such as `partial(jnn.models.mlp, key=None)`; named tuples leave as tuples.
      p: parameters.
      inputs: arrays, or what has their shape and dtype, of any batch size.
      path: of the file, such as `model.stablehlo`.
      shapes: of all inputs, or of each one: letters are axes of any size; None for the sizes that inputs have.
      platforms: that the file is for, among "cpu", "cuda", "rocm" and "tpu".
      weights: "inside" the program, as constants, or "beside" it in a file of the same name, `model.safetensors`,
        whose arrays by path are the program's first argument.
      vjp_order: how often what is read back can be differentiated.

    Returns:
      The path.

    Raises:
      TypeError: p is a spec, or an input no array.
      ValueError: shapes that do not fit, a platform that JAX does not know, or a function that holds for fixed sizes
        alone; says what to give.
      ImportError: `flatbuffers` is missing, by which JAX writes and reads such files.

    >>> import tempfile, jnn
    >>> from functools import partial
    >>> p = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))
    >>> x = jax.random.normal(jax.random.key(1), (5, 4))
    >>> model = partial(jnn.models.mlp, key=None)
    >>> file = stablehlo(model, p, x, path=f"{tempfile.mkdtemp()}/mlp.stablehlo")
    >>> call = jax.export.deserialize(bytearray(file.read_bytes())).call
    >>> bool(jax.numpy.allclose(call(x[:3]), model(p, x[:3]), atol=1e-5))
    True
    """
    optional("flatbuffers", "export")
    if not platforms or {*platforms} - {*PLATFORMS}:
        raise ValueError(f"export.stablehlo: expected platforms of {', '.join(PLATFORMS)}, found {[*platforms]}.")
    if weights not in ("inside", "beside"):
        raise ValueError(f"export.stablehlo: expected weights 'inside' or 'beside', found {weights!r}.")
    check_arguments("export.stablehlo", f, p)
    path, specs = Path(path), input_shapes("export.stablehlo", inputs, shapes)
    flat = flatten(p)
    apply, args = by_paths(f, p), [jax.tree.map(_abstract, flat), *specs]
    if weights == "inside":
        apply, args = (lambda *x, inner=apply: inner(flat, *x)), [*specs]
    with any_sizes("export.stablehlo", f, p, inputs, specs), without_places():
        whole = jax.jit(apply if tuple(platforms) == ("cpu",) else anywhere(apply))
        exported = jax.export.export(whole, platforms=platforms)(*args)
    with writing(path) as file:
        file.write(exported.serialize(vjp_order=vjp_order))
    if weights == "beside":
        write_safetensors(weights_beside(path), flat)
    return path


@contextlib.contextmanager
def without_places() -> Iterator[None]:
    """Programs lowered within say nothing of the files and lines that they come from."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _abstract(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)
